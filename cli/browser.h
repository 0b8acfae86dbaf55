// Which browser to open, and opening it. The first half is pure.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "cli/failure.h"

namespace credsync::cli {

// What of the surroundings decides.
struct BrowserSurroundings {
  std::string browser;     // $BROWSER
  bool graphical = false;  // $DISPLAY or $WAYLAND_DISPLAY
  bool root = false;
  bool by_sudo = false;  // root, and somebody else's session
  bool has_xdg_open = false;
};
BrowserSurroundings look_around();

// The command lines to try, in this order; none: the address is only printed.
//   - $BROWSER, a list separated by colons: each is a command without a shell, %s in it is the address, else that comes last;
//   - xdg-open where there is a graphical session.
// Never for another user: under sudo there is none, since a browser of root in somebody's session would run everything that
// it loads as root. Root's own $BROWSER is root's own choice.
std::vector<std::vector<std::string>> browser_commands(const BrowserSurroundings& around, const std::string& address);

// Tries them one after another, as each says by its exit status that it could not.
class BrowserLauncher {
 public:
  explicit BrowserLauncher(std::vector<std::vector<std::string>> commands) : commands_(std::move(commands)) {}
  // False: there is none that starts.
  bool start();
  // On SIGCHLD. False: the last one gave up, and there is no other.
  bool on_child();

 private:
  std::vector<std::vector<std::string>> commands_;
  std::size_t next_ = 0;
  pid_t pid_ = -1;
};

}  // namespace credsync::cli
