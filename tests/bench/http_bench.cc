// Measures a server on a Unix socket against the bare echo of the same bytes, both in this run, and prints
// the ratios.
//   bench_http_bench --echo BENCH_ECHO_SERVER [--seconds N] (--server COMMAND… | --socket PATH --pid PID)
//   [--target PATH]
// The server is either started (COMMAND gets a socket's path and prints "ready") or already there.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using Microseconds = std::chrono::duration<double, std::micro>;

constexpr int kServerCpu = 0;
constexpr int kClientCpu = 1;
constexpr unsigned kManyClients = 64;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "bench: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

void pin(pid_t pid, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(cpu), &set);
  ::sched_setaffinity(pid, sizeof set, &set);  // on one CPU only it stays where it is
}

struct Server {
  std::string socket;
  pid_t pid = 0;
  bool ours = false;
};

Server launch(std::vector<std::string> command, const std::string& socket) {
  int out[2];
  if (::pipe2(out, O_CLOEXEC) != 0) fail("pipe");
  std::vector<char*> argv;
  for (std::string& word : command)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) fail("fork");
  if (pid == 0) {
    ::dup2(out[1], STDOUT_FILENO);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(out[1]);
  char byte = 0;
  if (::read(out[0], &byte, 1) != 1) fail("start " + command[0]);
  ::close(out[0]);
  return {socket, pid, true};
}

void end(const Server& server) {
  if (!server.ours) return;
  ::kill(server.pid, SIGTERM);
  ::waitpid(server.pid, nullptr, 0);
}

double cpu_seconds(pid_t pid) {
  clockid_t clock{};
  timespec used{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &used) != 0) fail("the server's CPU time");
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

int connect_to(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof address.sun_path - 1));
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail("connect to " + path);
  return fd;
}

// How long the message at the front of `bytes` is, if its header is there.
std::optional<std::size_t> message_size(std::string_view bytes) {
  const std::size_t end = bytes.find("\r\n\r\n");
  const std::size_t field = bytes.find("Content-Length: ");
  if (end == std::string_view::npos || field > end) return std::nullopt;
  return end + 4 + std::strtoul(bytes.data() + field + 16, nullptr, 10);
}

struct Exchange {
  int fd = -1;
  Clock::time_point begin;
  std::size_t have = 0;
  std::string buffer = std::string(65536, '\0');
};

void send_request(Exchange& exchange, const std::string& request) {
  exchange.begin = Clock::now();
  exchange.have = 0;
  if (::send(exchange.fd, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size()))
    fail("send");
}

// True when the answer is whole.
bool receive_some(Exchange& exchange) {
  const ssize_t got =
      ::recv(exchange.fd, exchange.buffer.data() + exchange.have, exchange.buffer.size() - exchange.have, 0);
  if (got <= 0) fail("receive");
  exchange.have += static_cast<std::size_t>(got);
  const auto size = message_size({exchange.buffer.data(), exchange.have});
  return size && exchange.have >= *size;
}

struct Figures {
  double p50 = 0, p99 = 0;  // microseconds
  double rate = 0;          // requests a second
  double server_cpu = 0;    // microseconds a request
};

Figures summarise(std::vector<double>& times, double seconds, double server_seconds) {
  std::sort(times.begin(), times.end());
  const auto at = [&](double share) {
    return times[static_cast<std::size_t>(share * static_cast<double>(times.size() - 1))];
  };
  const auto count = static_cast<double>(times.size());
  return {at(0.50), at(0.99), count / seconds, server_seconds / count * 1e6};
}

// Runs `one` until the time is over, after a tenth of it to warm up.
template <typename One>
Figures measure(const Server& server, double seconds, One one) {
  std::vector<double> times;
  times.reserve(4'000'000);
  const auto run = [&](double span) {
    const auto end = Clock::now() + std::chrono::duration<double>(span);
    while (Clock::now() < end)
      one(times);
  };
  run(seconds / 10);
  times.clear();
  const double cpu = cpu_seconds(server.pid);
  const auto begin = Clock::now();
  run(seconds);
  const double took = std::chrono::duration<double>(Clock::now() - begin).count();
  return summarise(times, took, cpu_seconds(server.pid) - cpu);
}

Figures one_client(const Server& server, const std::string& request, double seconds) {
  Exchange exchange;
  exchange.fd = connect_to(server.socket);
  const Figures figures = measure(server, seconds, [&](std::vector<double>& times) {
    send_request(exchange, request);
    while (!receive_some(exchange)) {
    }
    times.push_back(Microseconds(Clock::now() - exchange.begin).count());
  });
  ::close(exchange.fd);
  return figures;
}

Figures connection_each(const Server& server, const std::string& request, double seconds) {
  Exchange exchange;
  return measure(server, seconds, [&](std::vector<double>& times) {
    const auto begin = Clock::now();
    exchange.fd = connect_to(server.socket);
    send_request(exchange, request);
    while (!receive_some(exchange)) {
    }
    ::close(exchange.fd);
    times.push_back(Microseconds(Clock::now() - begin).count());
  });
}

Figures many_clients(const Server& server, const std::string& request, double seconds) {
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  std::vector<Exchange> exchanges(kManyClients);
  for (Exchange& exchange : exchanges) {
    exchange.fd = connect_to(server.socket);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &exchange;
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, exchange.fd, &event);
    send_request(exchange, request);
  }
  epoll_event events[kManyClients];
  const Figures figures = measure(server, seconds, [&](std::vector<double>& times) {
    const int count = ::epoll_wait(epoll, events, kManyClients, -1);
    for (int i = 0; i < count; ++i) {
      Exchange& exchange = *static_cast<Exchange*>(events[i].data.ptr);
      if (!receive_some(exchange)) continue;
      times.push_back(Microseconds(Clock::now() - exchange.begin).count());
      send_request(exchange, request);
    }
  });
  for (Exchange& exchange : exchanges)
    ::close(exchange.fd);
  ::close(epoll);
  return figures;
}

std::string fetch_answer(const Server& server, const std::string& request) {
  Exchange exchange;
  exchange.fd = connect_to(server.socket);
  send_request(exchange, request);
  while (!receive_some(exchange)) {
  }
  ::close(exchange.fd);
  std::string answer = exchange.buffer.substr(0, exchange.have);
  if (!answer.starts_with("HTTP/1.1 200")) {
    errno = EPROTO;
    fail("the server answered " + answer.substr(0, answer.find('\r')));
  }
  return answer;
}

// The median of the ratios of rounds in which both were measured one after the other.
struct Rounds {
  std::vector<Figures> server, echo;
  double ratio(double Figures::*what) const {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < server.size(); ++i)
      ratios.push_back(server[i].*what / (echo[i].*what));
    std::sort(ratios.begin(), ratios.end());
    return ratios[ratios.size() / 2];
  }
  double middle(const std::vector<Figures>& of, double Figures::*what) const {
    std::vector<double> values;
    for (const Figures& figures : of)
      values.push_back(figures.*what);
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  }
};

void print(const char* what, const Rounds& rounds, double Figures::*figure, const char* bound, double limit,
           bool at_most) {
  const double ratio = rounds.ratio(figure);
  const bool met = at_most ? ratio <= limit : ratio >= limit;
  std::printf("%-44s %12.1f %12.1f %7.2f x  %s%.2f x  %s\n", what, rounds.middle(rounds.server, figure),
              rounds.middle(rounds.echo, figure), ratio, bound, limit, met ? "met" : "MISSED");
}

struct Options {
  std::string echo, socket, target = "/v1/accounts/bench/token";
  std::vector<std::string> command;
  pid_t pid = 0;
  double seconds = 1;
  int rounds = 5;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const auto value = [&] { return i + 1 < argc ? argv[++i] : ""; };
    if (word == "--echo") options.echo = value();
    if (word == "--socket") options.socket = value();
    if (word == "--target") options.target = value();
    if (word == "--pid") options.pid = std::atoi(value());
    if (word == "--seconds") options.seconds = std::atof(value());
    if (word == "--rounds") options.rounds = std::atoi(value());
    if (word == "--server") options.command.assign(argv + i + 1, argv + argc), i = argc;
  }
  const bool complete =
      !options.echo.empty() && (!options.command.empty() || (!options.socket.empty() && options.pid > 0));
  if (!complete || options.seconds <= 0 || options.rounds < 1) {
    std::fputs(
        "usage: bench_http_bench --echo PROGRAM [--seconds N] [--rounds N] [--target PATH]\n"
        "                        (--server PROGRAM … | --socket PATH --pid PID)\n",
        stderr);
    std::exit(2);
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  Options options = parse(argc, argv);
  char directory[] = "/tmp/credsync-bench-XXXXXX";
  if (::mkdtemp(directory) == nullptr) fail("make a directory");
  const std::string base(directory);
  Server server{options.socket, options.pid, false};
  if (!options.command.empty()) {
    options.command.push_back(base + "/server.sock");
    server = launch(options.command, base + "/server.sock");
  }
  // About 100 bytes, as a library's client sends them.
  const std::string request =
      "GET " + options.target + " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench/1\r\nAccept: */*\r\n\r\n";
  const std::string answer = fetch_answer(server, request);
  std::ofstream(base + "/answer", std::ios::binary) << answer;
  const Server echo = launch({options.echo, base + "/echo.sock", base + "/answer"}, base + "/echo.sock");
  pin(server.pid, kServerCpu);
  pin(echo.pid, kServerCpu);

  const auto rounds = [&](auto measure_one, int client_cpu) {
    pin(0, client_cpu);
    Rounds all;
    for (int i = 0; i < options.rounds; ++i) {
      all.echo.push_back(measure_one(echo, request, options.seconds));
      all.server.push_back(measure_one(server, request, options.seconds));
    }
    return all;
  };
  std::printf("request %zu bytes, answer %zu bytes, median of %d rounds of %.1f s\n\n", request.size(), answer.size(),
              options.rounds, options.seconds);
  std::printf("%-44s %12s %12s %9s  %s\n", "", "server", "echo", "ratio", "target");
  const Rounds one = rounds(one_client, kServerCpu);
  print("keep-alive, 1 client, same CPU: p50 us", one, &Figures::p50, "<= ", 1.75, true);
  const Rounds many = rounds(many_clients, kClientCpu);
  print("keep-alive, 64 clients: requests/s", many, &Figures::rate, ">= ", 0.6, false);
  print("keep-alive, 64 clients: server CPU us/request", many, &Figures::server_cpu, "<= ", 2.0, true);
  print("keep-alive, 64 clients: p99 us", many, &Figures::p99, "<= ", 1.5, true);
  const Rounds each = rounds(connection_each, kServerCpu);
  print("connection per request, same CPU: p50 us", each, &Figures::p50, "<= ", 1.4, true);
  print("connection per request, same CPU: requests/s", each, &Figures::rate, ">= ", 0.7, false);

  end(echo);
  end(server);
  for (const char* name : {"/server.sock", "/echo.sock", "/answer"})
    ::unlink((base + name).c_str());
  ::rmdir(directory);
  return 0;
}
