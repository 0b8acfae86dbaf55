#include "base/time.h"

#include <gtest/gtest.h>

namespace credsync {
namespace {

TEST(Durations, AreAWholeNumberAndAUnit) {
  EXPECT_EQ(*parse_duration("90s"), Duration(90s));
  EXPECT_EQ(*parse_duration("10m"), Duration(10min));
  EXPECT_EQ(*parse_duration("30d"), days(30));
  for (const char* bad : {"", "s", "10", "-1s", "1.5h", "10 m", "10w", "99999999999999999999s", "40000d"}) {
    EXPECT_FALSE(parse_duration(bad).has_value()) << bad;
  }
  EXPECT_EQ(to_text(Duration(90s)), "90s");
  EXPECT_EQ(to_text(Duration(600s)), "10m");
  EXPECT_EQ(to_text(Duration(0)), "0s");
}

TEST(Rfc3339, IsUtcWithWholeSeconds) {
  EXPECT_EQ(to_rfc3339(wall_from_seconds(1738367999)), "2025-01-31T23:59:59Z");
}

TEST(HttpDate, IsReadInAllThreeForms) {
  const WallTime expected = wall_from_seconds(784111777);
  EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), expected);
  EXPECT_EQ(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT"), expected);
  EXPECT_EQ(parse_http_date("Sun Nov  6 08:49:37 1994"), expected);
  for (const char* bad : {"", "tomorrow", "Sun, 06 Nov 1994 08:49:37", "Sun, 99 Nov 1994 08:49:37 GMT"}) {
    EXPECT_FALSE(parse_http_date(bad).has_value()) << bad;
  }
}

TEST(SaturatingAdd, NeverOverflowsNorGoesBelowZero) {
  EXPECT_EQ(saturating_add(wall_from_seconds(10), Duration::max()), kWallMax);
  EXPECT_EQ(saturating_add(wall_from_seconds(10), Duration(-20s)), WallTime{});
  EXPECT_EQ(saturating_add(wall_from_seconds(10), 5s), wall_from_seconds(15));
}

}  // namespace
}  // namespace credsync
