// What worlds of tests/simulation have shown to go wrong, each as small as it gets.
#include <gtest/gtest.h>

#include "daemon/oauth/token_request.h"
#include "tests/fakes/core_world.h"

namespace credsync::refresh {
namespace {

using fakes::CoreWorld;
using fakes::make_account;
using fakes::make_failure;
using fakes::make_profile;
using fakes::make_tokens;
using oauth::FailureClass;

class FoundBySimulationTest : public testing::Test {
 protected:
  account::Account& add_live() {
    return world.add(make_account("flat", profile), make_tokens(world.clock, "access-1", "refresh-1", 1h), 1);
  }
  void answer(oauth::TokenOutcome outcome) {
    world.endpoint.answer(std::move(outcome), Secret("order"));
    world.settle();
  }
  // Until the planned refresh has been sent.
  void until_sent() {
    world.advance(45min);
    ASSERT_EQ(world.endpoint.calls.size(), 1U);
  }
  // Likewise, and not longer: the overlap counts from then.
  void until_just_sent() {
    for (int i = 0; i < 3600 && world.endpoint.calls.empty(); ++i)
      world.advance(1s);
    ASSERT_EQ(world.endpoint.calls.size(), 1U);
  }
  // What is left of the present token until its floor, a minute.
  Duration until_floor() {
    const account::Account& account = *world.accounts.find("flat");
    return *account.remaining(world.clock.wall(), world.clock.boot()) - 60s;
  }
  std::vector<std::string> revoked() {
    std::vector<std::string> tokens;
    for (const auto& asked : world.endpoint.revocations)
      tokens.emplace_back(asked.call.token.expose());
    return tokens;
  }

  CoreWorld world;
  std::shared_ptr<provider::Profile> profile = make_profile();
};

TEST_F(FoundBySimulationTest, GraceBeginsWhenTheNewTokenIsVisibleHoweverSlowTheDisk) {
  add_live();
  until_sent();
  world.store.hold();
  answer(make_tokens(world.clock, "access-2", "refresh-2", 1h));
  world.advance(5min);  // far longer than the grace of a minute
  EXPECT_EQ(world.ask("flat")->token, "access-1");
  world.store.let_go();
  world.settle();
  EXPECT_EQ(world.ask("flat")->token, "access-2");
  world.advance(59s);
  EXPECT_TRUE(revoked().empty()) << "a caller got the old token a minute ago";
  world.advance(2s);
  EXPECT_EQ(revoked(), (std::vector<std::string>{"access-1", "refresh-1"}));
}

TEST_F(FoundBySimulationTest, TheGraceThatASlowDiskPutOffIsPutOffDurably) {
  add_live();
  until_sent();
  world.store.hold();
  answer(make_tokens(world.clock, "access-2", "refresh-2", 1h));
  world.advance(5min);
  world.store.let_go();
  world.settle();
  for (const auto& [id, retirement] : world.disk.retirements)
    EXPECT_GE(retirement.not_before, world.clock.wall() + 60s);
}

TEST_F(FoundBySimulationTest, APromiseOutlivesARefreshThatBringsTheSameTokenAgain) {
  add_live();
  world.advance(30min);
  ASSERT_EQ(world.ask("flat", 25min)->token, "access-1");  // good until minute 55
  world.advance(11min);
  answer(make_tokens(world.clock, "access-1", "refresh-2", 10min));
  world.advance(8min);
  ASSERT_EQ(world.endpoint.calls.size(), 1U);
  answer(make_tokens(world.clock, "access-2", "refresh-3", 1h));
  world.advance(2min);
  const auto tokens = revoked();
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), "access-1"), 0) << "a caller was told that it is good";
}

TEST_F(FoundBySimulationTest, AClockSetBackDuringARefreshMakesNoTokenLiveLonger) {
  account::Account& account = add_live();
  until_sent();
  auto tokens = make_tokens(world.clock, "access-2", "refresh-2", 1h);  // by the clock when it was sent
  world.clock.set_wall(world.clock.wall() - 5h);
  answer(std::move(tokens));
  ASSERT_EQ(account.generation(), 2U);
  world.advance(59min);
  EXPECT_TRUE(account.usable(world.clock.wall(), world.clock.boot()));
  world.clock.advance(2min);
  EXPECT_FALSE(account.usable(world.clock.wall(), world.clock.boot())) << "it ended an hour after the request";
}

TEST_F(FoundBySimulationTest, AClockSetBackByAPartOfASecondMakesNoTokenLiveLonger) {
  account::Account& account = add_live();
  until_sent();
  auto tokens = make_tokens(world.clock, "access-2", "refresh-2", 1h);  // by the clock when it was sent
  world.clock.set_wall(world.clock.wall() - 900ms);
  answer(std::move(tokens));
  ASSERT_EQ(account.generation(), 2U);
  world.clock.advance(1h - 1ms);
  EXPECT_TRUE(account.usable(world.clock.wall(), world.clock.boot()));
  world.clock.advance(2ms);
  EXPECT_FALSE(account.usable(world.clock.wall(), world.clock.boot()));
}

TEST_F(FoundBySimulationTest, APlanMadeAnewRevokesNothingTwice) {
  // More than are revoked at a time, so that some wait for their turn.
  std::vector<store::Retirement> retirements;
  for (int i = 1; i <= 8; ++i) {
    store::Retirement r;
    r.id = i;
    r.account = "gone";
    r.token = Secret("token-" + std::to_string(i));
    r.order = Secret("order");
    r.not_before = world.clock.wall();
    r.give_up_at = world.clock.wall() + 24h;
    retirements.push_back(std::move(r));
  }
  world.retirer.add(std::move(retirements));
  world.settle();
  world.retirer.replan();  // the wall clock was set
  world.settle();
  std::set<std::string> asked;
  while (!world.endpoint.revocations.empty()) {
    EXPECT_TRUE(asked.insert(std::string(world.endpoint.revocations.front().call.token.expose())).second);
    world.endpoint.answer_revocation({oauth::RevocationResult::kDone, {}});
    world.settle();
  }
  EXPECT_EQ(asked.size(), 8U);
  EXPECT_EQ(world.retirer.size(), 0U);
}

TEST_F(FoundBySimulationTest, WhatIsRevokedIsErasedThoughTheDiskFailedAtFirst) {
  add_live();
  until_sent();
  answer(make_tokens(world.clock, "access-2", "refresh-2", 1h));
  world.advance(61s);
  ASSERT_EQ(world.endpoint.revocations.size(), 2U);
  world.store.fail_next(Error(ErrorCode::kIo, "the disk fails"), 2);
  world.endpoint.answer_revocation({oauth::RevocationResult::kDone, {}});
  world.endpoint.answer_revocation({oauth::RevocationResult::kDone, {}});
  world.settle();
  EXPECT_EQ(world.disk.retirements.size(), 2U);
  world.advance(2min);
  EXPECT_EQ(world.disk.retirements.size(), 0U);
}

// Resent once, and again no answer: from then on only the password is tried.
TEST_F(FoundBySimulationTest, APasswordThatCannotBeTriedDoesNotBringAGivenUpRefreshTokenBack) {
  auto config = std::make_shared<config::Account>(*make_account("flat", profile, provider::Grant::kPassword));
  config->password.kind = config::SecretSource::Kind::kFile;
  config->keep_password = true;
  world.add(config, make_tokens(world.clock, "access-1", "refresh-1", 1h), 1);
  world.advance(45min);
  answer(make_failure(FailureClass::kAmbiguous));
  world.advance(15min);
  ASSERT_EQ(world.endpoint.refresh_token_sent(), "refresh-1");
  answer(make_failure(FailureClass::kAmbiguous));
  for (int i = 0; i < 3; ++i) {
    world.advance(2min);
    ASSERT_EQ(world.endpoint.calls.size(), 1U);
    EXPECT_TRUE(std::holds_alternative<oauth::PasswordInput>(world.endpoint.calls.front().call.input));
    answer(make_failure(FailureClass::kTransient));
  }
}

TEST_F(FoundBySimulationTest, AnOverlapThatIsOverIsOverThoughTheClockWasSetBack) {
  profile->refresh.overlap = 20s;
  add_live();
  until_sent();
  world.advance(30s);
  world.clock.set_wall(world.clock.wall() - 1h);
  answer(make_failure(FailureClass::kAmbiguous));
  world.advance(5min);
  EXPECT_TRUE(world.endpoint.calls.empty()) << "sent again, the old refresh token could end the grant";
}

TEST_F(FoundBySimulationTest, NothingThatGetsBetterSendsAnUnknownRefreshTokenBeforeItsTime) {
  account::Account& account = add_live();
  until_sent();
  answer(make_failure(FailureClass::kAmbiguous));
  world.refresher.retry_mended(account);  // an edit
  world.settle();
  world.refresher.retry_suspended();  // a reload
  world.advance(5min);
  EXPECT_TRUE(world.endpoint.calls.empty()) << "the present token has minutes to live";
  world.advance(10min);
  EXPECT_EQ(world.endpoint.calls.size(), 1U);
}

// Its one resend met a client that was wrong for a while; nothing is left of the token that the hold was for.
TEST_F(FoundBySimulationTest, AReloadEndsTheSlowRetriesOfAnUnknownOutcomeWhoseTimeHasCome) {
  account::Account& account = add_live();
  until_sent();
  answer(make_failure(FailureClass::kAmbiguous));
  world.advance(15min);
  ASSERT_EQ(world.endpoint.refresh_token_sent(), "refresh-1");
  oauth::Failure wrong = make_failure(FailureClass::kClient);
  wrong.retry_after = 2min;
  answer(wrong);
  ASSERT_EQ(account.standing().state, account::State::kSuspended);
  world.advance(1min);
  world.refresher.retry_suspended();  // a reload
  world.settle();
  EXPECT_TRUE(world.endpoint.calls.empty()) << "the provider asked for two minutes";
  world.advance(1min);
  world.refresher.retry_suspended();
  world.settle();
  EXPECT_EQ(world.endpoint.calls.size(), 1U) << "the token is over, and the client was mended";
}

TEST_F(FoundBySimulationTest, ASlotIsFreeAgainThoughTheDiskFailedAtFirst) {
  add_live();
  until_sent();
  world.store.fail_next(Error(ErrorCode::kIo, "the disk fails"));
  answer(make_failure(FailureClass::kClient));
  EXPECT_EQ(world.disk.intents.size(), 1U);
  world.advance(1min);
  EXPECT_EQ(world.disk.intents.size(), 0U);
}

TEST_F(FoundBySimulationTest, TheTroublesOfTheOldGrantDoNotPutOffTheRefreshOfANewOne) {
  account::Account& account = add_live();
  until_sent();
  answer(make_failure(FailureClass::kRefused));  // suspended: tried again in a quarter of an hour and more
  account.attempts.not_before = world.clock.boot() + 6h;
  world.sign_in.with_refresh_token(account, Secret("refresh-new"), true, [](login::Outcome) {});
  world.settle();
  answer(make_tokens(world.clock, "access-2", "refresh-2", 1h));
  ASSERT_EQ(account.generation(), 2U);
  world.advance(45min);
  EXPECT_EQ(world.endpoint.calls.size(), 1U);
}

TEST_F(FoundBySimulationTest, APersonalTokenThatIsReplacedIsRevoked) {
  auto config = make_account("flat", profile, provider::Grant::kStatic);
  world.add(config);
  const auto sign_in = [&](const char* token) {
    std::optional<login::Outcome> outcome;
    world.sign_in.with_access_token(*world.accounts.find("flat"), Secret(token),
                                    [&](login::Outcome o) { outcome = std::move(o); });
    world.settle();
    ASSERT_TRUE(outcome && std::holds_alternative<login::SignedIn>(*outcome));
  };
  sign_in("personal-1");
  sign_in("personal-2");
  world.advance(61s);
  EXPECT_EQ(revoked(), std::vector<std::string>{"personal-1"});
}

TEST_F(FoundBySimulationTest, AClockSetBackDuringARefreshIsMindedInWhatIsStored) {
  add_live();
  until_sent();
  auto tokens = make_tokens(world.clock, "access-2", "refresh-2", 1h);  // by the clock when it was sent
  world.clock.set_wall(world.clock.wall() - 5h);
  answer(std::move(tokens));
  EXPECT_LE(*world.disk.accounts.at("flat").tokens->expires_at, world.clock.wall() + 1h)
      << "a start has nothing but the wall clock";
}

TEST_F(FoundBySimulationTest, AResendThatIsPutOffWaitsForTheFloorOnceTheOverlapIsOver) {
  profile->refresh.overlap = 10min;
  add_live();
  world.advance(26min);
  answer(make_failure(FailureClass::kAmbiguous));
  ASSERT_EQ(world.endpoint.calls.size(), 1U) << "within the overlap at once";
  oauth::Failure busy = make_failure(FailureClass::kTransient);
  busy.retry_after = 12min;
  answer(busy);
  world.advance(20min);
  EXPECT_TRUE(world.endpoint.calls.empty()) << "the overlap is over, and the token has ten minutes left";
  world.advance(14min);
  EXPECT_EQ(world.endpoint.calls.size(), 1U);
}

TEST_F(FoundBySimulationTest, ATokenThatIsQueuedTwiceWaitsForBothPromises) {
  std::vector<store::Retirement> retirements;
  for (int i = 1; i <= 2; ++i) {
    store::Retirement r;
    r.id = i;
    r.account = "gone";
    r.token = Secret("token");
    r.order = Secret("order");
    r.not_before = world.clock.wall() + (i == 1 ? 10min : 1min);
    r.give_up_at = world.clock.wall() + 24h;
    retirements.push_back(std::move(r));
  }
  world.retirer.add(std::move(retirements));
  world.advance(9min);
  EXPECT_TRUE(revoked().empty());
  world.advance(2min);
  EXPECT_FALSE(revoked().empty());
}

TEST_F(FoundBySimulationTest, RejectedTokensDoNotReviveAGrantThatIsGivenUp) {
  account::Account& account = add_live();
  for (int i = 2; i <= 3; ++i) {
    world.refresher.note_rejected(account);
    world.refresher.start(account, Reason::kOrdered);
    world.settle();
    answer(make_tokens(world.clock, "access-" + std::to_string(i), "refresh-" + std::to_string(i), 1h));
  }
  world.refresher.start(account, Reason::kOrdered);
  world.settle();
  answer(make_failure(FailureClass::kNeedsLogin));
  ASSERT_EQ(account.standing().state, account::State::kNeedsLogin);
  world.refresher.note_rejected(account);
  EXPECT_EQ(account.standing().state, account::State::kNeedsLogin);
  world.advance(10min);
  EXPECT_TRUE(world.endpoint.calls.empty()) << "its refresh token may have been replaced";
}

// A clock that was ahead while the outcome became unknown made the token look as if it ended sooner.
TEST_F(FoundBySimulationTest, AnUnknownRefreshTokenWaitsForTheFloorByTheClockAsItIsThen) {
  add_live();
  world.clock.set_wall(world.clock.wall() + 50min);
  world.refresher.replan_all();
  world.settle();
  ASSERT_EQ(world.endpoint.calls.size(), 1U) << "ten minutes are left, it seems";
  answer(make_failure(FailureClass::kAmbiguous));
  world.clock.set_wall(world.clock.wall() - 50min);
  world.refresher.replan_all();
  world.advance(50min);
  EXPECT_TRUE(world.endpoint.calls.empty()) << "the token has ten minutes to live";
  world.advance(9min + 30s);
  EXPECT_EQ(world.endpoint.calls.size(), 1U);
}

TEST_F(FoundBySimulationTest, AnUnknownRefreshTokenIsSentAtTheFloorThoughThatCameSooner) {
  add_live();
  until_sent();
  answer(make_failure(FailureClass::kAmbiguous));
  world.clock.set_wall(world.clock.wall() + 14min);
  world.refresher.replan_all();
  world.advance(5s);
  EXPECT_EQ(world.endpoint.calls.size(), 1U) << "by the clock in force the token has a minute left";
}

// "At once" may take as long as the disk does.
TEST_F(FoundBySimulationTest, AResendThatASlowDiskPutsBeyondTheOverlapWaitsForTheFloor) {
  profile->refresh.overlap = 20s;
  add_live();
  until_just_sent();
  world.store.hold();
  answer(make_failure(FailureClass::kAmbiguous));
  world.advance(30s);
  world.store.let_go();
  world.settle();
  EXPECT_TRUE(world.endpoint.calls.empty()) << "the provider has stopped taking it";
  world.advance(until_floor() - 1s);
  EXPECT_TRUE(world.endpoint.calls.empty());
  world.advance(2s);
  EXPECT_EQ(world.endpoint.calls.size(), 1U) << "at the floor";
}

TEST_F(FoundBySimulationTest, AResendForWhichTheMachineWokeUpTooLateWaitsForTheFloor) {
  profile->refresh.overlap = 20s;
  add_live();
  until_just_sent();
  world.endpoint.answer(make_failure(FailureClass::kAmbiguous));
  world.clock.advance(30s);  // planned for now, and asleep
  world.advance(until_floor() - 1s);
  EXPECT_TRUE(world.endpoint.calls.empty()) << "the provider has stopped taking it";
  world.advance(2s);
  EXPECT_EQ(world.endpoint.calls.size(), 1U) << "at the floor";
}

TEST_F(FoundBySimulationTest, AResendThatThePauseOfTheEndpointPutsBeyondTheOverlapWaitsForTheFloor) {
  profile->refresh.overlap = 4s;
  add_live();
  until_just_sent();
  answer(make_failure(FailureClass::kAmbiguous));
  ASSERT_EQ(world.endpoint.calls.size(), 1U) << "within the overlap at once";
  EXPECT_TRUE(world.endpoint.calls.front().call.send_before) << "the transport is told when that ends";
  oauth::Failure busy = make_failure(FailureClass::kTransient);
  busy.rate_limited = true;  // without a word for how long
  answer(busy);
  world.advance(until_floor() - 1s);
  EXPECT_TRUE(world.endpoint.calls.empty()) << "the provider has stopped taking it";
  world.advance(2s);
  EXPECT_EQ(world.endpoint.calls.size(), 1U) << "at the floor";
}

TEST_F(FoundBySimulationTest, AnOverlapThatIsOverDoesNotLastAgainByAClockThatWasSetBack) {
  profile->refresh.overlap = 20s;
  account::Account& account = add_live();
  until_just_sent();
  const WallTime sent = world.clock.wall();
  world.clock.advance(1min);
  answer(make_failure(FailureClass::kAmbiguous));
  world.advance(until_floor() - 1s);
  ASSERT_TRUE(world.endpoint.calls.empty());
  world.clock.set_wall(sent + 5s);
  world.advance(2s);
  ASSERT_EQ(world.endpoint.calls.size(), 1U) << "at the floor";
  answer(make_failure(FailureClass::kAmbiguous));
  world.advance(10min);
  EXPECT_TRUE(world.endpoint.calls.empty()) << "it was sent twice, and the provider has stopped taking it long ago";
  EXPECT_EQ(account.standing().state, account::State::kNeedsLogin);
}

TEST_F(FoundBySimulationTest, AnOverlapLastsThoughTheClockIsSetBackToBeforeIt) {
  profile->refresh.overlap = 10min;
  account::Account& account = add_live();
  until_just_sent();
  answer(make_failure(FailureClass::kAmbiguous));
  world.clock.set_wall(world.clock.wall() - 1h);
  for (int resend = 1; resend <= 3; ++resend) {
    world.advance(20s);
    ASSERT_EQ(world.endpoint.calls.size(), 1U) << "the provider takes it for minutes yet";
    answer(make_failure(FailureClass::kAmbiguous));
  }
  EXPECT_EQ(account.standing().state, account::State::kRetrying);
}

TEST_F(FoundBySimulationTest, ASignInGivesCallersNoNewAllowance) {
  account::Account& account = add_live();
  ASSERT_TRUE(world.refresher.take_allowance(account));
  world.sign_in.with_refresh_token(account, Secret("imported"), false, [](login::Outcome) {});
  world.settle();
  answer(make_tokens(world.clock, "access-2", "refresh-2", 1h));
  ASSERT_EQ(account.generation(), 2U);
  EXPECT_FALSE(world.refresher.take_allowance(account)) << "five minutes of it are left";
}

// The sign-in need not revoke what will have ended by then; the late answer brings it with a longer life.
TEST_F(FoundBySimulationTest, APromiseOutlivesALateAnswerWithTheSameTokenForAReplacedGrant) {
  account::Account& account = add_live();
  until_sent();
  ASSERT_EQ(world.ask("flat", 30min, 0s)->token, "access-1");  // to its end, in a quarter of an hour
  world.sign_in.with_refresh_token(account, Secret("imported"), false, [](login::Outcome) {});
  world.settle();
  ASSERT_EQ(world.endpoint.calls.size(), 2U);
  auto sign_in = std::move(world.endpoint.calls.back());
  world.endpoint.calls.pop_back();
  sign_in.done({make_tokens(world.clock, "access-new", "refresh-new", 1h), Secret("order")});
  world.settle();
  ASSERT_EQ(account.generation(), 2U);
  answer(make_tokens(world.clock, "access-1", "refresh-2", 1h));
  world.advance(14min);
  const auto before = revoked();
  EXPECT_EQ(std::count(before.begin(), before.end(), "access-1"), 0) << "a caller was told that it is good";
  world.advance(2min);
  const auto after = revoked();
  EXPECT_EQ(std::count(after.begin(), after.end(), "access-1"), 1);
}

// Not found by simulation, but by a look at what a sign-out leaves: a personal access token at a server that revokes for
// clients only was asked for until its end.
TEST_F(FoundBySimulationTest, WhatNeedsAClientThatThereIsNotIsAskedForOnce) {
  oauth::RevocationOrder rules;
  rules.url = "https://auth.example/revoke";
  rules.rules = *profile;
  const auto asked = [&](const std::string& client) {
    rules.client_id = client;
    store::Retirement r;
    r.id = client.empty() ? 1 : 2;
    r.account = "gone";
    r.token = Secret("token");
    r.order = oauth::serialise(rules);
    r.not_before = world.clock.wall();
    r.give_up_at = world.clock.wall() + 24h;
    std::vector<store::Retirement> one;
    one.push_back(std::move(r));
    world.retirer.add(std::move(one));
    world.settle();
    oauth::Failure refused = make_failure(FailureClass::kClient, "who are you?");
    refused.status = 401;
    world.endpoint.answer_revocation({oauth::RevocationResult::kRetry, refused});
    world.settle();
    return world.retirer.pending("gone").count;
  };
  EXPECT_EQ(asked(""), 0U) << "nobody can mend that";
  EXPECT_EQ(asked("client"), 1U) << "an admin can";
}

}  // namespace
}  // namespace credsync::refresh
