// Only programs with switches have it (cmake/CredsyncTargets.cmake).
#include "base/fail_point.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>

namespace credsync::fail_point {
namespace {

constexpr auto kHoldPoll = std::chrono::milliseconds(5);

struct Rule {
  std::string line;  // what it is known by
  std::string action;
  int argument = 0;
  unsigned long skip = 0;
  unsigned long times = 0;  // 0: always
};

// Read anew each time: a test of units names it for a while.
std::string file() {
  const char* value = std::getenv("CREDSYNC_FAIL_POINTS");
  return value != nullptr ? value : "";
}

unsigned long number_after(const std::string& word, const char* key) {
  const std::string prefix(key);
  return word.starts_with(prefix) ? std::strtoul(word.c_str() + prefix.size(), nullptr, 10) : 0;
}

// The rule of the first line that fits.
Rule rule_for(const std::string& point) {
  std::ifstream lines(file());
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    Rule rule{line, {}, 0, 0, 0};
    std::string name, word;
    words >> name >> rule.action;
    if (name != point && name != "*") continue;
    while (words >> word) {
      if (word.starts_with("#")) break;  // tells two equal rules apart
      if (word.starts_with("skip=")) {
        rule.skip = number_after(word, "skip=");
      } else if (word.starts_with("times=")) {
        rule.times = number_after(word, "times=");
      } else {
        rule.argument = std::atoi(word.c_str());
      }
    }
    return rule;
  }
  return {};
}

void note(const char* suffix, const std::string& point) {
  const int fd = ::open((file() + suffix).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return;
  const std::string line = point + "\n";
  [[maybe_unused]] const ssize_t put = ::write(fd, line.data(), line.size());
  ::close(fd);
}

bool is_its_turn(const Rule& rule) {
  static std::mutex mutex;
  static std::map<std::string, unsigned long> hits;
  const std::scoped_lock lock(mutex);
  const unsigned long hit = ++hits[rule.line];
  return hit > rule.skip && (rule.times == 0 || hit <= rule.skip + rule.times);
}

void hold(const std::string& point, const std::string& line) {
  note(".held", point);
  while (rule_for(point).line == line)
    std::this_thread::sleep_for(kHoldPoll);
}

}  // namespace

int reached(const char* name) {
  if (file().empty()) return 0;
  note(".seen", name);
  const Rule rule = rule_for(name);
  if (rule.action.empty() || !is_its_turn(rule)) return 0;
  if (rule.action == "kill") ::kill(::getpid(), SIGKILL);
  if (rule.action == "hold") hold(name, rule.line);
  if (rule.action == "sleep") std::this_thread::sleep_for(std::chrono::milliseconds(rule.argument));
  return rule.action == "error" ? rule.argument : 0;
}

}  // namespace credsync::fail_point
