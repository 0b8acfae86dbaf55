// Processes that try to pass for another: run by test_identity.py as root. Each scenario makes its rounds against the
// daemon's socket and prints how often each status came, by account: "ACCOUNT STATUS COUNT".
//
//   impostors reuse  SOCKET ROUNDS          the peer ends, another process gets its id and its connection
//   impostors exec   SOCKET ROUNDS OTHER    connects, then becomes the program OTHER (a copy of this one)
//   impostors pass   SOCKET ROUNDS          the connection is handed to another user, and to another process of its user
//   impostors die    SOCKET ROUNDS          dies in mid-request; others who hold the connection finish it
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <functional>
#include <map>

#include "tests/integration/wire.h"

namespace {

constexpr uid_t kOwner = 4001, kStranger = 4002;
using Tally = std::map<std::pair<std::string, int>, int>;

// A child running `work`, whose result is its exit status; with `pid` it gets this id.
pid_t start(const std::function<int()>& work, pid_t pid = 0) {
  clone_args args{};
  args.exit_signal = SIGCHLD;
  if (pid != 0) {
    args.set_tid = reinterpret_cast<std::uintptr_t>(&pid);
    args.set_tid_size = 1;
  }
  const auto child = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
  if (child < 0) wire::fail("clone3");
  if (child == 0) std::_Exit(work());
  return child;
}

int result_of(pid_t child) {
  int status = 0;
  if (::waitpid(child, &status, 0) != child) wire::fail("waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// The child asks for each account over `fd` and notes the statuses through a pipe; it begins as `uid`.
void ask_as(uid_t uid, int fd, const std::vector<std::string>& accounts, Tally& tally, pid_t pid = 0) {
  int report[2];
  if (::pipe(report) != 0) wire::fail("pipe");
  const pid_t child = start(
      [&] {
        wire::become(uid);
        for (const std::string& account : accounts) {
          const int status = wire::ask(fd, account);
          if (::write(report[1], &status, sizeof status) != sizeof status) return 1;
        }
        return 0;
      },
      pid);
  if (pid != 0 && child != pid) wire::fail("the id is another");
  ::close(report[1]);
  for (const std::string& account : accounts) {
    int status = 0;
    if (::read(report[0], &status, sizeof status) != sizeof status) wire::fail("a child said nothing");
    ++tally[{account, status}];
  }
  ::close(report[0]);
  if (result_of(child) != 0) wire::fail("a child failed");
}

// A process of `uid` that has connected, sent `bytes`, handed the connection to us, and ended, is returned with it.
int leave_behind(const std::string& socket, uid_t uid, std::string_view bytes, pid_t& pid) {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) wire::fail("socketpair");
  pid = start([&] {
    wire::become(uid);
    const int fd = wire::connect_to(socket);
    wire::put(fd, bytes);
    wire::pass(pair[1], fd);
    return 0;
  });
  const int fd = wire::take(pair[0]);
  if (result_of(pid) != 0) wire::fail("the peer failed");
  ::close(pair[0]);
  ::close(pair[1]);
  return fd;
}

// The same, but the process lives until `gate` is closed.
int connect_as(const std::string& socket, uid_t uid, pid_t& pid, int& gate) {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) wire::fail("socketpair");
  pid = start([&] {
    ::close(pair[0]);
    wire::become(uid);
    wire::pass(pair[1], wire::connect_to(socket));
    char byte = 0;
    return ::read(pair[1], &byte, 1) == 0 ? 0 : 1;
  });
  ::close(pair[1]);
  gate = pair[0];
  return wire::take(pair[0]);
}

Tally reuse(const std::string& socket, int rounds) {
  Tally tally;
  for (int i = 0; i < rounds; ++i) {
    for (const uid_t uid : {kOwner, kStranger}) {
      pid_t pid = 0;
      const int fd = leave_behind(socket, kOwner, {}, pid);
      // A request by who has the peer's id and perhaps its user: neither makes it the peer.
      const std::string prefix = uid == kOwner ? "same-user " : "stranger ";
      Tally one;
      ask_as(uid, fd, {"by-user", "by-exe", "by-unit"}, one, pid);
      for (const auto& [key, count] : one)
        tally[{prefix + key.first, key.second}] += count;
      ::close(fd);
    }
  }
  return tally;
}

Tally become_another(const std::string& socket, int rounds, const std::string& other) {
  Tally tally;
  for (int i = 0; i < rounds; ++i) {
    int report[2];
    if (::pipe(report) != 0) wire::fail("pipe");
    const pid_t child = start([&] {
      wire::become(kOwner);
      const int fd = wire::connect_to(socket);
      const int before = wire::ask(fd, "by-exe");
      if (::write(report[1], &before, sizeof before) != sizeof before) return 1;
      const std::string connection = std::to_string(fd), out = std::to_string(report[1]);
      ::execl(other.c_str(), other.c_str(), "after-exec", connection.c_str(), out.c_str(), nullptr);
      return 1;
    });
    ::close(report[1]);
    int statuses[3] = {};
    for (int& status : statuses)
      if (::read(report[0], &status, sizeof status) != sizeof status) wire::fail("a child said nothing");
    ++tally[{"before by-exe", statuses[0]}];
    ++tally[{"after by-exe", statuses[1]}];
    ++tally[{"after by-other-exe", statuses[2]}];
    ::close(report[0]);
    if (result_of(child) != 0) wire::fail("a child failed");
  }
  return tally;
}

int after_exec(int fd, int out) {
  for (const char* account : {"by-exe", "by-other-exe"}) {
    const int status = wire::ask(fd, account);
    if (::write(out, &status, sizeof status) != sizeof status) return 1;
  }
  return 0;
}

Tally hand_on(const std::string& socket, int rounds) {
  Tally tally;
  const struct {
    const char* name;
    uid_t from, to;
  } kWays[] = {{"owner-to-stranger ", kOwner, kStranger},
               {"stranger-to-owner ", kStranger, kOwner},
               {"owner-to-owner ", kOwner, kOwner}};
  for (int i = 0; i < rounds; ++i) {
    for (const auto& way : kWays) {
      pid_t pid = 0;
      int gate = -1;
      const int fd = connect_as(socket, way.from, pid, gate);
      Tally one;
      ask_as(way.to, fd, {"by-user", "by-exe"}, one);
      for (const auto& [key, count] : one)
        tally[{way.name + key.first, key.second}] += count;
      ::close(gate);
      ::close(fd);
      if (result_of(pid) != 0) wire::fail("the peer failed");
    }
  }
  return tally;
}

Tally die(const std::string& socket, int rounds) {
  Tally tally;
  for (int i = 0; i < rounds; ++i) {
    for (const uid_t uid : {kOwner, kStranger}) {
      for (const char* account : {"by-user", "by-exe"}) {
        const std::string request = wire::token_request(account);
        const std::size_t cut = 1 + static_cast<std::size_t>(i) % (request.size() - 1);
        pid_t pid = 0;
        const int fd = leave_behind(socket, kOwner, std::string_view(request).substr(0, cut), pid);
        const pid_t heir = start([&] {
          wire::become(uid);
          const int status = wire::put(fd, std::string_view(request).substr(cut)) ? wire::status_of_answer(fd) : 0;
          return status / 100 == 2 ? 200 : status == 0 ? 0 : status - 300;  // into an exit status: 404 is 104
        });
        ::close(fd);
        const int code = result_of(heir);
        const int status = code == 200 || code == 0 ? code : code + 300;
        ++tally[{std::string(uid == kOwner ? "same-user " : "stranger ") + account, status}];
      }
    }
    pid_t pid = 0;  // whole request, nobody left to read the answer
    ::close(leave_behind(socket, kOwner, wire::token_request("by-user"), pid));
  }
  return tally;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 4 && std::string_view(argv[1]) == "after-exec") return after_exec(std::atoi(argv[2]), std::atoi(argv[3]));
  if (argc < 4) return 2;
  const std::string_view scenario = argv[1];
  const std::string socket = argv[2];
  const int rounds = std::atoi(argv[3]);
  Tally tally;
  if (scenario == "reuse") tally = reuse(socket, rounds);
  if (scenario == "exec" && argc == 5) tally = become_another(socket, rounds, argv[4]);
  if (scenario == "pass") tally = hand_on(socket, rounds);
  if (scenario == "die") tally = die(socket, rounds);
  for (const auto& [key, count] : tally)
    std::printf("%s %d %d\n", key.first.c_str(), key.second, count);
  return tally.empty() ? 2 : 0;
}
