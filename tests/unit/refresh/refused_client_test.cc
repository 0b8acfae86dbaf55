// A client that its provider refuses, for somebody has changed its secret: its accounts, ten thousand maybe, pause together, one
// tries again, and all go on when it works.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/fakes/core_world.h"

namespace credsync::refresh {
namespace {

using account::State;
using fakes::CoreWorld;
using fakes::make_account;
using fakes::make_failure;
using fakes::make_profile;
using fakes::make_tokens;
using oauth::FailureClass;

class RefusedClientTest : public testing::Test {
 protected:
  account::Account& add_live(const std::string& name) {
    return world.add(make_account(name, profile), fresh("access-1", "refresh-1"), 1);
  }
  account::TokenSet fresh(const std::string& access, const std::string& refresh, Duration lifetime = 1h) {
    return make_tokens(world.clock, access, refresh, lifetime);
  }
  void answer(oauth::TokenOutcome outcome) {
    world.endpoint.answer(std::move(outcome), Secret("order"));
    world.settle();
  }
  void add_all(unsigned count) {
    for (unsigned i = 0; i < count; ++i)
      all.push_back(&add_live("account-" + std::to_string(1000 + i)));
  }
  void begin_two(std::size_t one, std::size_t other) {
    world.refresher.start(*all[one], Reason::kNeeded);
    world.refresher.start(*all[other], Reason::kNeeded);
    world.settle();
    ASSERT_EQ(world.endpoint.calls.size(), 2U);
  }
  std::size_t count_of(State state) const {
    return static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [&](const account::Account* a) { return a->standing().state == state; }));
  }

  CoreWorld world;
  std::shared_ptr<provider::Profile> profile = make_profile();
  std::vector<account::Account*> all;
};

TEST_F(RefusedClientTest, PausesAllItsAccountsAndOneSuccessWakesThem) {
  account::Account& one = add_live("one");
  account::Account& two = world.add(make_account("two", profile), fresh("access", "refresh-two", 2h), 1);
  auto other_config = make_account("other", profile);
  other_config->client_id = "another client";
  account::Account& other = world.add(other_config, fresh("access", "refresh-other", 2h), 1);
  world.advance(45min);
  answer(make_failure(FailureClass::kClient));
  EXPECT_EQ(one.standing().state, State::kSuspended);
  EXPECT_EQ(two.standing().state, State::kSuspended);
  EXPECT_EQ(other.standing().state, State::kOk);
  world.refresher.start(one, Reason::kOrdered);
  world.settle();
  answer(fresh("access-2", "refresh-2"));
  world.settle();
  EXPECT_EQ(one.standing().state, State::kOk);
  ASSERT_EQ(world.endpoint.refresh_token_sent(), "refresh-two");
}

TEST_F(RefusedClientTest, IsTriedAgainByOneOfItsAccounts) {
  add_all(5);
  world.refresher.start(*all[2], Reason::kNeeded);
  world.settle();
  answer(make_failure(FailureClass::kClient));
  EXPECT_EQ(count_of(State::kSuspended), all.size());
  for (unsigned tries = 2; tries < 6; ++tries) {
    for (int minute = 0; minute < 400 && world.endpoint.calls.empty(); ++minute)
      world.advance(1min);
    ASSERT_EQ(world.endpoint.calls_made, tries);
    EXPECT_EQ(world.endpoint.calls.front().call.account->name, all[2]->name());
    answer(make_failure(FailureClass::kClient));
    world.advance(10min);
    EXPECT_EQ(world.endpoint.calls_made, tries) << "the others have heard of it";
  }
}

TEST_F(RefusedClientTest, IsToldToAllItsAccountsOverSomeTurnsAndSoIsItsEnd) {
  add_all(1000);
  auto stranger = make_account("stranger", profile);
  stranger->client_id = "another client";
  const account::Account& other = world.add(stranger, fresh("access", "refresh-other"), 1);
  world.refresher.start(*all[700], Reason::kNeeded);
  world.settle();
  world.endpoint.answer(make_failure(FailureClass::kClient));
  EXPECT_GT(count_of(State::kOk), all.size() / 2) << "callers need not wait for all of it";
  world.settle();
  EXPECT_EQ(count_of(State::kSuspended), all.size());
  EXPECT_EQ(other.standing().state, State::kOk);
  world.refresher.start(*all[3], Reason::kOrdered);
  world.settle();
  ASSERT_EQ(world.endpoint.calls_made, 2U);
  answer(fresh("access-2", "refresh-2"));
  while (!world.endpoint.calls.empty())
    answer(fresh("access", "refresh"));
  EXPECT_EQ(count_of(State::kOk), all.size());
  EXPECT_EQ(world.endpoint.calls_made, all.size() + 1);
}

TEST_F(RefusedClientTest, WhoIsUnderWayMeanwhileBeginsNothingAnew) {
  add_all(1000);
  ASSERT_NO_FATAL_FAILURE(begin_two(10, 990));
  world.endpoint.answer(make_failure(FailureClass::kClient));
  world.endpoint.answer(make_failure(FailureClass::kClient));
  world.settle();
  EXPECT_EQ(count_of(State::kSuspended), all.size());
  for (int minute = 0; minute < 60 && world.endpoint.calls.empty(); ++minute)
    world.advance(30s);
  EXPECT_EQ(world.endpoint.calls.size(), 1U) << "one tries again";
}

TEST_F(RefusedClientTest, WorksAgainWhileThatIsStillBeingTold) {
  add_all(1000);
  ASSERT_NO_FATAL_FAILURE(begin_two(10, 20));
  world.endpoint.answer(make_failure(FailureClass::kClient));
  world.endpoint.answer(fresh("access-2", "refresh-2"));
  world.settle();
  while (!world.endpoint.calls.empty())
    answer(fresh("access", "refresh"));
  EXPECT_EQ(count_of(State::kOk), all.size());
}

TEST_F(RefusedClientTest, WhoWasSuspendedForAnotherReasonGoesOnWhenItWorksAgain) {
  account::Account& one = add_live("one");
  account::Account& two = world.add(make_account("two", profile), fresh("access", "refresh-two", 2h), 1);
  for (const FailureClass why : {FailureClass::kRefused, FailureClass::kClient}) {
    world.refresher.start(one, Reason::kOrdered);
    world.settle();
    answer(make_failure(why, std::string(oauth::to_string(why))));
    ASSERT_EQ(one.standing().state, State::kSuspended);
  }
  ASSERT_EQ(two.standing().state, State::kSuspended);
  world.refresher.start(two, Reason::kOrdered);
  world.settle();
  answer(fresh("access-2", "refresh-2"));
  ASSERT_EQ(world.endpoint.calls.size(), 1U);
  EXPECT_EQ(world.endpoint.refresh_token_sent(), "refresh-1") << "it waits for the client alone";
}

TEST_F(RefusedClientTest, WhoIsSuspendedForAnotherReasonSinceDoesNotGoOnWithTheOthers) {
  account::Account& one = add_live("one");
  account::Account& two = world.add(make_account("two", profile), fresh("access", "refresh-two", 2h), 1);
  for (const FailureClass why : {FailureClass::kClient, FailureClass::kRefused}) {
    world.refresher.start(one, Reason::kOrdered);
    world.settle();
    answer(make_failure(why, std::string(oauth::to_string(why))));
    ASSERT_EQ(one.standing().state, State::kSuspended);
  }
  world.refresher.start(two, Reason::kOrdered);
  world.settle();
  answer(fresh("access-2", "refresh-2"));
  EXPECT_TRUE(world.endpoint.calls.empty()) << "what is wrong with it is not the client";
}

TEST_F(RefusedClientTest, BringsNoAccountNearerThanItsProviderAsked) {
  account::Account& one = add_live("one");
  account::Account& two = world.add(make_account("two", profile), fresh("access", "refresh-two", 2h), 1);
  oauth::Failure busy = make_failure(FailureClass::kTransient);
  busy.status = 503;
  busy.retry_after = 1h;
  world.refresher.start(one, Reason::kOrdered);
  world.settle();
  answer(busy);
  const BootTime asked = world.clock.boot() + 1h;
  world.refresher.start(two, Reason::kOrdered);
  world.settle();
  answer(make_failure(FailureClass::kClient));
  ASSERT_EQ(one.standing().state, State::kSuspended);
  EXPECT_EQ(world.refresher.planned(one), asked);
  world.refresher.start(two, Reason::kOrdered);
  world.settle();
  answer(fresh("access-2", "refresh-2"));  // the client works again
  EXPECT_EQ(world.refresher.planned(one), asked);
}

}  // namespace
}  // namespace credsync::refresh
