#include "base/time.h"

#include <time.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

namespace credsync {
namespace {

Duration read_clock(clockid_t id) {
  timespec now{};
  ::clock_gettime(id, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(now.tv_nsec));
}

struct Unit {
  char letter;
  std::int64_t seconds;
};
constexpr std::array<Unit, 4> kUnits{{{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}}};
constexpr std::int64_t kMaxDurationSeconds = 100LL * 366 * 86400;

}  // namespace

WallTime saturating_add(WallTime t, Duration d) {
  const WallTime zero{};
  if (d > Duration::zero() && t > kWallMax - d) return kWallMax;
  return std::max(zero, t + d);
}

std::string to_rfc3339(WallTime t) {
  const std::time_t seconds = static_cast<std::time_t>(unix_seconds(t));
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return std::string(text, size);
}

std::optional<WallTime> parse_http_date(std::string_view text) {
  if (text.size() > 40) return std::nullopt;
  const std::string copy(text);
  for (const char* format : {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"}) {
    std::tm parts{};
    const char* end = ::strptime(copy.c_str(), format, &parts);
    if (end != nullptr && *end == '\0') return wall_from_seconds(::timegm(&parts));
  }
  return std::nullopt;
}

Result<Duration> parse_duration(std::string_view text) {
  std::int64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || number < 0 || rest + 1 != text.data() + text.size()) {
    return invalid("not a duration; write a whole number and a unit, like 90s, 10m, 12h or 30d");
  }
  for (const Unit& unit : kUnits) {
    if (*rest != unit.letter) continue;
    if (number > kMaxDurationSeconds / unit.seconds) return invalid("longer than 100 years");
    return Duration(std::chrono::seconds(number * unit.seconds));
  }
  return invalid("unknown unit; s, m, h and d are known");
}

std::string to_text(Duration d) {
  const std::int64_t seconds = to_seconds(d);
  for (const Unit& unit : kUnits) {
    if (seconds != 0 && seconds % unit.seconds == 0) return std::to_string(seconds / unit.seconds) + unit.letter;
  }
  return "0s";
}

WallTime SystemClock::wall() const {
  return WallTime(read_clock(CLOCK_REALTIME));
}
BootTime SystemClock::boot() const {
  return BootTime(read_clock(CLOCK_BOOTTIME));
}

}  // namespace credsync
