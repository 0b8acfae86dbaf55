#include "daemon/oauth/socket_connect.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>
#include <vector>

namespace credsync::oauth {
namespace {

// Attempts under way at once; each address gets one.
class Race {
 public:
  explicit Race(std::span<const Address> addresses) : waiting_(addresses) {}

  bool more() const { return !waiting_.empty(); }
  bool over() const { return waiting_.empty() && running_.empty(); }
  int last_error() const { return last_error_; }
  const std::vector<Descriptor>& running() const { return running_; }

  // Starts the next address. A descriptor means that it connected at once.
  Descriptor start_next() {
    const Address& address = waiting_.front();
    waiting_ = waiting_.subspan(1);
    Descriptor fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
    if (!fd) return lost(errno);
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on,
                 sizeof on);  // one request, one answer: nothing to gather
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.size) == 0) return fd;
    if (errno != EINPROGRESS) return lost(errno);
    running_.push_back(std::move(fd));
    return {};
  }

  // Looks at what poll said of running(), in its order. A descriptor is the winner.
  Descriptor settle(std::span<const pollfd> seen) {
    std::vector<Descriptor> still;
    Descriptor winner;
    for (std::size_t i = 0; i < seen.size(); ++i) {
      if (seen[i].revents == 0) {
        still.push_back(std::move(running_[i]));
        continue;
      }
      int problem = 0;
      socklen_t size = sizeof problem;
      if (::getsockopt(seen[i].fd, SOL_SOCKET, SO_ERROR, &problem, &size) != 0) problem = errno;
      if (problem != 0)
        last_error_ = problem;
      else if (!winner)
        winner = std::move(running_[i]);
    }
    running_ = std::move(still);
    return winner;
  }

 private:
  Descriptor lost(int problem) {
    last_error_ = problem;
    return {};
  }

  std::span<const Address> waiting_;
  std::vector<Descriptor> running_;
  int last_error_ = 0;
};

}  // namespace

Outcome<Descriptor> connect_any(std::span<const Address> addresses, const std::string& name, const Patience& patience) {
  const std::string doing = "connecting to " + name;
  Race race(addresses);
  BootTime next_start = patience.now();
  while (!race.over()) {
    if (race.more() && (race.running().empty() || patience.now() >= next_start)) {
      if (Descriptor fd = race.start_next()) return fd;
      next_start = patience.now() + kConnectStagger;
    }
    if (race.running().empty()) continue;
    std::vector<pollfd> polled;
    for (const Descriptor& fd : race.running())
      polled.push_back({.fd = fd.get(), .events = POLLOUT, .revents = 0});
    const BootTime until = race.more() ? next_start : BootTime::max();
    if (auto ready = patience.wait(polled, until, doing); !ready) return tl::unexpected(ready.error());
    if (Descriptor fd = race.settle(polled)) return fd;
    if (race.running().size() < polled.size()) next_start = patience.now();  // one failed: do not wait for the rest
  }
  return failed(TransportFault::kConnect, from_errno("connect to " + name, race.last_error()).message());
}

}  // namespace credsync::oauth
