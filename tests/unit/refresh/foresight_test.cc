// Saying in time that a person will be needed: which end counts, when each warning is due, and that each comes once.
#include <gtest/gtest.h>

#include "daemon/handout/words.h"
#include "daemon/refresh/foresight.h"
#include "tests/fakes/core_world.h"

namespace credsync::refresh {
namespace {

using fakes::CoreWorld;
using provider::Grant;

class ForesightTest : public testing::Test {
 protected:
  // An account whose refresh token ends `left` from now, or (zero) at a time that is not known.
  account::Account& add(const std::string& name, Duration access_life, Duration left,
                        config::RefreshMode mode = config::RefreshMode::kAhead) {
    auto config = fakes::make_account(name, profile, Grant::kAuthorizationCode);
    config->refresh = mode;
    account::TokenSet tokens = fakes::make_tokens(world.clock, "access-1", "refresh-1", access_life);
    if (left > Duration::zero()) tokens.refresh_expires_at = world.clock.wall() + left;
    return world.add(config, std::move(tokens), 1);
  }
  account::Account& add_without_refresh(const std::string& name, Duration life) {
    auto never = fakes::make_profile();
    never->refresh.how = provider::RefreshHow::kNever;
    auto config = fakes::make_account(name, never, Grant::kImplicit);
    return world.add(config, fakes::make_tokens(world.clock, "access-1", "", life), 1);
  }
  std::vector<Duration> ahead(const account::Account& account) {
    std::vector<Duration> found;
    const auto outlook = outlook_of(account, world.refresher.can_refresh(account));
    if (!outlook) return found;
    for (const auto& due : outlook->warnings) {
      if (due) found.push_back(outlook->end - *due);
    }
    return found;
  }
  void count_warnings() {
    world.accounts.watch([this](account::Account& account, account::What what) {
      if (what == account::What::kForewarned) warned.push_back(account.name());
    });
    world.forewarner.begin(given);
  }
  void refresh_whenever_asked(Duration d) {
    for (const BootTime end = world.clock.boot() + d; world.clock.boot() < end;) {
      world.advance(10min);
      while (!world.endpoint.calls.empty()) {
        world.endpoint.answer(fakes::make_tokens(world.clock, "access-" + std::to_string(++fresh), "", 1h),
                              Secret("o"));
        world.settle();
      }
    }
  }

  std::shared_ptr<provider::Profile> profile = fakes::make_profile();
  CoreWorld world;
  WallTime given = world.clock.wall();
  std::vector<std::string> warned;
  int fresh = 1;
};

using Aheads = std::vector<Duration>;

TEST_F(ForesightTest, WarnsOfWhatCannotRefreshScaledToItsLife) {
  EXPECT_EQ(ahead(add_without_refresh("year", days(360))), (Aheads{days(7), days(1), Duration(1h)}));
  EXPECT_EQ(ahead(add_without_refresh("week", days(8))), (Aheads{days(4), days(1), Duration(1h)}));
  EXPECT_EQ(ahead(add_without_refresh("hour", 1h)), (Aheads{Duration(30min), Duration(15min), Duration(450s)}));
}

TEST_F(ForesightTest, WarnsOfTheEndOfARefreshToken) {
  EXPECT_EQ(ahead(add("a", 1h, days(90))), (Aheads{days(7), days(1), Duration(1h)}));
  EXPECT_TRUE(ahead(add("b", 1h, Duration::zero())).empty()) << "an end that is not known cannot be foreseen";
}

TEST_F(ForesightTest, AShortSessionThatEachRefreshProlongsIsNoReasonToCry) {
  EXPECT_TRUE(ahead(add("keycloak", 5min, 30min)).empty());
}

TEST_F(ForesightTest, AnAbsoluteLifeScales) {
  profile->refresh.absolute_life = Duration(24h);
  EXPECT_EQ(ahead(add("spa", 1h, Duration(24h))), (Aheads{Duration(12h), Duration(6h), Duration(1h)}));
}

TEST_F(ForesightTest, AnIdleLifeIsProlongedByThePlannedUse) {
  profile->refresh.idle_life = days(100);
  for (const Duration d : ahead(add("idle", 1h, days(100), config::RefreshMode::kOnDemand)))
    EXPECT_LT(d, days(20)) << "the use at 80 % of the life comes before any warning";
}

TEST_F(ForesightTest, WhatNeedsNobodyIsNotSpokenOf) {
  auto config = fakes::make_account("client", profile, Grant::kClientCredentials);
  account::TokenSet tokens = fakes::make_tokens(world.clock, "access-1", "refresh-1", 1h);
  tokens.refresh_expires_at = world.clock.wall() + days(1);
  EXPECT_TRUE(ahead(world.add(config, std::move(tokens), 1)).empty());
}

TEST_F(ForesightTest, EachWarningComesOnceThroughAllRefreshes) {
  add("flat", 1h, days(9));
  count_warnings();
  refresh_whenever_asked(days(1));
  EXPECT_EQ(warned.size(), 0U);
  refresh_whenever_asked(days(2));
  EXPECT_EQ(warned.size(), 1U) << "7 days";
  refresh_whenever_asked(days(5) - 1h);
  EXPECT_EQ(warned.size(), 1U);
  refresh_whenever_asked(days(1) + 30min);
  EXPECT_EQ(warned.size(), 3U) << "1 day, 1 hour";
  refresh_whenever_asked(days(1));
  EXPECT_EQ(warned.size(), 3U);
}

TEST_F(ForesightTest, StatusSaysItAndWhatToDo) {
  account::Account& account = add_without_refresh("implicit", days(30));
  const auto status = [&] { return handout::describe(account, {world.refresher, world.retirer, world.clock}, 0); };
  world.advance(days(22));
  EXPECT_FALSE(status().next_step);
  world.advance(days(2));
  ASSERT_TRUE(status().next_step);
  EXPECT_EQ(status().next_step->command, "credsync login implicit");
  EXPECT_NE(status().notes.at(0).find(to_rfc3339(*account.live()->tokens.expires_at)), std::string::npos);
  EXPECT_EQ(status().state, "ok");
}

TEST_F(ForesightTest, ARestartNeitherRepeatsNorForgetsAWarning) {
  add_without_refresh("implicit", days(30));
  world.clock.advance(days(24));  // the daemon was away when 7 days were left
  count_warnings();
  world.settle();
  EXPECT_EQ(warned.size(), 1U) << "made up for";
  const auto kept = world.store.load();
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->forewarned_until, world.clock.wall());
  warned.clear();
  world.forewarner.begin(kept->forewarned_until);
  world.settle();
  EXPECT_TRUE(warned.empty()) << "as after a restart";
  world.advance(days(5) + 1s);
  EXPECT_EQ(warned.size(), 1U) << "1 day";
}

TEST_F(ForesightTest, ManyAtOnceAreAllWarnedOf) {
  for (int i = 0; i < 20; ++i)
    add_without_refresh("implicit-" + std::to_string(i), days(30));
  count_warnings();
  world.advance(days(24));
  EXPECT_EQ(warned.size(), 20U);
}

TEST_F(ForesightTest, ANewGrantIsPlannedAnew) {
  account::Account& account = add_without_refresh("implicit", days(30));
  count_warnings();
  world.advance(days(20));
  world.accounts.install(account, 2, fakes::make_tokens(world.clock, "access-2", "", days(30)),
                         {account::State::kOk, world.clock.wall(), std::nullopt});
  world.advance(days(10));
  EXPECT_TRUE(warned.empty());
  world.advance(days(14));
  EXPECT_EQ(warned.size(), 1U);
}

}  // namespace
}  // namespace credsync::refresh
