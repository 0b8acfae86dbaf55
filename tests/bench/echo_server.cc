// The floor: one epoll thread on a Unix socket that answers each read with the same bytes, whatever it read.
// What an HTTP server costs beyond this is HTTP's.
//   bench_echo_server SOCKET ANSWER-FILE
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

namespace {

constexpr int kEventsPerTurn = 64;

int listen_at(const char* path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  ::unlink(path);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || ::listen(fd, 4096) != 0)
    return -1;
  return fd;
}

void watch(int epoll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

void serve(int epoll, int listening, const std::string& answer) {
  char buffer[4096];
  epoll_event events[kEventsPerTurn];
  while (true) {
    const int count = ::epoll_wait(epoll, events, kEventsPerTurn, -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == listening) {
        const int connection = ::accept4(listening, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (connection >= 0) watch(epoll, connection);
        continue;
      }
      const ssize_t got = ::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
      const bool goes_on = got > 0 && ::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
      if (!goes_on) ::close(fd);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  std::ifstream file(argv[2], std::ios::binary);
  const std::string answer((std::istreambuf_iterator<char>(file)), {});
  const int listening = listen_at(argv[1]);
  if (listening < 0 || answer.empty()) return 1;
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  watch(epoll, listening);
  std::puts("ready");
  std::fflush(stdout);
  serve(epoll, listening, answer);
}
