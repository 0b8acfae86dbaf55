// How long one exchange may still wait, and what ends the wait sooner. A Patience lives on its worker's stack
// for one exchange; a StopSignal is shared by all of them.
#pragma once

#include <poll.h>

#include <atomic>
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
  Patience(const Clock& clock, Duration total, const StopSignal& stop)
      : clock_(clock), stop_(stop), deadline_(clock.boot() + total), total_(total) {}

  // Fails when the deadline has passed or a stop was asked for; `doing` names the step: "connecting to
  // flat.io".
  Outcome<void> check(std::string_view doing) const;
  // Waits until `fd` shows one of `events` (or hangs up).
  Outcome<void> wait(int fd, short events, std::string_view doing) const;
  // Waits until one of `sockets` shows something or `until` has come.
  Outcome<void> wait(std::span<pollfd> sockets, BootTime until, std::string_view doing) const;

  BootTime now() const { return clock_.boot(); }
  // From the first byte on, only the deadline ends the exchange.
  void mark_sent() { sent_ = true; }
  bool sent() const { return sent_; }

 private:
  const Clock& clock_;
  const StopSignal& stop_;
  BootTime deadline_;
  Duration total_;
  bool sent_ = false;
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
