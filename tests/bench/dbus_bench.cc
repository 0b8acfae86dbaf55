// Measures GetAccessToken against a bare sd-bus method that gives the same reply, both over the same bus in this run, in
// turns, and prints the ratios.
//   bench_dbus_bench --pid PID --account NAME [--seconds N] [--rounds N]
// The daemon with that pid is on the bus that DBUS_SYSTEM_BUS_ADDRESS names. The bare one is a child of this program.
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
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

namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kService = "org.credsync.CredSync1";
constexpr const char* kServicePath = "/org/credsync/CredSync1";
constexpr const char* kBare = "org.credsync.Bench.Bare";
constexpr int kServerCpu = 0;  // the bus too: both servers share it
constexpr int kClientCpu = 1;

int must(int result, const char* what) {
  if (result >= 0) return result;
  std::fprintf(stderr, "bench: %s: %s\n", what, std::strerror(-result));
  std::exit(1);
}

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

sd_bus* connect_to_bus() {
  sd_bus* bus = nullptr;
  must(::sd_bus_open_system(&bus), "connect to the bus");
  return bus;
}

sd_bus_message* call(sd_bus* bus, const char* destination, const char* path, const char* account) {
  sd_bus_message *message = nullptr, *reply = nullptr;
  must(::sd_bus_message_new_method_call(bus, &message, destination, path, destination, "GetAccessToken"),
       "make a call");
  must(::sd_bus_message_append(message, "sa{sv}", account, 0), "make a call");
  sd_bus_error error = SD_BUS_ERROR_NULL;
  if (const int r = ::sd_bus_call(bus, message, 0, &error, &reply); r < 0) {
    std::fprintf(stderr, "bench: %s: %s\n", destination, error.message);
    std::exit(1);
  }
  ::sd_bus_message_unref(message);
  return reply;
}

// --- the bare server: what the service answered once, appended again for each call ---------------------------------

struct Step {
  enum class Kind { kOpen, kClose, kText, kNumber } kind;
  char type = 0;
  std::string text;  // the value, or what a container holds
  std::uint64_t number = 0;
};

void record(sd_bus_message* message, std::vector<Step>& steps) {
  char type = 0;
  const char* contents = nullptr;
  while (must(::sd_bus_message_peek_type(message, &type, &contents), "read the reply") > 0) {
    if (contents != nullptr) {
      const std::string inside(contents);
      must(::sd_bus_message_enter_container(message, type, inside.c_str()), "read the reply");
      steps.push_back({Step::Kind::kOpen, type, inside});
      record(message, steps);
      must(::sd_bus_message_exit_container(message), "read the reply");
      steps.push_back({Step::Kind::kClose, type, {}});
    } else if (type == 's') {
      const char* text = nullptr;
      must(::sd_bus_message_read_basic(message, type, &text), "read the reply");
      steps.push_back({Step::Kind::kText, type, text});
    } else {
      std::uint64_t number = 0;
      must(::sd_bus_message_read_basic(message, type, &number), "read the reply");
      steps.push_back({Step::Kind::kNumber, type, {}, number});
    }
  }
}

int answer(sd_bus_message* message, void* steps, sd_bus_error*) {
  sd_bus_message* reply = nullptr;
  must(::sd_bus_message_new_method_return(message, &reply), "answer");
  for (const Step& step : *static_cast<std::vector<Step>*>(steps)) {
    switch (step.kind) {
      case Step::Kind::kOpen: ::sd_bus_message_open_container(reply, step.type, step.text.c_str()); break;
      case Step::Kind::kClose: ::sd_bus_message_close_container(reply); break;
      case Step::Kind::kText: ::sd_bus_message_append_basic(reply, step.type, step.text.c_str()); break;
      case Step::Kind::kNumber: ::sd_bus_message_append_basic(reply, step.type, &step.number); break;
    }
  }
  must(::sd_bus_send(nullptr, reply, nullptr), "answer");
  ::sd_bus_message_unref(reply);
  return 1;
}

[[noreturn]] void serve_bare(std::vector<Step> steps, int ready) {
  static const sd_bus_vtable kTable[] = {
      SD_BUS_VTABLE_START(0), SD_BUS_METHOD("GetAccessToken", "sa{sv}", "sta{sv}", answer, SD_BUS_VTABLE_UNPRIVILEGED),
      SD_BUS_VTABLE_END};
  sd_bus* bus = connect_to_bus();
  must(::sd_bus_add_object_vtable(bus, nullptr, kServicePath, kBare, kTable, &steps), "serve");
  must(::sd_bus_request_name(bus, kBare, 0), "take the name of the bare server");
  if (::write(ready, "r", 1) != 1) std::exit(1);
  while (true) {
    if (must(::sd_bus_process(bus, nullptr), "serve") == 0) must(::sd_bus_wait(bus, UINT64_MAX), "serve");
  }
}

pid_t launch_bare(const char* account) {
  sd_bus* bus = connect_to_bus();
  sd_bus_message* reply = call(bus, kService, kServicePath, account);
  std::vector<Step> steps;
  record(reply, steps);
  ::sd_bus_message_unref(reply);
  ::sd_bus_close_unref(bus);
  int ready[2];
  if (::pipe(ready) != 0) must(-errno, "pipe");
  const pid_t pid = ::fork();
  if (pid == 0) serve_bare(std::move(steps), ready[1]);
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
    ::sd_bus_message_unref(call(bus, destination, kServicePath, account));
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
  sd_bus* bus = connect_to_bus();
  std::vector<double> p50[2], p99[2], cpu[2];
  for (int round = -1; round < rounds; ++round) {  // the first warms up
    const Figures figures[2] = {measure(bus, daemon, kService, account, seconds),
                                measure(bus, bare, kBare, account, seconds)};
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
