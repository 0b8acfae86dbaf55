#include "cli/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

namespace credsync::cli {
namespace {

// As long as a line that the terminal edits can be.
constexpr std::size_t kLongestAnswer = 4096;

Descriptor terminal() {
  return Descriptor(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
}

std::string trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == text.npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1));
}

Outcome<std::string> ask(const std::string& prompt) {
  const Descriptor tty = terminal();
  if (!tty) return misused("there is no terminal to ask on");
  if (::write(tty.get(), prompt.data(), prompt.size()) < 0) return failed("cannot write to the terminal");
  std::string line;
  while (!line.ends_with('\n')) {
    char bytes[kLongestAnswer];
    const ssize_t got = ::read(tty.get(), bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return failed("given up; nothing was changed");
    line.append(bytes, static_cast<std::size_t>(got));
    if (line.size() > kLongestAnswer) return misused("that is too long");
  }
  return trimmed(line);
}

}  // namespace

bool can_ask() {
  return static_cast<bool>(terminal());
}

Outcome<std::string> ask_line(const std::string& question, const std::string& otherwise) {
  const std::string shown = otherwise.empty() ? "" : " [" + otherwise + "]";
  CREDSYNC_LET(answer, ask(question + shown + ": "));
  return answer.empty() ? otherwise : answer;
}

Outcome<bool> ask_yes(const std::string& question, bool otherwise) {
  while (true) {
    CREDSYNC_LET(answer, ask(question + (otherwise ? " [Y/n] " : " [y/N] ")));
    if (answer.empty()) return otherwise;
    if (answer == "y" || answer == "Y" || answer == "yes") return true;
    if (answer == "n" || answer == "N" || answer == "no") return false;
  }
}

}  // namespace credsync::cli
