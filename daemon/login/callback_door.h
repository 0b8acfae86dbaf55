// The place on this machine where a browser comes back to while a session waits. The real one is loopback_listener.h;
// tests have one without sockets. Loop only.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "daemon/login/pages.h"
#include "daemon/login/redirect.h"

namespace credsync::login {

class CallbackDoor {
 public:
  virtual ~CallbackDoor() = default;  // closes it at once

  struct Verdict {
    bool taken = false;  // it was an answer to the session, good or bad; no other is taken from now on
    std::string words;   // why it was not: for people, without secrets
  };
  // `parameters` as read_callback() wants them. The callee must not destroy the door.
  using OnCallback = std::function<Verdict(std::string_view parameters)>;

  struct Order {
    Redirect::Loopback loopback;
    uid_t user = 0;         // whose processes are let in
    bool implicit = false;  // the answer comes in the fragment: serve the page that hands it over
    PageSubject subject;    // what the pages speak of
    OnCallback on_callback;
  };

  virtual std::uint16_t port() const = 0;
  // How it went, for the browser that waits for it or comes for it within kOutcomeKept; then `closed` is called, once.
  virtual void show(const PageOutcome& outcome, std::function<void()> closed) = 0;
};

// How long the page with the outcome can be fetched.
inline constexpr Duration kOutcomeKept = 30s;

class CallbackDoors {
 public:
  virtual ~CallbackDoors() = default;
  virtual Result<std::unique_ptr<CallbackDoor>> open(CallbackDoor::Order order) = 0;
};

}  // namespace credsync::login
