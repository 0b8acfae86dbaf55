#include "daemon/refresh/policy.h"

#include <gtest/gtest.h>

namespace credsync::refresh {
namespace {

struct FloorRow {
  Duration lifetime, floor;
};
class Floor : public testing::TestWithParam<FloorRow> {};
TEST_P(Floor, FollowsTheTable) {
  EXPECT_EQ(floor_of(GetParam().lifetime), GetParam().floor);
}
INSTANTIATE_TEST_SUITE_P(Lifetimes, Floor,
                         testing::Values(FloorRow{2s, 1s}, FloorRow{4s, 2s}, FloorRow{5s, 2s}, FloorRow{20s, 5s},
                                         FloorRow{60s, 10s}, FloorRow{61s, 10s}, FloorRow{90s, 10s},
                                         FloorRow{200s, 20s}, FloorRow{1h, 60s}, FloorRow{days(360), 60s},
                                         FloorRow{0s, 0s}));

TEST(Margin, IsHalfForShortAThirdForOthersAndAWeekAtMost) {
  EXPECT_EQ(margin_of(90s, {}, {}), Duration(45s));
  EXPECT_EQ(margin_of(2h, {}, {}), Duration(40min));
  EXPECT_EQ(margin_of(days(360), {}, {}), days(7));
}

TEST(Margin, RidesOutHalfAnHourWithoutTheProviderWithTokensOfAnHour) {
  EXPECT_EQ(margin_of(1h, {}, {}), Duration(35min));
  EXPECT_EQ(margin_of(90min, {}, {}), Duration(35min));
  EXPECT_EQ(margin_of(30min, {}, {}), Duration(17min + 30s)) << "shorter ones in proportion";
  EXPECT_EQ(margin_of(12min, {}, {}), Duration(7min));
}

TEST(Margin, TakesTheAnswersAdviceOnlyIfSane) {
  EXPECT_EQ(margin_of(1h, {}, 50min), Duration(10min));
  EXPECT_EQ(margin_of(1h, {}, 2h), Duration(35min));
  EXPECT_EQ(margin_of(1h, {}, Duration(-1s)), Duration(35min));
}

TEST(Margin, NeverFallsBelowTheFloorNorEatsTheWholeLife) {
  EXPECT_EQ(margin_of(1h, Duration(1s), {}), Duration(60s));
  EXPECT_EQ(margin_of(1h, days(2), {}), Duration(54min));
  EXPECT_EQ(margin_of(5s, {}, {}), Duration(2500ms));
}

TEST(Planned, JitterMovesItEarlierOnlyAndByAFifthAtMost) {
  EXPECT_EQ(until_planned(1h, 1h, 20min, 0), Duration(40min));
  EXPECT_EQ(until_planned(1h, 1h, 20min, jitter_of(0.999999)), Duration(40min) - Duration(239999760us));
  EXPECT_EQ(until_planned(1h, 10s, 20min, 0), Duration::zero());
}

TEST(GoodEnough, AsksForARefreshBelowTheFloorAndForReachableWishesOnly) {
  EXPECT_TRUE(good_enough(1h, 61s, 0s));
  EXPECT_FALSE(good_enough(1h, 59s, 0s));
  EXPECT_FALSE(good_enough(1h, 10min, 30min));
  EXPECT_TRUE(good_enough(1h, 55min, 2h)) << "a wish beyond what the provider gives must not loop";
  EXPECT_FALSE(good_enough(1h, 53min, 2h));
}

TEST(Allowance, IsATenthOfTheLifeWithinBounds) {
  EXPECT_EQ(on_demand_interval(5s), Duration(10s));
  EXPECT_EQ(on_demand_interval(20min), Duration(2min));
  EXPECT_EQ(on_demand_interval(days(1)), Duration(5min));
  EXPECT_EQ(on_demand_interval({}), Duration(10s));
}

TEST(RetryDelay, DoublesUpToAQuarterOfWhatRemainsAndNeverTendsToZero) {
  EXPECT_EQ(retry_delay(1, 1h, 30min, 0), Duration(500ms));
  EXPECT_EQ(retry_delay(1, 1h, 30min, 0.999999), Duration(999999us) + Duration(0));
  EXPECT_EQ(retry_delay(30, 1h, 30min, 1), Duration(5min));
  EXPECT_EQ(retry_delay(30, 1h, 4min, 1), Duration(60s));
  EXPECT_EQ(retry_delay(30, 1h, 1ms, 1), Duration(1s)) << "the nearer the end, the more tries, but not ever more";
  EXPECT_EQ(retry_delay(30, 1h, 0s, 1), Duration(60s)) << "with nothing left the provider is spared";
  EXPECT_GE(retry_delay(1, Duration(100ms), Duration(1us), 0), Duration(25ms));
}

TEST(Promise, IsWhatWasAskedButNotMoreThanTheTokenHasOrAnHour) {
  EXPECT_EQ(promise_of(30s, 10min), Duration(30s));
  EXPECT_EQ(promise_of(30min, 10min), Duration(10min));
  EXPECT_EQ(promise_of(days(1), {}), Duration(1h));
  EXPECT_EQ(promise_of(10s, Duration(-5s)), Duration::zero());
}

}  // namespace
}  // namespace credsync::refresh
