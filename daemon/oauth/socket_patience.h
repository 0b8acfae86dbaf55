// How long one exchange may still wait, and what ends the wait sooner. A Patience lives on its worker's stack
// for one exchange; a StopSignal is shared by all of them.
#pragma once

#include <poll.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <span>
#include <string_view>

#include <tl/expected.hpp>

#include "base/file.h"
#include "base/time.h"
#include "daemon/oauth/http.h"

namespace credsync::oauth {

// A value, or why the exchange ended here. `sent` is filled in by the exchange, which alone knows it.
template <typename T>
using Outcome = tl::expected<T, TransportError>;
tl::unexpected<TransportError> failed(TransportFault fault, std::string words);

// The words of an exchange that a stop ended.
constexpr std::string_view kShuttingDown = "shutting down";

// Raised once and for good. Thread-safe.
class StopSignal {
 public:
  StopSignal();
  void raise();
  bool raised() const { return raised_.load(std::memory_order_relaxed); }
  int fd() const { return event_.get(); }  // readable once raised

 private:
  std::atomic<bool> raised_{false};
  Descriptor event_;
};

class Patience {
 public:
  // `send_before` ends it only while nothing was sent.
  Patience(const Clock& clock, Duration total, const StopSignal& stop, std::optional<BootTime> send_before = {})
      : clock_(clock),
        stop_(stop),
        deadline_(clock.boot() + total),
        total_(total),
        send_before_(send_before.value_or(BootTime::max())) {}

  // Fails when the deadline or `send_before` has passed or a stop was asked for; `doing` names the step: "connecting to
  // flat.io".
  Outcome<void> check(std::string_view doing) const;
  // Waits until `fd` shows one of `events` (or hangs up).
  Outcome<void> wait(int fd, short events, std::string_view doing) const;
  // Waits until one of `sockets` shows something or `until` has come.
  Outcome<void> wait(std::span<pollfd> sockets, BootTime until, std::string_view doing) const;

  BootTime now() const { return clock_.boot(); }
  // From the first byte on, only the deadline ends the exchange, and a sleep of the machine does not count: the other
  // end sends again what was not taken.
  void mark_sent();
  bool sent() const { return awake_until_.has_value(); }

 private:
  // By the clock that ppoll(2) counts, which stands still in suspend.
  using Awake = std::chrono::time_point<std::chrono::steady_clock, Duration>;
  static Awake awake();
  Duration left() const;

  const Clock& clock_;
  const StopSignal& stop_;
  BootTime deadline_;
  Duration total_;
  BootTime send_before_;
  std::optional<Awake> awake_until_;  // the deadline, once sent
};

// Keeps SIGPIPE away from this thread while it lives: OpenSSL's socket BIO writes without MSG_NOSIGNAL. What
// became pending meanwhile is taken out again, so that nobody else meets it.
class SigpipeGuard {
 public:
  SigpipeGuard();
  ~SigpipeGuard();
  SigpipeGuard(const SigpipeGuard&) = delete;
  SigpipeGuard& operator=(const SigpipeGuard&) = delete;

 private:
  bool was_blocked_ = false;
};

}  // namespace credsync::oauth
