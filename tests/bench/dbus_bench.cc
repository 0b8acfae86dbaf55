// Measures GetAccessToken against a bare sd-bus method that gives the same reply, both over the same bus in this run, in
// turns, and prints the ratios.
//   bench_dbus_bench --pid PID --account NAME [--seconds N] [--rounds N]
// The daemon with that pid is on the bus that DBUS_SYSTEM_BUS_ADDRESS names. The bare one is a child of this program.
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "tests/bench/bare_bus.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kServerCpu = 0;  // the bus too: both servers share it
constexpr int kClientCpu = 1;

using bare_bus::must;

void pin(pid_t pid, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(cpu), &set);
  ::sched_setaffinity(pid, sizeof set, &set);  // on one CPU only it stays where it is
}

double cpu_seconds(pid_t pid) {
  clockid_t clock{};
  timespec used{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &used) != 0)
    must(-ESRCH, "the server's CPU time");
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

pid_t launch_bare(const char* account) {
  std::vector<bare_bus::Step> steps = bare_bus::recorded(account);
  int ready[2];
  if (::pipe(ready) != 0) must(-errno, "pipe");
  const pid_t pid = ::fork();
  if (pid == 0) {
    bare_bus::serve(std::move(steps), [&] {
      if (::write(ready[1], "r", 1) != 1) std::exit(1);
    });
  }
  must(pid, "fork");
  ::close(ready[1]);
  char byte = 0;
  if (::read(ready[0], &byte, 1) != 1) must(-EPIPE, "start the bare server");
  return pid;
}

// --- measuring -----------------------------------------------------------------------------------------------------

struct Figures {
  double p50 = 0, p99 = 0, server_cpu = 0;  // microseconds
};

Figures measure(sd_bus* bus, pid_t server, const char* destination, const char* account, double seconds) {
  std::vector<double> times;
  const double cpu = cpu_seconds(server);
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (Clock::now() < end) {
    const auto begin = Clock::now();
    ::sd_bus_message_unref(bare_bus::get_access_token(bus, destination, account));
    times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
  }
  const double used = cpu_seconds(server) - cpu;
  std::sort(times.begin(), times.end());
  const auto at = [&](double share) {
    return times[static_cast<std::size_t>(share * static_cast<double>(times.size() - 1))];
  };
  return {at(0.50), at(0.99), used / static_cast<double>(times.size()) * 1e6};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void report(const char* what, std::vector<double> service, std::vector<double> bare, const char* target) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < service.size(); ++i)
    ratios.push_back(service[i] / bare[i]);
  std::printf("%-24s %9.1f us %9.1f us   %5.2f   %s\n", what, median(service), median(bare), median(ratios), target);
}

const char* option(int argc, char** argv, std::string_view name, const char* otherwise) {
  for (int i = 1; i + 1 < argc; ++i) {
    if (name == argv[i]) return argv[i + 1];
  }
  return otherwise;
}

}  // namespace

int main(int argc, char** argv) {
  const auto daemon = static_cast<pid_t>(std::atoi(option(argc, argv, "--pid", "0")));
  const char* account = option(argc, argv, "--account", "");
  const double seconds = std::atof(option(argc, argv, "--seconds", "1"));
  const int rounds = std::atoi(option(argc, argv, "--rounds", "7"));
  if (daemon <= 0 || *account == '\0') must(-EINVAL, "--pid and --account are needed");
  const pid_t bare = launch_bare(account);
  pin(daemon, kServerCpu);
  pin(bare, kServerCpu);
  pin(0, kClientCpu);
  sd_bus* bus = bare_bus::connect();
  std::vector<double> p50[2], p99[2], cpu[2];
  for (int round = -1; round < rounds; ++round) {  // the first warms up
    const Figures figures[2] = {measure(bus, daemon, bare_bus::kService, account, seconds),
                                measure(bus, bare, bare_bus::kBare, account, seconds)};
    for (int i = 0; round >= 0 && i < 2; ++i) {
      p50[i].push_back(figures[i].p50);
      p99[i].push_back(figures[i].p99);
      cpu[i].push_back(figures[i].server_cpu);
    }
  }
  std::printf("%-24s %12s %12s   ratio   target\n", "GetAccessToken", "service", "bare sd-bus");
  report("p50", p50[0], p50[1], "1.2");
  report("p99", p99[0], p99[1], "");
  report("server CPU a call", cpu[0], cpu[1], "1.2");
  ::sd_bus_close_unref(bus);
  ::kill(bare, SIGTERM);
  ::waitpid(bare, nullptr, 0);
}
