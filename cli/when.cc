#include "cli/when.h"

#include <time.h>

#include <array>
#include <charconv>

namespace credsync::cli {
namespace {

constexpr std::int64_t kMinute = 60;
constexpr std::int64_t kHour = 60 * kMinute;
constexpr std::int64_t kDay = 24 * kHour;

// Takes exactly `digits` digits off the front.
std::optional<int> take_digits(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return std::nullopt;
  int value = 0;
  for (const char c : text.substr(0, digits)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  text.remove_prefix(digits);
  return value;
}

bool take(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

// Seconds east of UTC, from "Z" or "+hh:mm".
std::optional<std::int64_t> parse_offset(std::string_view text) {
  if (text == "Z" || text == "z") return 0;
  if (text.empty()) return std::nullopt;
  const int sign = text.front() == '-' ? -1 : 1;
  if (!take(text, "+-")) return std::nullopt;
  const auto hours = take_digits(text, 2);
  if (!hours || !take(text, ":")) return std::nullopt;
  const auto minutes = take_digits(text, 2);
  if (!minutes || !text.empty() || *hours > 23 || *minutes > 59) return std::nullopt;
  return sign * (*hours * kHour + *minutes * kMinute);
}

std::string format_local(WallTime t, const char* format) {
  const std::time_t seconds = static_cast<std::time_t>(unix_seconds(t));
  std::tm parts{};
  if (::localtime_r(&seconds, &parts) == nullptr) return to_rfc3339(t);
  std::array<char, 32> out{};
  const std::size_t size = std::strftime(out.data(), out.size(), format, &parts);
  return std::string(out.data(), size);
}

}  // namespace

std::optional<WallTime> parse_rfc3339(std::string_view text) {
  const auto year = take_digits(text, 4);
  if (!year || !take(text, "-")) return std::nullopt;
  const auto month = take_digits(text, 2);
  if (!month || !take(text, "-")) return std::nullopt;
  const auto day = take_digits(text, 2);
  if (!day || !take(text, "Tt ")) return std::nullopt;
  const auto hour = take_digits(text, 2);
  if (!hour || !take(text, ":")) return std::nullopt;
  const auto minute = take_digits(text, 2);
  if (!minute || !take(text, ":")) return std::nullopt;
  const auto second = take_digits(text, 2);
  if (!second || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  if (take(text, ".")) {
    if (!take(text, "0123456789")) return std::nullopt;
    while (take(text, "0123456789")) {
    }
  }
  const auto offset = parse_offset(text);
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!offset || !date.ok()) return std::nullopt;
  const std::int64_t day_number = std::chrono::sys_days(date).time_since_epoch().count();
  const std::int64_t seconds = day_number * kDay + *hour * kHour + *minute * kMinute + *second - *offset;
  return saturating_add(WallTime{}, std::chrono::seconds(seconds));
}

Outcome<std::int64_t> parse_seconds(std::string_view text) {
  std::int64_t plain = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), plain);
  constexpr std::int64_t kLongest = 100 * 366 * kDay;  // as base/time.h
  if (error == std::errc() && end == text.data() + text.size() && plain >= 0 && plain <= kLongest) return plain;
  const auto duration = parse_duration(text);
  if (!duration) return misused("'" + std::string(text) + "' is no duration: 90s, 10m, 12h, 30d or seconds");
  return to_seconds(*duration);
}

std::string span_text(std::int64_t seconds) {
  const auto two = [](std::int64_t big, const char* big_unit, std::int64_t small, const char* small_unit) {
    std::string out = std::to_string(big) + big_unit;
    if (small != 0) out += " " + std::to_string(small) + small_unit;
    return out;
  };
  if (seconds <= 0) return "0 s";
  if (seconds < kMinute) return std::to_string(seconds) + " s";
  constexpr std::int64_t kSecondsMatter = 10 * kMinute;
  if (seconds < kSecondsMatter) return two(seconds / kMinute, " min", seconds % kMinute, " s");
  if (seconds < kHour) return std::to_string(seconds / kMinute) + " min";
  if (seconds < kDay) return two(seconds / kHour, " h", seconds % kHour / kMinute, " min");
  return two(seconds / kDay, " d", seconds % kDay / kHour, " h");
}

std::string relative_text(WallTime t, WallTime now) {
  const std::int64_t seconds = unix_seconds(t) - unix_seconds(now);
  if (seconds > 0) return "in " + span_text(seconds);
  if (seconds == 0) return "now";
  return span_text(-seconds) + " ago";
}

std::string local_text(WallTime t) {
  return format_local(t, "%Y-%m-%d %H:%M:%S");
}

std::string clock_text(WallTime t, WallTime now) {
  const bool today = format_local(t, "%Y-%m-%d") == format_local(now, "%Y-%m-%d");
  return today ? format_local(t, "%H:%M:%S") : local_text(t);
}

}  // namespace credsync::cli
