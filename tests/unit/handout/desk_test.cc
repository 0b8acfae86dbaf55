// What callers get: the good token at once, the fresh one after the refresh their need calls for, never an expired one.
#include <gtest/gtest.h>

#include "tests/fakes/core_world.h"

namespace credsync::handout {
namespace {

using fakes::CoreWorld;
using fakes::make_account;
using fakes::make_failure;
using fakes::make_profile;
using fakes::make_tokens;
using ipc::ProblemKind;
using oauth::FailureClass;

class DeskTest : public testing::Test {
 protected:
  void SetUp() override {
    auto config = make_account("flat", profile);
    config->refresh = config::RefreshMode::kOnDemand;  // only what is asked for moves
    world.add(config, make_tokens(world.clock, "access-1", "refresh-1", 1h), 1);
  }
  void answer(oauth::TokenOutcome outcome) {
    world.endpoint.answer(std::move(outcome));
    world.settle();
  }
  account::TokenSet fresh(Duration lifetime = 1h) {
    return make_tokens(world.clock, "access-2", "refresh-2", lifetime);
  }

  CoreWorld world;
  std::shared_ptr<provider::Profile> profile = make_profile();
};

TEST_F(DeskTest, GivesAGoodTokenAtOnceWithoutAsking) {
  const auto given = world.ask("flat", 10min);
  EXPECT_TRUE(given->answered);
  EXPECT_EQ(given->token, "access-1");
  EXPECT_TRUE(given->min_valid_met);
  EXPECT_EQ(world.endpoint.calls_made, 0U);
}

TEST_F(DeskTest, AWishBeyondWhatTheProviderGivesCostsOneRequestAndNoLoop) {
  world.advance(10min);
  const auto first = world.ask("flat", days(1));
  EXPECT_FALSE(first->answered);
  answer(fresh());
  EXPECT_EQ(first->token, "access-2");
  EXPECT_FALSE(first->min_valid_met);
  for (int i = 0; i < 10; ++i) {
    const auto again = world.ask("flat", days(1));
    EXPECT_TRUE(again->answered);
    EXPECT_FALSE(again->min_valid_met);
  }
  EXPECT_EQ(world.endpoint.calls_made, 1U);
}

TEST_F(DeskTest, WhoMayNotAnyMoreAfterWaitingGetsNothing) {
  world.advance(2h);
  const auto given = world.ask("flat");
  EXPECT_FALSE(given->answered);
  world.admits_who_waited = false;
  answer(fresh());
  ASSERT_TRUE(given->answered);
  EXPECT_EQ(given->token, "");
  EXPECT_EQ(given->problem.value().kind, ProblemKind::kNotAllowed);
  EXPECT_EQ(world.desk.counters().handed_out, 0U);
}

TEST_F(DeskTest, WishesShareOneAllowance) {
  world.advance(10min);
  const auto first = world.ask("flat", 55min);
  answer(make_failure(FailureClass::kTransient));
  EXPECT_EQ(first->token, "access-1") << "a token that is still valid is handed out";
  EXPECT_FALSE(first->min_valid_met);
  EXPECT_TRUE(world.ask("flat", 55min)->answered) << "the allowance is used up: no second request";
  EXPECT_EQ(world.endpoint.calls_made, 1U);
}

TEST_F(DeskTest, BelowTheFloorItWaitsAndThenGivesWhatIsStillValid) {
  world.advance(59min + 30s);
  const auto given = world.ask("flat", 0s, 10s);
  EXPECT_FALSE(given->answered);
  world.advance(10s);
  ASSERT_TRUE(given->answered);
  EXPECT_EQ(given->token, "access-1");
}

TEST_F(DeskTest, AnExpiredTokenNeverLeaves) {
  world.advance(61min);
  const auto given = world.ask("flat", 0s, 5s);
  EXPECT_FALSE(given->answered);
  world.advance(5s);
  ASSERT_TRUE(given->problem);
  EXPECT_EQ(given->problem->kind, ProblemKind::kTimeout);
  answer(make_failure(FailureClass::kTransient));
  const auto impatient = world.ask("flat", 0s, 0s);
  ASSERT_TRUE(impatient->problem);
}

TEST_F(DeskTest, AFailedRefreshAnswersWhoeverCannotWaitForTheNext) {
  world.advance(61min);
  const auto given = world.ask("flat");
  oauth::Failure failure = make_failure(FailureClass::kTransient, "the provider is ill");
  failure.retry_after = 5min;
  answer(failure);
  ASSERT_TRUE(given->problem);
  EXPECT_EQ(given->problem->kind, ProblemKind::kUnavailable);
  EXPECT_NE(given->problem->detail.find("the provider is ill"), std::string::npos);
  ASSERT_TRUE(given->problem->retry_after);
  EXPECT_GT(*given->problem->retry_after, Duration(4min));
}

TEST_F(DeskTest, WhoCanWaitGetsTheTokenOfTheNextTry) {
  world.advance(61min);
  const auto given = world.ask("flat", 0s, 30s);
  answer(make_failure(FailureClass::kTransient));
  EXPECT_FALSE(given->answered);
  world.advance(2s);
  ASSERT_EQ(world.endpoint.calls_made, 2U);
  answer(fresh());
  EXPECT_EQ(given->token, "access-2");
}

// The provider gave the same token again, a moment before its end; or its answer took longer than a short token lives.
TEST_F(DeskTest, ATokenThatEndedOnItsWayIsNoAnswerToWhoCanWait) {
  world.advance(61min);
  const auto given = world.ask("flat", 0s, 30s);
  auto over = fresh(1s);
  world.clock.advance(2s);
  answer(std::move(over));
  ASSERT_EQ(world.accounts.find("flat")->generation(), 2U);
  EXPECT_FALSE(given->answered);
  world.advance(1s);
  ASSERT_EQ(world.endpoint.calls_made, 2U);
  answer(make_tokens(world.clock, "access-3", "refresh-3", 1h));
  EXPECT_EQ(given->token, "access-3");
}

TEST_F(DeskTest, TokensThatAlwaysEndOnTheirWayAreAskedForWithRests) {
  world.advance(61min);
  const auto given = world.ask("flat", 0s, 60s);
  for (int i = 0; i < 600; ++i) {
    if (!world.endpoint.calls.empty())
      answer(make_tokens(world.clock, "access-" + std::to_string(i), "refresh-2", -1s));
    world.advance(100ms);
  }
  ASSERT_TRUE(given->problem);
  EXPECT_EQ(given->problem->kind, ProblemKind::kUnavailable);
  EXPECT_LE(world.endpoint.calls_made, 20U);
}

TEST_F(DeskTest, ACallerWhoLeavesIsForgotten) {
  world.advance(61min);
  auto given = world.ask("flat");
  EXPECT_EQ(world.desk.waiting(), 1U);
  given->pending.reset();
  EXPECT_EQ(world.desk.waiting(), 0U);
  answer(fresh());
  EXPECT_FALSE(given->answered);
}

TEST_F(DeskTest, ATokenWithUnknownEndIsGivenAsItIs) {
  auto config = make_account("pat", profile, provider::Grant::kStatic);
  account::TokenSet tokens;
  tokens.access_token = Secret("pat");
  tokens.obtained_at = world.clock.wall();
  world.add(config, std::move(tokens), 1);
  world.advance(days(400));
  const auto given = world.ask("pat", 1h);
  EXPECT_EQ(given->token, "pat");
  EXPECT_TRUE(given->min_valid_met);
}

TEST_F(DeskTest, StoppingAnswersEverybodyWhoWaits) {
  world.advance(61min);
  const auto one = world.ask("flat");
  const auto two = world.ask("flat");
  world.desk.stop();
  ASSERT_TRUE(one->problem && two->problem);
  EXPECT_EQ(one->problem->kind, ProblemKind::kUnavailable);
  EXPECT_TRUE(one->problem->retry_after);
}

// Signing in and out, as the service does it.
TEST_F(DeskTest, AnImportIsTriedAtOnceAndTheOldGrantStaysUntilItIsDurable) {
  account::Account& account = *world.accounts.find("flat");
  bool done = false;
  world.sign_in.with_refresh_token(account, Secret("imported"), false, [&](login::Outcome outcome) {
    done = std::holds_alternative<login::SignedIn>(outcome);
  });
  world.settle();
  EXPECT_EQ(world.endpoint.refresh_token_sent(), "imported");
  EXPECT_EQ(world.ask("flat")->token, "access-1");
  world.store.hold();
  answer(fresh());
  EXPECT_EQ(world.ask("flat")->token, "access-1");
  world.store.let_go();
  world.settle();
  EXPECT_TRUE(done);
  EXPECT_EQ(world.ask("flat")->token, "access-2");
  EXPECT_EQ(account.generation(), 2U);
}

TEST_F(DeskTest, AnImportThatTheProviderRefusesChangesNothing) {
  account::Account& account = *world.accounts.find("flat");
  std::optional<login::Refused> refused;
  world.sign_in.with_refresh_token(account, Secret("wrong"), false, [&](login::Outcome outcome) {
    refused = std::get<login::Refused>(std::move(outcome));
  });
  world.settle();
  answer(make_failure(FailureClass::kNeedsLogin, "unknown token"));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->refusal, login::Refusal::kProvider);
  EXPECT_EQ(world.ask("flat")->token, "access-1");
  EXPECT_TRUE(world.disk.intents.empty()) << "its reserved room is free again";
}

TEST_F(DeskTest, ABareAccessTokenNeverReplacesAGrantThatRenewsItself) {
  std::optional<login::Refused> refused;
  world.sign_in.with_access_token(*world.accounts.find("flat"), Secret("mistyped"), [&](login::Outcome outcome) {
    refused = std::get<login::Refused>(std::move(outcome));
  });
  world.settle();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->next_step, "credsync login flat --refresh-token-stdin");
  EXPECT_EQ(world.ask("flat")->token, "access-1");
}

TEST_F(DeskTest, ARefreshTokenThatAnotherAccountHoldsIsRefused) {
  world.add(make_account("other", profile), make_tokens(world.clock, "a", "shared", 1h), 1);
  std::optional<login::Refused> refused;
  world.sign_in.with_refresh_token(*world.accounts.find("flat"), Secret("shared"), false, [&](login::Outcome outcome) {
    refused = std::get<login::Refused>(std::move(outcome));
  });
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->refusal, login::Refusal::kHeldElsewhere);
  EXPECT_EQ(world.endpoint.calls_made, 0U);
}

}  // namespace
}  // namespace credsync::handout
