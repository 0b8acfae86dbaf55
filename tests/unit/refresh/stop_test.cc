// The daemon stops while refreshes wait for their turn, for the disk or for a connection.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/fakes/core_world.h"

namespace credsync::refresh {
namespace {

using account::State;
using fakes::CoreWorld;
using fakes::make_account;
using fakes::make_profile;
using fakes::make_tokens;

class StopTest : public testing::Test {
 protected:
  StopTest() {
    world.refresher.observe([this](const account::Account&, std::string_view) { ++told; });
  }
  account::Account& begin(const std::string& name) {
    account::Account& account =
        world.add(make_account(name, profile), make_tokens(world.clock, "access-1", "refresh-1", 1h), 1);
    world.refresher.start(account, Reason::kOrdered);
    world.settle();
    return account;
  }
  void stop() {
    world.refresher.stop();
    world.exchanger.stop();
    world.settle();
  }
  void expect_unchanged(const account::Account& account) {
    EXPECT_EQ(account.standing().state, State::kOk);
    EXPECT_EQ(told, 0) << "nothing for the audit";
    const auto& history = world.store.history();
    EXPECT_EQ(std::count(history.begin(), history.end(), "SetStanding " + account.name() + " 1"), 0);
    EXPECT_TRUE(world.disk.intents.empty());
    EXPECT_EQ(world.refresher.under_way(), 0U);
  }

  CoreWorld world;
  std::shared_ptr<provider::Profile> profile = make_profile();
  int told = 0;
};

TEST_F(StopTest, WhatWaitsForItsTurnLeavesItsAccountAsItWas) {
  profile->limits.requests_per_second = 1;
  account::Account& sent = begin("sent");
  account::Account& waits = begin("waits");
  ASSERT_EQ(world.endpoint.calls.size(), 1U);
  std::string ended;
  const auto waiting = world.refresher.wait(waits, [&](const Ended& how) { ended = how.words; });
  stop();
  EXPECT_EQ(ended, "credsyncd is stopping") << "who waits is told all the same";
  EXPECT_EQ(world.refresher.under_way(), 1U) << "what was sent is waited for";
  EXPECT_EQ(told, 0);
  world.endpoint.answer(make_tokens(world.clock, "access-2", "refresh-2", 1h), Secret("order"));
  world.settle();
  EXPECT_EQ(sent.generation(), 2U);
  EXPECT_EQ(told, 1);
  told = 0;
  expect_unchanged(waits);
}

TEST_F(StopTest, WhatWaitsForTheDiskLeavesItsAccountAsItWas) {
  world.store.hold();
  account::Account& account = begin("flat");
  stop();
  world.store.let_go();
  world.settle();
  EXPECT_EQ(world.endpoint.calls_made, 0U);
  expect_unchanged(account);
}

TEST_F(StopTest, WhatHadNoConnectionYetLeavesItsAccountAsItWas) {
  account::Account& account = begin("flat");
  stop();
  world.endpoint.answer(fakes::make_failure(oauth::FailureClass::kNotSent, "shutting down"));
  world.settle();
  expect_unchanged(account);
}

TEST_F(StopTest, WhatWasSentAndFailsIsMinded) {
  account::Account& account = begin("flat");
  stop();
  world.endpoint.answer(fakes::make_failure(oauth::FailureClass::kNeedsLogin));
  world.settle();
  EXPECT_EQ(account.standing().state, State::kNeedsLogin);
  EXPECT_EQ(told, 1);
}

}  // namespace
}  // namespace credsync::refresh
