#include "cli/secret_input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "cli/terminal.h"

namespace credsync::cli {
namespace {

// No token is longer: the largest JWTs seen are 16 KiB, a header of that size is what servers refuse.
constexpr std::size_t kMaxSecret = 64 * 1024;

volatile sig_atomic_t caught_signal = 0;
void note_signal(int number) {
  caught_signal = number;
}

constexpr std::array<int, 6> kEndingSignals{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGTSTP};

Outcome<Secret> checked(WipedString&& text, const char* from) {
  const std::string where = from;
  if (text.text().empty()) return misused("the secret on " + where + " is empty");
  // JSON carries text only, and a NUL would end it early somewhere.
  if (!is_utf8_text(text.text())) return misused("the secret on " + where + " is not text (UTF-8)");
  return Secret(text.text());
}

// While this lives: no echo, bytes as they are typed (a line edited by the terminal ends at 4,095 bytes,
// which is less than some tokens), and the signals that end or stop the process only noted, and blocked
// outside wait().
class QuietTerminal {
 public:
  explicit QuietTerminal(int fd) : fd_(fd) {
    sigset_t blocked;
    ::sigemptyset(&blocked);
    for (const int number : kEndingSignals)
      ::sigaddset(&blocked, number);
    ::sigprocmask(SIG_BLOCK, &blocked, &mask_before_);
    struct sigaction note {};
    note.sa_handler = note_signal;
    for (std::size_t i = 0; i < kEndingSignals.size(); ++i)
      ::sigaction(kEndingSignals[i], &note, &actions_before_[i]);
    caught_signal = 0;
    quiet_ = ::tcgetattr(fd_, &settings_before_) == 0;
    termios settings = settings_before_;
    settings.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON);
    // Never block in read(): a signal's key empties the queue, and what poll() promised may be gone again.
    settings.c_cc[VMIN] = 0;
    settings.c_cc[VTIME] = 0;
    quiet_ = quiet_ && ::tcsetattr(fd_, TCSAFLUSH, &settings) == 0;
  }

  ~QuietTerminal() {
    if (quiet_) ::tcsetattr(fd_, TCSAFLUSH, &settings_before_);
    for (std::size_t i = 0; i < kEndingSignals.size(); ++i)
      ::sigaction(kEndingSignals[i], &actions_before_[i], nullptr);
    ::sigprocmask(SIG_SETMASK, &mask_before_, nullptr);
  }

  QuietTerminal(const QuietTerminal&) = delete;
  QuietTerminal& operator=(const QuietTerminal&) = delete;

  bool quiet() const { return quiet_; }
  bool hung_up() const { return hung_up_; }

  // Until there is something to read (true) or a signal came (false). ppoll lets signals in only while it
  // waits.
  bool wait() {
    while (caught_signal == 0) {
      pollfd ready{fd_, POLLIN, 0};
      if (::ppoll(&ready, 1, nullptr, &mask_before_) <= 0) continue;
      hung_up_ = (ready.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
      return true;
    }
    return false;
  }

 private:
  int fd_;
  bool quiet_ = false;
  bool hung_up_ = false;
  termios settings_before_{};
  sigset_t mask_before_{};
  std::array<struct sigaction, kEndingSignals.size()> actions_before_{};
};

void erase_character(std::string& line) {
  while (!line.empty() && (static_cast<unsigned char>(line.back()) & 0xc0) == 0x80)
    line.pop_back();
  if (!line.empty()) line.pop_back();
}

enum class Typing { kMore, kDone, kTooLong };

// One byte typed, with the few keys that edit a line.
Typing type(std::string& line, char c) {
  constexpr char kEndOfInput = 4, kEraseLine = 21, kBackspace = 8, kDelete = 127;
  if (c == '\n' || c == '\r' || c == kEndOfInput) return Typing::kDone;
  if (c == kBackspace || c == kDelete) {
    erase_character(line);
  } else if (c == kEraseLine) {
    line.clear();
  } else if (line.size() == kMaxSecret) {
    return Typing::kTooLong;
  } else {
    line += c;
  }
  return Typing::kMore;
}

// Asks once. `signal_number` is the signal that interrupted, else 0.
Outcome<Secret> ask_once(int tty, const std::string& prompt, bool may_be_empty, int& signal_number) {
  QuietTerminal terminal(tty);
  signal_number = 0;
  if (!terminal.quiet()) return failed("the terminal cannot be kept from showing what is typed");
  if (::write(tty, prompt.data(), prompt.size()) < 0) return failed("cannot write to the terminal");
  WipedString line;
  line.text().reserve(kMaxSecret);
  Typing typing = Typing::kMore;
  while (typing == Typing::kMore) {
    char c = 0;
    if (!terminal.wait()) {
      signal_number = caught_signal;
      break;
    }
    const ssize_t got = ::read(tty, &c, 1);
    if (got == 1) {
      typing = type(line.text(), c);
    } else if (terminal.hung_up() || (got < 0 && errno != EINTR)) {
      return failed("the terminal went away");  // half a secret is none
    }
  }
  if (::write(tty, "\n", 1) < 0) return failed("cannot write to the terminal");
  if (signal_number != 0) return failed("interrupted");
  if (typing == Typing::kTooLong) return misused("the secret is longer than 64 KiB");
  if (may_be_empty && line.text().empty()) return Secret();
  return checked(std::move(line), "the terminal");
}

Outcome<Secret> ask(const std::string& prompt, bool may_be_empty) {
  const int tty = ::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  if (tty < 0) {
    return misused(
        "there is no terminal to ask for the secret on; give it on standard input "
        "(--password-stdin, --refresh-token-stdin, --token-stdin)");
  }
  while (true) {
    int signal_number = 0;
    Outcome<Secret> secret = ask_once(tty, prompt, may_be_empty, signal_number);
    if (signal_number != 0) ::raise(signal_number);  // stops here on SIGTSTP, ends here on the others
    if (signal_number == SIGTSTP) continue;
    ::close(tty);
    return secret;
  }
}

}  // namespace

Outcome<Secret> read_secret_from_stdin() {
  WipedString text;
  text.text().resize(kMaxSecret + 3);  // with CR LF, and one to see that there is more
  std::size_t size = 0;
  while (size < text.text().size()) {
    const ssize_t got = ::read(STDIN_FILENO, text.text().data() + size, text.text().size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(std::string("cannot read standard input: ") + ::strerror(errno));
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  std::string_view line = std::string_view(text.text()).substr(0, size);
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.size() > kMaxSecret) return misused("the secret on standard input is longer than 64 KiB");
  text.text().resize(line.size());
  return checked(std::move(text), "standard input");
}

Outcome<Secret> ask_secret(const std::string& prompt) {
  return ask(prompt, false);
}

Outcome<Secret> ask_optional_secret(const std::string& prompt) {
  return ask(prompt, true);
}

}  // namespace credsync::cli
