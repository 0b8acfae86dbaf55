#include "ipc/http/target.h"

#include <algorithm>
#include <charconv>

#include "base/encoding.h"

namespace credsync::ipc::http {
namespace {

constexpr std::string_view kScheme = "http://";

bool is_plain(char c) {
  return c > ' ' && c < 0x7f && c != '#';
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool has_scheme(std::string_view target) {
  return target.size() >= kScheme.size() &&
         std::equal(kScheme.begin(), kScheme.end(), target.begin(), [](char a, char b) { return a == lower(b); });
}

// Path and query of an absolute form; the authority says nothing on a Unix socket.
std::string_view without_authority(std::string_view target) {
  const std::size_t at = target.find_first_of("/?", kScheme.size());
  return at == std::string_view::npos ? std::string_view("/") : target.substr(at);
}

Result<std::string> decode(std::string_view text) {
  if (text.find('%') == std::string_view::npos) return std::string(text);
  // A plus stays a plus: this is a query of ours, not a form, and times hold it.
  auto decoded = decode_percent(text, false);
  if (!decoded) return invalid("the request target has a broken escape");
  if (decoded->find('\0') != std::string::npos) return invalid("the request target holds NUL");
  return std::move(*decoded);
}

Result<void> add_parameter(std::string_view pair, Target& target) {
  const std::size_t equals = pair.find('=');
  auto name = decode(pair.substr(0, equals));
  if (!name) return std::move(name).error();
  auto value = decode(equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1));
  if (!value) return std::move(value).error();
  if (name->empty()) return invalid("a query parameter has no name");
  const auto same = [&](const auto& known) { return known.first == *name; };
  if (std::any_of(target.query.begin(), target.query.end(), same)) return invalid("a query parameter is given twice");
  if (target.query.size() == kMostParameters) return invalid("there are too many query parameters");
  target.query.emplace_back(std::move(*name), std::move(*value));
  return {};
}

// Reads exactly `size` digits and moves past them.
std::optional<int> take_digits(std::string_view& text, std::size_t size) {
  if (text.size() < size) return std::nullopt;
  int value = 0;
  for (const char c : text.substr(0, size)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  text.remove_prefix(size);
  return value;
}

bool take_one_of(std::string_view& text, std::string_view known) {
  if (text.empty() || known.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

// "Z" or "+hh:mm": how far east of UTC, in seconds.
std::optional<int> take_offset(std::string_view& text) {
  if (take_one_of(text, "Zz")) return 0;
  const int sign = text.starts_with('-') ? -1 : 1;
  if (!take_one_of(text, "+-")) return std::nullopt;
  const auto hours = take_digits(text, 2);
  if (!hours || !take_one_of(text, ":")) return std::nullopt;
  const auto minutes = take_digits(text, 2);
  if (!minutes || *hours > 23 || *minutes > 59) return std::nullopt;
  return sign * (*hours * 3600 + *minutes * 60);
}

std::optional<WallTime> parse_rfc3339(std::string_view text) {
  const auto year = take_digits(text, 4);
  if (!year || !take_one_of(text, "-")) return std::nullopt;
  const auto month = take_digits(text, 2);
  if (!month || !take_one_of(text, "-")) return std::nullopt;
  const auto day = take_digits(text, 2);
  if (!day || !take_one_of(text, "Tt ")) return std::nullopt;
  const auto hour = take_digits(text, 2);
  if (!hour || !take_one_of(text, ":")) return std::nullopt;
  const auto minute = take_digits(text, 2);
  if (!minute || !take_one_of(text, ":")) return std::nullopt;
  const auto second = take_digits(text, 2);
  if (!second || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  if (take_one_of(text, ".")) {
    if (!take_one_of(text, "0123456789")) return std::nullopt;
    while (take_one_of(text, "0123456789")) {
    }
  }
  const auto offset = take_offset(text);
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!offset || !text.empty() || !date.ok()) return std::nullopt;
  const auto seconds = std::chrono::sys_days(date).time_since_epoch() + std::chrono::hours(*hour) +
                       std::chrono::minutes(*minute) + std::chrono::seconds(*second - *offset);
  return saturating_add(WallTime{}, seconds);
}

}  // namespace

Result<Target> parse_target(std::string_view text) {
  if (has_scheme(text)) text = without_authority(text);
  if (!std::all_of(text.begin(), text.end(), is_plain)) {
    return invalid("the request target holds a character that must be escaped");
  }
  const std::size_t mark = text.find('?');
  Target target;
  target.path = mark == 0 ? "/" : std::string(text.substr(0, mark));
  if (!target.path.starts_with('/')) return invalid("the request target must be a path");
  if (const auto path = decode(target.path); !path) return path.error();
  std::string_view query = mark == std::string_view::npos ? std::string_view() : text.substr(mark + 1);
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    CREDSYNC_TRY(add_parameter(query.substr(0, end), target));
    if (end == std::string_view::npos) break;
    query.remove_prefix(end + 1);
    if (query.empty()) return invalid("a query parameter has no name");
  }
  return target;
}

std::optional<std::string> decode_segment(std::string_view segment) {
  if (segment.empty()) return std::nullopt;
  if (segment.find('%') == std::string_view::npos) return std::string(segment);
  return decode_percent(segment, false);
}

std::optional<std::uint64_t> parse_whole(std::string_view text, std::uint64_t most) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size() || value > most) return std::nullopt;
  return value;
}

std::optional<WallTime> parse_moment(std::string_view text) {
  const auto most = static_cast<std::uint64_t>(unix_seconds(kWallMax));
  if (const auto seconds = parse_whole(text, most)) return wall_from_seconds(static_cast<std::int64_t>(*seconds));
  return parse_rfc3339(text);
}

}  // namespace credsync::ipc::http
