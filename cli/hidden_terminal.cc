#include "cli/hidden_terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace credsync::cli {
namespace {

constexpr std::string_view kMarkPastes = "\033[?2004h";
constexpr std::string_view kLeavePastes = "\033[?2004l";

}  // namespace

HiddenTerminal::HiddenTerminal(bool brackets) : brackets_(brackets) {
  fd_ = ::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
}

HiddenTerminal::~HiddenTerminal() {
  release();
  if (fd_ >= 0) ::close(fd_);
}

void HiddenTerminal::say(std::string_view sequence) const {
  // It is a wish: a terminal that does not hear it still works.
  if (brackets_ && ::write(fd_, sequence.data(), sequence.size()) < 0) return;
}

void HiddenTerminal::acquire() {
  if (held_ || fd_ < 0 || ::tcgetpgrp(fd_) != ::getpgrp()) return;
  if (::tcgetattr(fd_, &before_) != 0) return;
  termios settings = before_;
  settings.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON);
  // Never block in read(): a signal's key empties the queue, and what poll() promised may be gone again.
  settings.c_cc[VMIN] = 0;
  settings.c_cc[VTIME] = 0;
  held_ = ::tcsetattr(fd_, TCSAFLUSH, &settings) == 0;
  if (held_) say(kMarkPastes);
}

void HiddenTerminal::release() {
  if (!held_) return;
  held_ = false;
  // In the background the terminal is the shell's, which set it as it likes; changing it would stop this process.
  if (::tcgetpgrp(fd_) != ::getpgrp()) return;
  say(kLeavePastes);
  // With the flush, what is left of a paste does not end at the shell's prompt.
  ::tcsetattr(fd_, TCSAFLUSH, &before_);
}

long HiddenTerminal::read(char* bytes, std::size_t size) {
  pollfd ready{fd_, POLLIN, 0};
  if (!held_ || ::poll(&ready, 1, 0) <= 0) return 0;
  const ssize_t got = ::read(fd_, bytes, size);
  if (got > 0) return got;
  const bool gone =
      (ready.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0 || (got < 0 && errno != EINTR && errno != EAGAIN);
  if (!gone) return 0;
  held_ = false;
  ::close(fd_);
  fd_ = -1;
  return -1;
}

}  // namespace credsync::cli
