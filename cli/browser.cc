#include "cli/browser.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "cli/program.h"
#include "cli/users.h"

namespace credsync::cli {
namespace {

bool is_set(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

std::string with_address(std::string_view word, const std::string& address, bool& placed) {
  std::string out;
  for (std::size_t i = 0; i < word.size(); ++i) {
    const char next = i + 1 < word.size() ? word[i + 1] : '\0';
    if (word[i] == '%' && next == 's') {
      out += address;
      placed = true;
      ++i;
    } else if (word[i] == '%' && next == '%') {
      out += '%';
      ++i;
    } else {
      out += word[i];
    }
  }
  return out;
}

// One entry of $BROWSER: words at blanks; no shell ever sees the address.
std::vector<std::string> command_of(std::string_view entry, const std::string& address) {
  constexpr std::string_view kBlanks = " \t";
  std::vector<std::string> words;
  bool placed = false;
  while (true) {
    const std::size_t begin = entry.find_first_not_of(kBlanks);
    if (begin == entry.npos) break;
    entry.remove_prefix(begin);
    const std::string_view word = entry.substr(0, entry.find_first_of(kBlanks));
    entry.remove_prefix(word.size());
    words.push_back(with_address(word, address, placed));
  }
  if (!words.empty() && !placed) words.push_back(address);
  return words;
}

}  // namespace

BrowserSurroundings look_around() {
  BrowserSurroundings around;
  const char* browser = std::getenv("BROWSER");
  around.browser = browser != nullptr ? browser : "";
  around.graphical = is_set("DISPLAY") || is_set("WAYLAND_DISPLAY");
  around.root = ::geteuid() == 0;
  around.by_sudo = sudo_caller().has_value();
  around.has_xdg_open = can_be_run("xdg-open");
  return around;
}

std::vector<std::vector<std::string>> browser_commands(const BrowserSurroundings& around, const std::string& address) {
  std::vector<std::vector<std::string>> commands;
  if (around.by_sudo || address.empty()) return commands;
  std::string_view rest = around.browser;
  while (!rest.empty()) {
    const std::string_view entry = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), entry.size() + 1));
    auto words = command_of(entry, address);
    if (!words.empty()) commands.push_back(std::move(words));
  }
  if (around.graphical && around.has_xdg_open && !around.root) commands.push_back({"xdg-open", address});
  return commands;
}

bool BrowserLauncher::start() {
  while (next_ < commands_.size()) {
    const auto pid = start_apart(commands_[next_++]);
    if (!pid) continue;
    pid_ = *pid;
    return true;
  }
  return false;
}

bool BrowserLauncher::on_child() {
  int status = 0;
  if (pid_ < 0 || ::waitpid(pid_, &status, WNOHANG) != pid_) return true;
  pid_ = -1;
  const bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  return good || start();
}

}  // namespace credsync::cli
