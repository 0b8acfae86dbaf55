// Two clocks that must not be mixed up, so two types: WallTime says when a token expires and is what is stored,
// BootTime drives timers, counts through suspend, and means nothing after a reboot. Both count microseconds.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace credsync {

using Duration = std::chrono::microseconds;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""us;
using std::chrono_literals::operator""min;
using std::chrono_literals::operator""h;

struct WallClock {
  using rep = std::int64_t;
  using period = std::micro;
  using duration = Duration;
  static constexpr bool is_steady = false;
};
struct BootClock {
  using rep = std::int64_t;
  using period = std::micro;
  using duration = Duration;
  static constexpr bool is_steady = true;
};
using WallTime = std::chrono::time_point<WallClock, Duration>;  // since 1970-01-01T00:00:00Z
using BootTime = std::chrono::time_point<BootClock, Duration>;  // since boot, suspend included (CLOCK_BOOTTIME)

constexpr Duration days(std::int64_t count) {
  return std::chrono::hours(24 * count);
}
constexpr std::int64_t to_seconds(Duration d) {
  return std::chrono::duration_cast<std::chrono::seconds>(d).count();
}
constexpr WallTime wall_from_seconds(std::int64_t s) {
  return WallTime(std::chrono::seconds(s));
}
constexpr std::int64_t unix_seconds(WallTime t) {
  return to_seconds(t.time_since_epoch());
}
// The furthest moment we compute with (9999-12-31): what lies beyond is cut to it, so sums never overflow.
constexpr WallTime kWallMax = wall_from_seconds(253402300799);
// t + d, clamped to [1970, kWallMax].
WallTime saturating_add(WallTime t, Duration d);

// RFC 3339 in UTC with whole seconds: 2026-01-31T23:59:59Z.
std::string to_rfc3339(WallTime t);
// An HTTP-date (RFC 9110, 5.6.7), all three forms.
std::optional<WallTime> parse_http_date(std::string_view text);

// "90s", "10m", "12h", "30d": a whole number and a unit; at most 100 years.
Result<Duration> parse_duration(std::string_view text);
// The shortest such text that is exact to the second: "90s", "10m".
std::string to_text(Duration d);

// Where the time comes from: what decides takes `now`, what acts asks a Clock. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime wall() const = 0;
  virtual BootTime boot() const = 0;
};

class SystemClock final : public Clock {
 public:
  WallTime wall() const override;
  BootTime boot() const override;
};

}  // namespace credsync
