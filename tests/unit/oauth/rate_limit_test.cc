#include "tests/unit/oauth/oauth_testing.h"

namespace credsync::oauth {
namespace {

using namespace credsync::oauth::testing;
using provider::ResetMeans;
using Wait = std::optional<Duration>;

constexpr const char* kDate = "Fri, 15 Jan 2027 08:00:00 GMT";  // kSent

Wait wait_for(int status, std::vector<Header> headers, const provider::Limits& limits = {}) {
  return retry_after(answer(status, "", std::move(headers)), limits);
}

provider::Limits declared(ResetMeans means = ResetMeans::kGuess) {
  provider::Limits limits;
  limits.remaining = "X-RateLimit-Remaining";
  limits.reset = "X-RateLimit-Reset";
  limits.reset_means = means;
  return limits;
}

TEST(RetryAfter, IsSecondsOrADateOfTheProvidersClock) {
  const std::pair<const char*, Wait> cases[] = {{"120", 120s},
                                                {" 120 ", 120s},
                                                {"0", 0s},
                                                {"-5", 0s},
                                                {"1.5", 1500ms},
                                                {"86400", 1h},
                                                {"99999999999999999999", 1h},
                                                {"Fri, 15 Jan 2027 08:02:00 GMT", 120s},
                                                {"Fri, 15 Jan 2027 07:00:00 GMT", 0s},
                                                {"Sat, 16 Jan 2027 08:00:00 GMT", 1h},
                                                {"Friday, 15-Jan-27 08:02:00 GMT", 120s},
                                                {"soon", std::nullopt},
                                                {"", std::nullopt}};
  for (const auto& [value, expected] : cases) {
    EXPECT_EQ(wait_for(503, {{"Date", kDate}, {"Retry-After", value}}), expected) << value;
  }
}

TEST(RetryAfter, DatesAreComparedWithTheAnswersDateNotWithOurClock) {
  EXPECT_EQ(
      wait_for(503, {{"Date", "Thu, 01 Jan 2026 00:00:00 GMT"}, {"Retry-After", "Thu, 01 Jan 2026 00:00:30 GMT"}}),
      Wait(30s));
  EXPECT_EQ(wait_for(503, {{"Retry-After", "Fri, 15 Jan 2027 08:00:30 GMT"}}), Wait(29800ms))
      << "without one, with ours at receipt";
}

TEST(RateLimit, ResetMeansWhatTheProfileSays) {
  struct Case {
    ResetMeans means;
    const char* value;
    Wait expected;
  };
  const Case cases[] = {{ResetMeans::kDelta, "90", 90s},
                        {ResetMeans::kDelta, "1800000090", 1h},
                        {ResetMeans::kEpochSeconds, "1800000090", 90s},
                        {ResetMeans::kEpochSeconds, "90", 0s},
                        {ResetMeans::kEpochMilliseconds, "1800000090500", 90500ms},
                        {ResetMeans::kGuess, "90", 90s},
                        {ResetMeans::kGuess, "1800000090", 90s},
                        {ResetMeans::kGuess, "1800000090000", 90s},
                        {ResetMeans::kGuess, "Fri, 15 Jan 2027 08:01:30 GMT", 90s},
                        {ResetMeans::kGuess, "1e400", 1h},
                        {ResetMeans::kGuess, "x", std::nullopt},
                        {ResetMeans::kEpochSeconds, "", std::nullopt}};
  for (const Case& c : cases) {
    EXPECT_EQ(wait_for(429, {{"Date", kDate}, {"x-ratelimit-reset", c.value}}, declared(c.means)), c.expected)
        << c.value;
  }
}

TEST(RateLimit, RetryAfterWinsOverReset) {
  EXPECT_EQ(wait_for(429, {{"Retry-After", "7"}, {"X-RateLimit-Reset", "90"}}, declared()), Wait(7s));
}

TEST(RateLimit, AResetOfALimitThatIsNotUsedUpAsksForNothing) {
  EXPECT_EQ(wait_for(400, {{"X-RateLimit-Remaining", "12"}, {"X-RateLimit-Reset", "90"}}, declared()), std::nullopt);
  EXPECT_EQ(wait_for(400, {{"X-RateLimit-Remaining", "0"}, {"X-RateLimit-Reset", "90"}}, declared()), Wait(90s));
  EXPECT_EQ(wait_for(429, {{"X-RateLimit-Remaining", "12"}, {"X-RateLimit-Reset", "90"}}, declared()), Wait(90s));
}

TEST(RateLimit, UsualHeadersAreTriedOnA429WhereTheProfileNamesNone) {
  for (const char* name : {"RateLimit-Reset", "X-RateLimit-Reset", "X-Rate-Limit-Reset"}) {
    EXPECT_EQ(wait_for(429, {{name, "42"}}), Wait(42s)) << name;
    EXPECT_EQ(wait_for(400, {{name, "42"}}), std::nullopt) << name;
  }
}

TEST(RateLimit, FailuresSayWhetherTheEndpointIsUsedUp) {
  const auto failure = [](int status, std::vector<Header> headers, const char* body = "{}") {
    provider::Profile profile = plain_profile();
    profile.limits = declared();
    return failure_of(read(profile, answer(status, body, std::move(headers))));
  };
  EXPECT_TRUE(failure(429, {}).rate_limited);
  EXPECT_EQ(failure(429, {}).retry_after, std::nullopt);
  EXPECT_TRUE(failure(403, {{"X-RateLimit-Remaining", "0"}, {"X-RateLimit-Reset", "30"}}).rate_limited);
  EXPECT_EQ(failure(403, {{"X-RateLimit-Remaining", "0"}, {"X-RateLimit-Reset", "30"}}).retry_after, Wait(30s));
  EXPECT_FALSE(failure(403, {{"X-RateLimit-Remaining", "0"}}).rate_limited) << "no reset: it may mean anything";
  EXPECT_FALSE(failure(403, {{"X-RateLimit-Remaining", "9"}, {"X-RateLimit-Reset", "30"}}).rate_limited);
  EXPECT_FALSE(failure(503, {{"Retry-After", "5"}}).rate_limited);
  EXPECT_EQ(failure(503, {{"Retry-After", "5"}}).retry_after, Wait(5s));
  EXPECT_TRUE(failure(200, {}, R"({"ok":false,"error":"ratelimited"})").rate_limited);
}

}  // namespace
}  // namespace credsync::oauth
