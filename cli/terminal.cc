#include "cli/terminal.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "cli/environment.h"

namespace credsync::cli {
namespace {

// As the C library chooses it: LC_ALL, else LC_CTYPE, else LANG. Asking it would mean loading a locale.
bool locale_is_utf8() {
  std::string locale;
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    locale = variable(name);
    if (!locale.empty()) break;
  }
  std::string charset(locale.substr(std::min(locale.find('.'), locale.size())));
  for (char& c : charset)
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return charset.starts_with(".utf-8") || charset.starts_with(".utf8");
}

std::size_t number(std::string_view text, std::size_t otherwise) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value != 0 ? value : otherwise;
}

std::string_view code_of(Style style) {
  switch (style) {
    case Style::kPlain: return "";
    case Style::kBold: return "\033[1m";
    case Style::kDim: return "\033[2m";
    case Style::kGreen: return "\033[32m";
    case Style::kYellow: return "\033[33m";
    case Style::kRed: return "\033[31m";
  }
  return "";
}

int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

View look_at(int fd) {
  constexpr std::size_t kUsualColumns = 80;
  constexpr std::size_t kUsualRows = 24;
  View view;
  view.utf8 = locale_is_utf8();
  view.terminal = ::isatty(fd) == 1;
  if (!view.terminal) return view;
  winsize size{};
  const bool known = ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col != 0;
  view.columns = known ? size.ws_col : number(variable("COLUMNS"), kUsualColumns);
  view.rows = known && size.ws_row != 0 ? size.ws_row : number(variable("LINES"), kUsualRows);
  view.moves = variable("TERM") != "dumb" && !variable("TERM").empty();
  view.colour = view.moves && variable("NO_COLOR").empty();
  return view;
}

}  // namespace

View look_at_stdout() {
  return look_at(STDOUT_FILENO);
}

View look_at_stderr() {
  return look_at(STDERR_FILENO);
}

std::string styled(const View& view, Style style, std::string_view text) {
  if (!view.colour || style == Style::kPlain || text.empty()) return std::string(text);
  return std::string(code_of(style)).append(text).append("\033[0m");
}

Outcome<void> write_out(std::string_view text) {
  const int error = write_all(STDOUT_FILENO, text);
  if (error != 0) return failed(std::string("cannot write to standard output: ") + ::strerror(error));
  return {};
}

void write_err(std::string_view text) {
  write_all(STDERR_FILENO, text);
}

}  // namespace credsync::cli
