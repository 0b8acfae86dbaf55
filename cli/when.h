// Moments and spans for people. Pure but for local_text, which asks the time zone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "cli/failure.h"

namespace credsync::cli {

// RFC 3339 with any offset; fractions are dropped.
std::optional<WallTime> parse_rfc3339(std::string_view text);

// Seconds from "90s", "10m", "12h", "30d" or a plain number of seconds.
Outcome<std::int64_t> parse_seconds(std::string_view text);

// "12 s", "42 min", "3 h 12 min", "6 d 4 h": two units at most, rounded down. Negative spans are "0 s".
std::string span_text(std::int64_t seconds);
// "in 42 min", "now", "3 min ago".
std::string relative_text(WallTime t, WallTime now);
// "2026-01-31 23:59:59" in the reader's time zone.
std::string local_text(WallTime t);
// "23:59:59" today, else with the date.
std::string clock_text(WallTime t, WallTime now);

}  // namespace credsync::cli
