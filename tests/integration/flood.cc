// A hostile user and an honest one, for test_flood.py.
//
//   flood attack SOCKET              until it is killed: everything at once that a user can do to a socket
//   flood measure SOCKET ACCOUNT MS  asks for the cached token again and again; prints "p50 p99 max count", microseconds
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <vector>

#include "tests/integration/wire.h"

namespace {

using Steady = std::chrono::steady_clock;
constexpr std::size_t kConnections = 2000;
constexpr std::size_t kHeaderBytes = 1024 * 1024;
constexpr auto kDripEvery = std::chrono::seconds(1);

// What one hostile connection does.
enum class Kind { kHalf, kDrip, kHeader, kPipelined, kStream, kChurn, kCount };

struct Hostile {
  Kind kind;
  int fd = -1;
  std::size_t sent = 0;
  Steady::time_point dripped{};
};

class Attack {
 public:
  explicit Attack(std::string socket) : socket_(std::move(socket)), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    rlimit files{kConnections + 64, kConnections + 64};
    ::setrlimit(RLIMIT_NOFILE, &files);
    for (int i = 0; i < 200; ++i)
      flood_ += wire::token_request("theirs");
    for (std::size_t i = 0; i < kConnections; ++i)
      all_.push_back({static_cast<Kind>(i % static_cast<std::size_t>(Kind::kCount)), -1, 0, {}});
  }

  [[noreturn]] void run() {
    std::size_t next = 0;
    while (true) {
      for (int i = 0; i < 50; ++i)
        step(all_[next++ % all_.size()]);
      epoll_event events[64];
      const int count = ::epoll_wait(epoll_, events, 64, 0);
      for (int i = 0; i < count; ++i)
        step(*static_cast<Hostile*>(events[i].data.ptr));
    }
  }

 private:
  void open(Hostile& h) {
    h.fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, socket_.c_str(), socket_.size() + 1);
    if (h.fd < 0 || ::connect(h.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return close(h);
    h.sent = 0;
    h.dripped = {};
    epoll_event event{};
    event.events = EPOLLOUT | EPOLLHUP | EPOLLET;
    event.data.ptr = &h;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, h.fd, &event);
  }
  void close(Hostile& h) {
    if (h.fd >= 0) ::close(h.fd);
    h.fd = -1;
  }
  bool put(Hostile& h, std::string_view bytes) {
    const ssize_t sent = ::send(h.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) h.sent += static_cast<std::size_t>(sent);
    if (sent < 0 && errno != EAGAIN) close(h);
    return sent > 0;
  }
  void drain(Hostile& h) {
    char chunk[16384];
    const ssize_t got = ::recv(h.fd, chunk, sizeof chunk, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) close(h);
  }
  void step(Hostile& h) {
    if (h.fd < 0) open(h);
    if (h.fd < 0) return;
    const std::string request = "GET /v1/accounts/theirs/token HTTP/1.1\r\nHost: x\r\n";
    switch (h.kind) {
      case Kind::kHalf:
        if (h.sent == 0)
          put(h, request);
        else
          drain(h);
        return;
      case Kind::kDrip:
        if (Steady::now() - h.dripped < kDripEvery) return;
        h.dripped = Steady::now();
        put(h, std::string_view(request).substr(h.sent % request.size(), 1));
        return;
      case Kind::kHeader:
        if (h.sent == 0)
          put(h, "GET / HTTP/1.1\r\nX: ");
        else if (h.sent < kHeaderBytes)
          put(h, std::string(65536, 'x'));
        else
          close(h);
        return;
      case Kind::kPipelined:
        put(h, flood_);
        if (h.fd >= 0) drain(h);
        return;
      case Kind::kStream:
        if (h.sent == 0) put(h, "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n");
        return;
      default: close(h);
    }
  }

  const std::string socket_;
  const int epoll_;
  std::string flood_;
  std::vector<Hostile> all_;
};

int measure(const std::string& socket, const std::string& account, int milliseconds) {
  const int fd = wire::connect_to(socket);
  std::vector<double> took;
  const auto end = Steady::now() + std::chrono::milliseconds(milliseconds);
  while (Steady::now() < end) {
    const auto begun = Steady::now();
    const int status = wire::ask(fd, account);
    took.push_back(std::chrono::duration<double, std::micro>(Steady::now() - begun).count());
    if (status != 200) {
      std::fprintf(stderr, "the honest user was answered %d\n", status);
      return 1;
    }
    ::usleep(500);  // a busy service, not a flood of its own
  }
  std::sort(took.begin(), took.end());
  const auto at = [&](double share) {
    return took[static_cast<std::size_t>(share * static_cast<double>(took.size() - 1))];
  };
  std::printf("%.0f %.0f %.0f %zu\n", at(0.5), at(0.99), took.back(), took.size());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "attack") Attack(argv[2]).run();
  if (argc == 5 && std::string_view(argv[1]) == "measure") return measure(argv[2], argv[3], std::atoi(argv[4]));
  return 2;
}
