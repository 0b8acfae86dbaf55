// What callers were promised, in memory and on disk (docs/decisions/032).
#include "daemon/refresh/promises.h"

#include <gtest/gtest.h>

#include "daemon/reconcile.h"
#include "tests/fakes/core_world.h"

namespace credsync::refresh {
namespace {

using fakes::CoreWorld;
using fakes::make_account;
using fakes::make_profile;
using fakes::make_tokens;

class PromisesTest : public testing::Test {
 protected:
  account::Account& add_live(Duration life = 10h) {
    return world.add(make_account("flat", profile), make_tokens(world.clock, "access-1", "refresh-1", life), 1);
  }
  void answer(const std::string& access, const std::string& refresh) {
    world.endpoint.answer(make_tokens(world.clock, access, refresh, 10h), Secret("order"));
    world.settle();
  }
  void refresh(const std::string& access, const std::string& refresh_token) {
    world.refresher.start(*world.accounts.find("flat"), Reason::kOrdered);
    world.settle();
    answer(access, refresh_token);
  }
  WallTime stored() const { return world.disk.accounts.at("flat").promised_until; }
  long writes() const {
    const auto& history = world.store.history();
    return std::count_if(history.begin(), history.end(),
                         [](const std::string& line) { return line.starts_with("SetPromised"); });
  }
  static std::vector<std::string> revoked(const CoreWorld& in) {
    std::vector<std::string> tokens;
    for (const auto& asked : in.endpoint.revocations)
      tokens.emplace_back(asked.call.token.expose());
    std::sort(tokens.begin(), tokens.end());
    return tokens;
  }
  const std::vector<std::string> kBoth{"access-1", "refresh-1"};

  CoreWorld world;
  std::shared_ptr<provider::Profile> profile = make_profile();
};

// The next run of the daemon, on what the first left.
struct NextRun {
  explicit NextRun(CoreWorld& before, const std::shared_ptr<provider::Profile>& profile) {
    before.store.crash();
    world.clock.set_wall(before.clock.wall());
    world.disk = std::move(before.disk);
    config.accounts.emplace("flat", make_account("flat", profile));
    reconciler.begin(*world.store.load(), config);
    world.settle();
  }
  CoreWorld world;
  config::Config config;
  Reconciler reconciler{world.accounts, world.refresher, world.parking, world.retirer, world.store, world.clock};
};

TEST_F(PromisesTest, OneWriteCoversManyHandOuts) {
  add_live();
  for (int i = 0; i < 600; ++i) {
    ASSERT_EQ(world.ask("flat", 60s)->token, "access-1");
    ASSERT_GE(stored(), world.clock.wall() + 60s) << "hand-out " << i;
    world.advance(1s);
  }
  EXPECT_LE(writes(), 21) << "every half minute at most";
}

TEST_F(PromisesTest, LongPromisesAreStoredFurtherAhead) {
  add_live();
  for (int i = 0; i < 60; ++i) {
    ASSERT_EQ(world.ask("flat", 30min)->token, "access-1");
    ASSERT_GE(stored(), world.clock.wall() + 30min);
    EXPECT_LE(stored(), world.clock.wall() + 40min);
    world.advance(1min);
  }
  EXPECT_LE(writes(), 13) << "every five minutes at most";
}

TEST_F(PromisesTest, WhoAsksForNothingIsPromisedNothing) {
  add_live();
  for (int i = 0; i < 100; ++i)
    ASSERT_EQ(world.ask("flat")->token, "access-1");
  EXPECT_EQ(writes(), 0);
  EXPECT_EQ(stored(), WallTime());
}

TEST_F(PromisesTest, NothingIsStoredBeyondTheTokensEnd) {
  const account::Account& account = add_live(5min);
  for (int i = 0; i < 100; ++i)
    ASSERT_EQ(world.ask("flat", 4min)->token, "access-1");
  EXPECT_LE(stored(), *account.live()->tokens.expires_at);
  EXPECT_EQ(writes(), 1);
}

TEST_F(PromisesTest, NoHandOutWaitsForTheDisk) {
  add_live();
  world.store.hold();
  for (int i = 0; i < 50; ++i) {
    const auto given = world.ask("flat", 60s);
    ASSERT_TRUE(given->answered);
    ASSERT_EQ(given->token, "access-1");
    world.advance(1min);
  }
  EXPECT_LE(world.store.waiting(), 2U) << "one promise and the last use, however long it takes";
  world.store.let_go();
  world.settle();
  EXPECT_GE(stored(), world.clock.wall()) << "what was promised meanwhile follows by itself";
}

TEST_F(PromisesTest, WhatTheDiskDidNotTakeIsTriedAgainWithoutAnybodyAsking) {
  add_live();
  ASSERT_EQ(world.ask("flat")->token, "access-1");  // its use is written
  world.store.fail_next(Error(ErrorCode::kIo, "the disk fails"), 2);
  const WallTime until = world.clock.wall() + 10min;
  ASSERT_EQ(world.ask("flat", 10min)->token, "access-1");
  EXPECT_EQ(stored(), WallTime());
  world.advance(11s);
  EXPECT_GE(stored(), until);
}

TEST_F(PromisesTest, ACrashBeforeTheRefreshTakesNoPromiseBack) {
  add_live();
  const WallTime until = world.clock.wall() + 30min;
  ASSERT_EQ(world.ask("flat", 30min)->token, "access-1");
  NextRun next(world, profile);
  next.world.refresher.start(*next.world.accounts.find("flat"), Reason::kOrdered);
  next.world.settle();
  next.world.endpoint.answer(make_tokens(next.world.clock, "access-2", "refresh-2", 10h), Secret("order"));
  next.world.settle();
  ASSERT_EQ(next.world.ask("flat")->token, "access-2");
  next.world.advance(until - next.world.clock.wall() - 1s);
  EXPECT_TRUE(revoked(next.world).empty());
  next.world.advance(10min + 2s);
  EXPECT_EQ(revoked(next.world), kBoth);
}

TEST_F(PromisesTest, ACrashAfterTheRefreshTakesNoPromiseBack) {
  add_live();
  const WallTime until = world.clock.wall() + 30min;
  ASSERT_EQ(world.ask("flat", 30min)->token, "access-1");
  refresh("access-2", "refresh-2");
  NextRun next(world, profile);
  next.world.advance(until - next.world.clock.wall() - 1s);
  EXPECT_TRUE(revoked(next.world).empty());
  next.world.advance(10min + 2s);
  EXPECT_EQ(revoked(next.world), kBoth);
}

TEST_F(PromisesTest, WhatIsStoredAheadDoesNotGrowFromStartToStart) {
  add_live();
  ASSERT_EQ(world.ask("flat", 30min)->token, "access-1");
  NextRun second(world, profile);
  ASSERT_EQ(second.world.ask("flat", 30min)->token, "access-1");
  NextRun third(second.world, profile);
  ASSERT_EQ(third.world.ask("flat", 30min)->token, "access-1");
  EXPECT_LE(third.world.disk.accounts.at("flat").promised_until, third.world.clock.wall() + 40min);
}

TEST_F(PromisesTest, WithoutACrashATokenIsRevokedWhenTheLastPromiseIsOver) {
  add_live();
  ASSERT_EQ(world.ask("flat", 30min)->token, "access-1");
  refresh("access-2", "refresh-2");
  world.advance(30min + 1s);
  EXPECT_EQ(revoked(world), kBoth) << "what is stored ahead is for crashes only";
}

TEST_F(PromisesTest, APromiseMadeWhileTheSuccessorGoesToTheDiskIsStoredToo) {
  add_live();
  world.refresher.start(*world.accounts.find("flat"), Reason::kOrdered);
  world.settle();
  world.store.hold();
  answer("access-2", "refresh-2");
  const WallTime until = world.clock.wall() + 30min;
  ASSERT_EQ(world.ask("flat", 30min)->token, "access-1");
  world.store.let_go_of(world.store.waiting());  // and the word of it has not come yet
  for (const auto& [id, retirement] : world.disk.retirements) {
    if (retirement.kind == store::RetiredKind::kRefresh) continue;
    EXPECT_GE(retirement.not_before, until);
  }
  EXPECT_EQ(world.disk.retirements.size(), 2U);
}

TEST_F(PromisesTest, TheNextTokenIsStoredWithWhatCallersUsuallyAskFor) {
  add_live();
  ASSERT_EQ(world.ask("flat", 5min)->token, "access-1");
  refresh("access-2", "refresh-2");
  EXPECT_GE(stored(), world.clock.wall() + 5min);
  const long before = writes();
  ASSERT_EQ(world.ask("flat", 5min)->token, "access-2");
  EXPECT_EQ(writes(), before) << "its first hand-out needs no write";
  refresh("access-3", "refresh-3");
  refresh("access-4", "refresh-4");
  EXPECT_EQ(stored(), WallTime()) << "nobody asked for the one before";
}

TEST_F(PromisesTest, TheSameTokenAgainKeepsWhatIsStored) {
  add_live();
  const WallTime until = world.clock.wall() + 30min;
  ASSERT_EQ(world.ask("flat", 30min)->token, "access-1");
  refresh("access-1", "refresh-2");
  EXPECT_GE(stored(), until);
}

TEST_F(PromisesTest, APromiseMadeWhileTheSameTokenGoesToTheDiskAgainIsStored) {
  add_live();
  world.refresher.start(*world.accounts.find("flat"), Reason::kOrdered);
  world.settle();
  world.store.hold();
  answer("access-1", "refresh-2");
  const WallTime until = world.clock.wall() + 30min;
  ASSERT_EQ(world.ask("flat", 30min)->token, "access-1");
  world.store.let_go();
  world.settle();
  EXPECT_GE(stored(), until);
}

TEST_F(PromisesTest, AClockThatWasSetBackMakesNoPromiseLonger) {
  account::Account& account = add_live();
  ASSERT_EQ(world.ask("flat", 30min)->token, "access-1");
  world.clock.set_wall(world.clock.wall() - days(2));
  ASSERT_EQ(world.ask("flat", 1min)->token, "access-1");
  EXPECT_LE(account.live()->promised_until, world.clock.wall() + 70min);
  NextRun next(world, profile);
  EXPECT_LE(next.world.accounts.find("flat")->live()->promised_until, next.world.clock.wall() + 70min);
}

TEST_F(PromisesTest, AParkedGrantComesBackWithItsPromises) {
  add_live();
  const WallTime until = world.clock.wall() + 30min;
  ASSERT_EQ(world.ask("flat", 30min)->token, "access-1");
  NextRun next(world, profile);
  const config::Config gone;
  next.reconciler.change(next.config, gone);
  next.world.settle();
  ASSERT_EQ(next.world.disk.parked.size(), 1U);
  EXPECT_GE(next.world.disk.parked.begin()->second.promised_until, until);
  next.reconciler.change(gone, next.config);
  next.world.settle();
  EXPECT_GE(next.world.accounts.find("flat")->live()->promised_until, until);
  EXPECT_GE(next.world.disk.accounts.at("flat").promised_until, until);
}

}  // namespace
}  // namespace credsync::refresh
