#include "daemon/oauth/socket_patience.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include "base/check.h"

namespace credsync::oauth {
namespace {

timespec as_timespec(Duration d) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(d);
  return {.tv_sec = static_cast<time_t>(seconds.count()),
          .tv_nsec = static_cast<long>(std::chrono::nanoseconds(d - seconds).count())};
}

}  // namespace

tl::unexpected<TransportError> failed(TransportFault fault, std::string words) {
  return tl::unexpected(TransportError{.fault = fault, .sent = false, .words = std::move(words)});
}

StopSignal::StopSignal() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  CHECK(event_);
}

void StopSignal::raise() {
  raised_.store(true, std::memory_order_relaxed);
  // Fails only when the counter is full, and then it is raised already.
  [[maybe_unused]] const int done = ::eventfd_write(event_.get(), 1);
}

Patience::Awake Patience::awake() {
  return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now());
}

void Patience::mark_sent() {
  if (!sent()) awake_until_ = awake() + (deadline_ - clock_.boot());
}

Duration Patience::left() const {
  return sent() ? *awake_until_ - awake() : std::min(deadline_, send_before_) - clock_.boot();
}

Outcome<void> Patience::check(std::string_view doing) const {
  if (!sent() && stop_.raised()) return failed(TransportFault::kConnect, std::string(kShuttingDown));
  if (!sent() && clock_.boot() >= send_before_) {
    return failed(TransportFault::kTooLate, "too late to send it, while " + std::string(doing));
  }
  if (left() <= Duration::zero()) {
    const auto total = std::chrono::duration_cast<std::chrono::milliseconds>(total_).count();
    return failed(TransportFault::kDeadline,
                  "gave up after " + std::to_string(total) + " ms while " + std::string(doing));
  }
  return {};
}

Outcome<void> Patience::wait(int fd, short events, std::string_view doing) const {
  std::array<pollfd, 1> one{{{.fd = fd, .events = events, .revents = 0}}};
  while (one[0].revents == 0) {
    if (auto ready = wait(one, BootTime::max(), doing); !ready) return ready;
  }
  return {};
}

Outcome<void> Patience::wait(std::span<pollfd> sockets, BootTime until, std::string_view doing) const {
  std::vector<pollfd> all(sockets.begin(), sockets.end());
  all.push_back({.fd = sent() ? -1 : stop_.fd(), .events = POLLIN, .revents = 0});
  while (true) {
    if (auto going = check(doing); !going) return going;
    const Duration longest = std::min(until - clock_.boot(), left());
    const timespec timeout = as_timespec(std::max(longest, Duration::zero()));
    const int ready = ::ppoll(all.data(), all.size(), &timeout, nullptr);
    if (ready < 0 && errno != EINTR) return failed(TransportFault::kConnect, from_errno("poll", errno).message());
    if (ready > 0 && all.back().revents == 0) break;
    if (clock_.boot() >= until) break;
  }
  for (std::size_t i = 0; i < sockets.size(); ++i)
    sockets[i].revents = all[i].revents;
  return {};
}

SigpipeGuard::SigpipeGuard() {
  sigset_t sigpipe;
  sigset_t before;
  ::sigemptyset(&sigpipe);
  ::sigaddset(&sigpipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
  was_blocked_ = ::sigismember(&before, SIGPIPE) == 1;
}

SigpipeGuard::~SigpipeGuard() {
  if (was_blocked_) return;  // the thread lives with it blocked: a pending one harms nobody
  sigset_t sigpipe;
  ::sigemptyset(&sigpipe);
  ::sigaddset(&sigpipe, SIGPIPE);
  const timespec at_once{};
  while (::sigtimedwait(&sigpipe, nullptr, &at_once) == -1 && errno == EINTR) {
  }
  ::pthread_sigmask(SIG_UNBLOCK, &sigpipe, nullptr);
}

}  // namespace credsync::oauth
