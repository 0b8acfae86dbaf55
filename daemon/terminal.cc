#include "daemon/terminal.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"

namespace credsync {
namespace {

constexpr std::size_t kLongestLine = 1024;  // a recovery key has 47 characters
constexpr char kInterrupt = 3, kEndOfInput = 4, kBackspace = 8, kEraseLine = 21, kDelete = 127;

Error cancelled() {
  return Error(ErrorCode::kCancelled, "cancelled; nothing was changed");
}

// While it lives: no echo, bytes as they are typed, and Ctrl-C is one of them. Signals that end the process only wake
// the wait, so that no terminal is left mute.
class MuteTerminal {
 public:
  explicit MuteTerminal(int fd) : fd_(fd) {
    sigset_t ending;
    ::sigemptyset(&ending);
    for (const int signal : {SIGTERM, SIGHUP, SIGINT})
      ::sigaddset(&ending, signal);
    ::sigprocmask(SIG_BLOCK, &ending, &mask_before_);
    signals_ = Descriptor(::signalfd(-1, &ending, SFD_CLOEXEC));
    mute_ = ::tcgetattr(fd_, &before_) == 0;
    termios settings = before_;
    settings.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON | ISIG);
    settings.c_cc[VMIN] = 1;
    settings.c_cc[VTIME] = 0;
    mute_ = mute_ && ::tcsetattr(fd_, TCSAFLUSH, &settings) == 0;
  }
  MuteTerminal(const MuteTerminal&) = delete;
  MuteTerminal& operator=(const MuteTerminal&) = delete;
  ~MuteTerminal() {
    if (mute_) ::tcsetattr(fd_, TCSAFLUSH, &before_);
    ::sigprocmask(SIG_SETMASK, &mask_before_, nullptr);  // a signal that came is delivered now
  }
  bool mute() const { return mute_; }
  // False: a signal came.
  bool wait() const {
    while (true) {
      pollfd watched[2] = {{fd_, POLLIN, 0}, {signals_.get(), POLLIN, 0}};
      if (::poll(watched, 2, -1) < 0 && errno != EINTR) return false;
      if (watched[1].revents != 0) return false;
      if (watched[0].revents != 0) return true;
    }
  }

 private:
  int fd_;
  bool mute_ = false;
  termios before_{};
  sigset_t mask_before_{};
  Descriptor signals_;
};

Result<WipedString> read_typed(const std::string& prompt) {
  const MuteTerminal terminal(STDIN_FILENO);
  if (!terminal.mute()) return Error(ErrorCode::kIo, "the terminal cannot be kept from showing what is typed");
  if (::write(STDERR_FILENO, prompt.data(), prompt.size()) < 0) return from_errno("ask on the terminal", errno);
  WipedString line;
  line.text().reserve(kLongestLine);
  while (true) {
    char c = 0;
    if (!terminal.wait() || ::read(STDIN_FILENO, &c, 1) != 1) return cancelled();
    if (c == '\n' || c == '\r' || c == kInterrupt || c == kEndOfInput) {
      if (::write(STDERR_FILENO, "\n", 1) < 0) return cancelled();
      if (c == kInterrupt || (c == kEndOfInput && line.text().empty())) return cancelled();
      return line;
    }
    if (c == kEraseLine) wipe(line.text()), line.text().reserve(kLongestLine);
    if (c == kBackspace || c == kDelete) {
      if (!line.text().empty()) line.text().pop_back();
    } else if (c != kEraseLine && line.text().size() < kLongestLine) {
      line.text() += c;
    }
  }
}

// A pipe or a file: byte by byte, so that nothing of what follows the line is taken.
Result<WipedString> read_piped() {
  WipedString line;
  line.text().reserve(kLongestLine);
  while (true) {
    char c = 0;
    const ssize_t got = ::read(STDIN_FILENO, &c, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return from_errno("read standard input", errno);
    if (got == 0 && line.text().empty()) return cancelled();
    if (got == 0 || c == '\n') return line;
    if (line.text().size() == kLongestLine) return invalid("the line on standard input is too long");
    line.text() += c;
  }
}

}  // namespace

Result<WipedString> read_hidden_line(const std::string& prompt) {
  return ::isatty(STDIN_FILENO) == 1 ? read_typed(prompt) : read_piped();
}

bool output_is_terminal() {
  return ::isatty(STDOUT_FILENO) == 1;
}

bool show_on_terminal(std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::write(STDOUT_FILENO, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(put));
  }
  return true;
}

}  // namespace credsync
