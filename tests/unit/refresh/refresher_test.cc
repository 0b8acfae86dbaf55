// The refresher on a still clock: what it plans, that it is alone, and that no failure costs a token.
#include <gtest/gtest.h>

#include "daemon/refresh/policy.h"
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

class RefresherTest : public testing::Test {
 protected:
  account::Account& add_live(const std::string& name = "flat", Duration lifetime = 1h) {
    return world.add(make_account(name, profile), make_tokens(world.clock, "access-1", "refresh-1", lifetime), 1);
  }
  account::TokenSet fresh(const std::string& access, const std::string& refresh, Duration lifetime = 1h) {
    return make_tokens(world.clock, access, refresh, lifetime);
  }
  void answer(oauth::TokenOutcome outcome) {
    world.endpoint.answer(std::move(outcome), Secret("order"));
    world.settle();
  }
  bool in_history(const std::string& words) {
    const auto& history = world.store.history();
    return std::any_of(history.begin(), history.end(), [&](const std::string& h) { return h.find(words) == 0; });
  }

  CoreWorld world;
  std::shared_ptr<provider::Profile> profile = make_profile();
};

TEST_F(RefresherTest, RefreshesAheadWithinTheMarginAndInstallsTheNextGeneration) {
  account::Account& account = add_live();
  world.advance(17min);
  EXPECT_EQ(world.endpoint.calls_made, 0U);
  world.advance(9min);
  ASSERT_EQ(world.endpoint.calls_made, 1U);
  EXPECT_EQ(world.endpoint.refresh_token_sent(), "refresh-1");
  EXPECT_TRUE(world.endpoint.calls.front().call.fresh_connection)
      << "a refresh that rotates never uses a kept connection";
  answer(fresh("access-2", "refresh-2"));
  EXPECT_EQ(account.generation(), 2U);
  EXPECT_EQ(account.live()->tokens.access_token.expose(), "access-2");
  EXPECT_EQ(account.standing().state, State::kOk);
}

TEST_F(RefresherTest, MakesTheIntentDurableBeforeItSends) {
  add_live();
  world.store.hold();
  world.advance(45min);
  EXPECT_EQ(world.endpoint.calls_made, 0U) << "nothing may leave before the intent is on disk";
  world.store.let_go();
  world.settle();
  EXPECT_EQ(world.endpoint.calls_made, 1U);
}

TEST_F(RefresherTest, PublishesNothingBeforeItIsDurable) {
  account::Account& account = add_live();
  world.advance(45min);
  world.store.hold();
  answer(fresh("access-2", "refresh-2"));
  EXPECT_EQ(account.generation(), 1U);
  EXPECT_EQ(world.ask("flat")->token, "access-1");
  world.store.let_go();
  world.settle();
  EXPECT_EQ(world.ask("flat")->token, "access-2");
}

TEST_F(RefresherTest, AnAnswerThatCouldNotBeStoredIsALostOne) {
  account::Account& account = add_live();
  world.advance(45min);
  world.store.fail_next(Error(ErrorCode::kIo, "the disk is broken"));
  answer(fresh("access-2", "refresh-2"));
  EXPECT_EQ(account.generation(), 1U);
  EXPECT_EQ(account.standing().state, State::kRetrying);
  EXPECT_EQ(account.standing().trouble->words, "the new tokens could not be stored: the disk is broken");
  EXPECT_EQ(world.ask("flat")->token, "access-1");
  ASSERT_TRUE(account.unknown());
  world.advance(13min);
  EXPECT_EQ(world.endpoint.calls_made, 1U) << "only at the floor is it worth the risk";
  world.advance(90s);
  ASSERT_EQ(world.endpoint.calls_made, 2U);
  ASSERT_EQ(world.disk.intents.size(), 1U) << "in the same slot";
  EXPECT_EQ(world.disk.intents.begin()->second.resends, 1U) << "counted before it was sent";
  answer(fresh("access-3", "refresh-3"));
  EXPECT_EQ(account.standing().state, State::kOk);
  EXPECT_TRUE(world.disk.intents.empty());
}

TEST_F(RefresherTest, IsAloneAndSharedByAllWhoWait) {
  add_live();
  world.advance(59min + 30s);
  std::vector<std::unique_ptr<CoreWorld::Given>> callers;
  for (int i = 0; i < 1000; ++i)
    callers.push_back(world.ask("flat"));
  EXPECT_EQ(world.endpoint.calls_made, 1U);
  answer(fresh("access-2", "refresh-2"));
  for (const auto& caller : callers) {
    ASSERT_TRUE(caller->answered);
    EXPECT_EQ(caller->token, "access-2");
  }
  EXPECT_EQ(world.endpoint.calls_made, 1U);
}

TEST_F(RefresherTest, KeepsTheRefreshTokenThatTheAnswerLeftOut) {
  account::Account& account = add_live();
  world.advance(45min);
  answer(fresh("access-2", ""));
  EXPECT_EQ(account.live()->tokens.refresh_token.expose(), "refresh-1");
}

TEST_F(RefresherTest, AWorkingTokenSurvivesEveryFailure) {
  for (const FailureClass failure :
       {FailureClass::kNotSent, FailureClass::kAmbiguous, FailureClass::kTransient, FailureClass::kNeedsLogin,
        FailureClass::kUnclear, FailureClass::kClient, FailureClass::kRefused, FailureClass::kUntrusted,
        FailureClass::kNoToken, FailureClass::kStartOver, FailureClass::kLocal}) {
    const std::string name = "account-" + std::string(oauth::to_string(failure));
    auto config = make_account(name, profile);
    config->client_id = name;
    account::Account& account = world.add(config, fresh("access-1", "refresh-of-" + name), 1);
    world.refresher.start(account, Reason::kOrdered);
    world.settle();
    answer(make_failure(failure));
    ASSERT_NE(account.live(), nullptr) << name;
    EXPECT_EQ(account.live()->tokens.refresh_token.expose(), "refresh-of-" + name);
    const auto given = world.ask(name);
    EXPECT_EQ(given->token, "access-1") << name;
    EXPECT_EQ(given->state, to_string(account.standing().state));
    world.accounts.remove(account);
  }
}

TEST_F(RefresherTest, ADeadGrantIsNotRetried) {
  account::Account& account = add_live();
  world.advance(45min);
  answer(make_failure(FailureClass::kNeedsLogin, "token revoked"));
  EXPECT_EQ(account.standing().state, State::kNeedsLogin);
  world.advance(days(30));
  EXPECT_EQ(world.endpoint.calls_made, 1U);
  const auto given = world.ask("flat");
  ASSERT_TRUE(given->problem);
  EXPECT_EQ(given->problem->kind, ipc::ProblemKind::kNeedsLogin);
}

TEST_F(RefresherTest, RetriesTransientFailuresUntilTheTokenIsThere) {
  account::Account& account = add_live();
  world.advance(45min);
  for (int i = 0; i < 5; ++i) {
    answer(make_failure(FailureClass::kTransient));
    EXPECT_EQ(account.standing().state, State::kRetrying);
    world.advance(5min);
    ASSERT_EQ(world.endpoint.calls.size(), 1U) << i;
  }
  answer(fresh("access-2", "refresh-2"));
  EXPECT_EQ(account.standing().state, State::kOk);
}

TEST_F(RefresherTest, HonoursRetryAfter) {
  add_live();
  world.advance(45min);
  oauth::Failure failure = make_failure(FailureClass::kTransient);
  failure.retry_after = 10min;
  answer(failure);
  world.advance(9min);
  EXPECT_EQ(world.endpoint.calls_made, 1U);
  world.advance(2min);
  EXPECT_EQ(world.endpoint.calls_made, 2U);
}

TEST_F(RefresherTest, A429PausesTheWholeEndpointAndClient) {
  add_live("one");
  world.add(make_account("two", profile), fresh("access", "refresh-two", 2h), 1);
  world.advance(45min);
  oauth::Failure failure = make_failure(FailureClass::kTransient);
  failure.rate_limited = true;
  failure.retry_after = 30min;
  answer(failure);
  world.refresher.start(*world.accounts.find("two"), Reason::kOrdered);
  world.settle();
  EXPECT_EQ(world.endpoint.calls_made, 1U) << "the other account waits out the same pause";
  world.advance(31min);
  EXPECT_GE(world.endpoint.calls_made, 2U);
}

// After a rotating refresh token was sent and no answer came.
TEST_F(RefresherTest, AnAmbiguousOutcomeIsAskedForOnceMoreAtTheFloorAndCountedFirst) {
  account::Account& account = add_live();
  world.advance(45min);
  answer(make_failure(FailureClass::kAmbiguous));
  const BootTime end = *account.live()->expires_boot;
  world.advance(end - world.clock.boot() - floor_of(1h) - 1s);
  EXPECT_EQ(world.endpoint.calls_made, 1U) << "not before the token is nearly over";
  world.advance(2s);
  ASSERT_EQ(world.endpoint.calls_made, 2U);
  EXPECT_TRUE(in_history("CountResend flat")) << "counted durably before it was sent";
  EXPECT_EQ(world.endpoint.refresh_token_sent(), "refresh-1");
  answer(make_failure(FailureClass::kAmbiguous));
  EXPECT_EQ(account.standing().state, State::kNeedsLogin);
  world.advance(days(2));
  EXPECT_EQ(world.endpoint.calls_made, 2U) << "at most once";
}

TEST_F(RefresherTest, TheFloorIsReachedThoughTheClockGoesOnBetweenTwoLooksAtIt) {
  account::Account& account = add_live();
  world.clock.move_at_each_look(1us);
  world.advance(45min);
  answer(make_failure(FailureClass::kAmbiguous));
  world.advance(*account.live()->expires_boot - world.clock.boot() - floor_of(1h) + 1s);
  EXPECT_EQ(world.endpoint.calls_made, 2U);
}

TEST_F(RefresherTest, WithinADeclaredOverlapTheResendComesAtOnce) {
  profile->refresh.overlap = 10min;
  add_live();
  world.advance(26min);
  answer(make_failure(FailureClass::kAmbiguous));
  EXPECT_EQ(world.endpoint.calls_made, 2U);
}

TEST_F(RefresherTest, WithinADeclaredOverlapItIsRepeatedAndAfterItOnceMoreAtTheFloor) {
  profile->refresh.overlap = 2min;
  account::Account& account = add_live();
  world.advance(26min);
  unsigned asked = 0;
  for (; !world.endpoint.calls.empty(); ++asked) {
    answer(make_failure(FailureClass::kAmbiguous));
    EXPECT_EQ(account.standing().state, State::kRetrying);
    for (int second = 0; second < 90 && world.endpoint.calls.empty(); ++second)
      world.advance(1s);
  }
  EXPECT_GT(asked, 4U) << "the old one still works: nothing is lost by asking";
  EXPECT_LT(asked, 12U) << "but not all the time";
  world.advance(20min);
  EXPECT_TRUE(world.endpoint.calls.empty()) << "the overlap is over: not before it must";
  world.advance(12min);
  ASSERT_EQ(world.endpoint.calls.size(), 1U);
  answer(make_failure(FailureClass::kAmbiguous));
  EXPECT_EQ(account.standing().state, State::kNeedsLogin);
}

TEST_F(RefresherTest, WithoutRotationAnAmbiguousOutcomeIsRepeatedFreely) {
  profile->refresh.rotation = provider::Rotation::kNone;
  add_live();
  world.advance(45min);
  for (int i = 0; i < 4; ++i) {
    answer(make_failure(FailureClass::kAmbiguous));
    world.advance(5min);
  }
  EXPECT_EQ(world.endpoint.calls_made, 5U);
  EXPECT_FALSE(in_history("begin_rotation")) << "grants without rotation need no intent";
}

TEST_F(RefresherTest, ShortTokensAreRefreshedAheadOnlyWhileTheyAreUsed) {
  add_live("short", 5s);
  world.advance(1min);
  EXPECT_EQ(world.endpoint.calls_made, 0U);
  auto given = world.ask("short");
  ASSERT_EQ(world.endpoint.calls_made, 1U) << "an expired one is fetched when it is asked for";
  answer(fresh("access-2", "refresh-2", 5s));
  EXPECT_EQ(given->token, "access-2");
  world.advance(4s);
  EXPECT_EQ(world.endpoint.calls_made, 2U) << "and ahead from then on";
}

TEST_F(RefresherTest, ARefreshThatKillsTheOldTokenWaitsForTheLastPromiseButNotBeyondTheFloor) {
  profile->refresh.access_overlap = Duration::zero();
  account::Account& account = add_live();
  world.advance(20min);
  world.ask("flat", 30min);  // promised until minute 50
  world.advance(29min);
  EXPECT_EQ(world.endpoint.calls_made, 0U);
  world.advance(2min);
  EXPECT_EQ(world.endpoint.calls_made, 1U);
  EXPECT_GT(*account.live()->expires_boot - world.clock.boot(), floor_of(1h));
}

TEST_F(RefresherTest, AnUnusedRefreshTokenIsUsedBeforeItDiesOfDisuse) {
  profile->refresh.idle_life = days(60);
  auto config = make_account("idle", profile);
  config->refresh = config::RefreshMode::kOnDemand;
  world.add(config, fresh("access-1", "refresh-1"), 1);
  world.advance(days(47));
  EXPECT_EQ(world.endpoint.calls_made, 0U);
  world.advance(days(2));
  EXPECT_EQ(world.endpoint.calls_made, 1U);
}

// Keycloak tells 30 minutes with each answer.
TEST_F(RefresherTest, ARefreshTokenWhoseEndIsToldIsUsedBeforeThat) {
  const auto tokens = [&](const std::string& number) {
    account::TokenSet made = fresh("access-" + number, "refresh-" + number);
    made.refresh_expires_at = world.clock.wall() + 30min;
    return made;
  };
  auto unused = make_account("unused", profile);
  unused->refresh = config::RefreshMode::kOnDemand;
  world.add(unused, tokens("1"), 1);
  world.advance(23min);
  EXPECT_EQ(world.endpoint.calls_made, 0U);
  world.advance(2min);
  ASSERT_EQ(world.endpoint.calls_made, 1U) << "the next caller would need a person";
  answer(tokens("2"));
  world.advance(23min);
  EXPECT_EQ(world.endpoint.calls_made, 1U);
  world.advance(2min);
  EXPECT_EQ(world.endpoint.calls_made, 2U);
}

TEST_F(RefresherTest, ARefreshTokenThatEndsBeforeThePlannedRefreshIsUsedBeforeThat) {
  account::TokenSet tokens = fresh("access-1", "refresh-1");
  tokens.expires_at = world.clock.wall() + 2h;
  tokens.refresh_expires_at = world.clock.wall() + 30min;
  world.add(make_account("ahead", profile), std::move(tokens), 1);
  world.advance(25min);
  EXPECT_EQ(world.endpoint.calls_made, 1U);
}

TEST_F(RefresherTest, AnEndThatNoRefreshPutsOffIsNotApproachedForEver) {
  const WallTime end = world.clock.wall() + 1h;
  auto unused = make_account("unused", profile);
  unused->refresh = config::RefreshMode::kOnDemand;
  account::TokenSet tokens = fresh("access-1", "refresh-1");
  tokens.refresh_expires_at = end;
  world.add(unused, std::move(tokens), 1);
  for (int i = 0; i < 70; ++i) {
    world.advance(1min);
    if (world.endpoint.calls.empty()) continue;
    account::TokenSet next = fresh("access-" + std::to_string(i), "refresh-" + std::to_string(i));
    next.refresh_expires_at = end;
    answer(std::move(next));
  }
  EXPECT_EQ(world.endpoint.calls_made, 2U) << "after 48 minutes and after 57.6; then less than five are left";
}

TEST_F(RefresherTest, ClientCredentialsAreFetchedAtOnce) {
  auto config = make_account("cc", profile, provider::Grant::kClientCredentials);
  account::Account& account = world.add(config);
  world.settle();
  ASSERT_EQ(world.endpoint.calls_made, 1U);
  EXPECT_TRUE(std::holds_alternative<oauth::ClientCredentialsInput>(world.endpoint.calls.front().call.input));
  answer(fresh("access-1", ""));
  EXPECT_EQ(account.generation(), 1U);
}

TEST_F(RefresherTest, AConfiguredPasswordIsUsedOnceAndDroppedWhenThereIsARefreshToken) {
  auto config = make_account("flume", profile, provider::Grant::kPassword);
  config->username = "demo";
  config->password = {config::SecretSource::Kind::kFile, "/some/file", {}};
  account::Account& account = world.add(config);
  world.settle();
  ASSERT_EQ(world.endpoint.calls_made, 1U);
  EXPECT_TRUE(world.endpoint.calls.front().call.password_from_source);
  answer(fresh("access-1", "refresh-1"));
  EXPECT_TRUE(account.password_used());
  world.advance(45min);
  EXPECT_EQ(world.endpoint.refresh_token_sent(), "refresh-1");
  answer(make_failure(FailureClass::kNeedsLogin));
  world.advance(days(1));
  EXPECT_EQ(world.endpoint.calls_made, 2U) << "the password is not taken out again";
  EXPECT_EQ(account.standing().state, State::kNeedsLogin);
}

TEST_F(RefresherTest, ARefusedPasswordIsNeverTriedAgainByItself) {
  auto config = make_account("flume", profile, provider::Grant::kPassword);
  config->password = {config::SecretSource::Kind::kFile, "/some/file", {}};
  config->keep_password = true;
  world.add(config);
  world.settle();
  answer(make_failure(FailureClass::kNeedsLogin, "wrong password"));
  world.advance(days(3));
  EXPECT_EQ(world.endpoint.calls_made, 1U) << "no loop may lock the user out";
}

TEST_F(RefresherTest, SupersededTokensAreRevokedAfterGraceAndPromise) {
  add_live();
  world.advance(45min);
  world.ask("flat", 3min);  // promised for three minutes
  answer(fresh("access-2", "refresh-2"));
  EXPECT_EQ(world.retirer.pending("flat").count, 2U);
  world.advance(2min + 30s);
  EXPECT_TRUE(world.endpoint.revocations.size() <= 1U) << "the access token was promised for longer";
  world.advance(1min);
  EXPECT_EQ(world.endpoint.revocations.size(), 2U);
  world.endpoint.answer_revocation({oauth::RevocationResult::kDone, {}});
  world.endpoint.answer_revocation({oauth::RevocationResult::kDone, {}});
  world.settle();
  EXPECT_EQ(world.retirer.pending("flat").count, 0U);
  EXPECT_TRUE(world.disk.retirements.empty());
}

TEST_F(RefresherTest, NothingIsRevokedWhereTheCascadeIsUnknownOrTheTokenIsTheSame) {
  profile->revoke.access_cascade = provider::Cascade::kUnknown;
  profile->revoke.refresh_cascade = provider::Cascade::kUnknown;
  add_live();
  world.advance(45min);
  answer(fresh("access-2", "refresh-2"));
  EXPECT_EQ(world.retirer.size(), 0U);
  profile->revoke.access_cascade = provider::Cascade::kNone;
  profile->revoke.refresh_cascade = provider::Cascade::kNone;
  world.advance(45min);
  answer(fresh("access-2", "refresh-2"));
  EXPECT_EQ(world.retirer.size(), 0U) << "the new token is the old one";
}

TEST_F(RefresherTest, ALateAnswerAfterSignOutIsRetiredNotInstalled) {
  account::Account& account = add_live();
  world.advance(45min);
  world.sign_out.run(account, [](Result<unsigned> pending) { ASSERT_TRUE(pending.has_value()); });
  world.settle();
  EXPECT_EQ(account.live(), nullptr);
  answer(fresh("late-access", "late-refresh"));
  EXPECT_EQ(account.live(), nullptr);
  EXPECT_EQ(account.standing().state, State::kSignedOut);
  bool found = false;
  for (const auto& [id, r] : world.disk.retirements)
    found = found || r.token.expose() == "late-refresh";
  EXPECT_TRUE(found) << "the provider is to be told";
}

TEST_F(RefresherTest, ASignOutWhileTheAnswerIsOnItsWayToTheDiskWins) {
  account::Account& account = add_live();
  world.advance(45min);
  world.store.hold();
  answer(fresh("access-2", "refresh-2"));
  world.sign_out.run(account, [](Result<unsigned>) {});
  world.store.let_go();
  world.settle();
  EXPECT_EQ(account.live(), nullptr);
  EXPECT_FALSE(world.disk.accounts.at("flat").tokens.has_value());
  bool found = false;
  for (const auto& [id, r] : world.disk.retirements)
    found = found || r.token.expose() == "refresh-2";
  EXPECT_TRUE(found);
}

// Whatever was synced when the machine stopped: the new grant is in use, or it is queued for revocation.
TEST_F(RefresherTest, ACrashInASignOutErasesNoGrantUnrevoked) {
  for (std::size_t synced = 1; synced <= 4; ++synced) {
    SCOPED_TRACE("synced: " + std::to_string(synced));
    CoreWorld crashing;
    account::Account& account =
        crashing.add(make_account("flat", profile), make_tokens(crashing.clock, "access-1", "refresh-1", 1h), 1);
    crashing.advance(45min);
    crashing.store.hold();
    crashing.endpoint.answer(make_tokens(crashing.clock, "access-2", "refresh-2", 1h), Secret("order"));
    crashing.settle();
    bool told = false;
    crashing.sign_out.run(account, [&](Result<unsigned> pending) { told = pending.has_value(); });
    crashing.settle();
    for (std::size_t i = 0; i < synced; ++i) {
      crashing.store.let_go_of(1);
      crashing.settle();
    }
    crashing.store.crash();
    const auto& stored = crashing.disk.accounts.at("flat");
    unsigned found = stored.tokens && stored.tokens->refresh_token.expose() == "refresh-2" ? 1U : 0U;
    for (const auto& [id, r] : crashing.disk.retirements)
      found += r.token.expose() == "refresh-2" ? 1U : 0U;
    EXPECT_EQ(found, 1U) << "once, and in one place";
    EXPECT_EQ(told, !stored.tokens.has_value()) << "told when it is durable";
  }
}

TEST_F(RefresherTest, AnAnswerMeetsAFullDiskInItsReservedSlot) {
  account::Account& account = add_live();
  world.advance(45min);
  world.store.fill_disk();
  answer(fresh("access-2", "refresh-2"));
  EXPECT_EQ(account.generation(), 2U) << "durable in its slot: published";
  world.store.make_room();
  world.settle();
  EXPECT_EQ(world.disk.accounts.at("flat").generation, 2U);
}

TEST_F(RefresherTest, WithoutRoomForTheAnswerARotatingTokenIsNotSent) {
  add_live();
  world.store.fill_disk();
  world.advance(45min);
  EXPECT_EQ(world.endpoint.calls_made, 0U);
  world.store.make_room();
  world.advance(10min);
  EXPECT_EQ(world.endpoint.calls_made, 1U);
}

TEST_F(RefresherTest, AfterThreeFreshTokensRejectedTheAccountPausesAndSaysWhy) {
  account::Account& account = add_live();
  for (int i = 0; i < 3; ++i) {
    world.refresher.note_rejected(account);
    if (i == 2) break;
    world.refresher.start(account, Reason::kOrdered);
    world.settle();
    answer(fresh("access-" + std::to_string(i + 2), "refresh-" + std::to_string(i + 2)));
  }
  EXPECT_FALSE(world.refresher.start(account, Reason::kWished));
  ASSERT_TRUE(account.standing().trouble);
  EXPECT_NE(account.standing().trouble->words.find("refused three fresh tokens"), std::string::npos);
  world.advance(6min);
  EXPECT_TRUE(world.refresher.start(account, Reason::kWished));
}

TEST_F(RefresherTest, AnIntentFoundAtStartIsResentOnceAtTheFloor) {
  account::Account& account = add_live();
  world.store.begin_rotation({"flat", account.config().identity, 1, 0, world.clock.wall(), 0},
                             [&](Result<store::SlotId> slot) {
                               ASSERT_TRUE(slot.has_value());
                               world.refresher.resume_unknown(account, {*slot, world.clock.wall(), 0});
                             });
  world.settle();
  world.advance(58min);
  EXPECT_EQ(world.endpoint.calls_made, 0U);
  world.advance(1min + 30s);
  EXPECT_EQ(world.endpoint.calls_made, 1U);
  EXPECT_TRUE(in_history("CountResend flat"));
}

TEST_F(RefresherTest, AClockSetForwardExpiresTokensAndSetBackDoesNotRevive) {
  account::Account& account = add_live();
  world.clock.set_wall(world.clock.wall() + days(1));
  EXPECT_FALSE(account.usable(world.clock.wall(), world.clock.boot()));
  world.clock.set_wall(world.clock.wall() - days(30));
  world.clock.advance(2h);
  EXPECT_FALSE(account.usable(world.clock.wall(), world.clock.boot())) << "the boot clock cannot be set";
}

TEST_F(RefresherTest, AHurryEndsABackOff) {
  account::Account& account = add_live();
  world.advance(45min);
  const auto left = [&] { return *world.refresher.planned(account) - world.clock.boot(); };
  do {
    answer(make_failure(FailureClass::kTransient));
    ASSERT_EQ(account.standing().state, State::kRetrying);
    if (left() < 20s) world.advance(left());
  } while (world.endpoint.calls_made < 20 && left() < 20s);
  ASSERT_GE(left(), 20s);
  const auto before = world.endpoint.calls_made;
  EXPECT_TRUE(world.refresher.any_retrying());
  world.refresher.hurry(4s);
  EXPECT_LE(left(), 4s);
  world.advance(4s);
  EXPECT_EQ(world.endpoint.calls_made, before + 1);
  answer(fresh("access-2", "refresh-2"));
  EXPECT_FALSE(world.refresher.any_retrying());
}

TEST_F(RefresherTest, AHurryRespectsRetryAfter) {
  account::Account& account = add_live();
  world.advance(45min);
  oauth::Failure busy = make_failure(FailureClass::kTransient);
  busy.retry_after = 10s;
  answer(std::move(busy));
  const BootTime earliest = world.clock.boot() + 10s;
  world.refresher.hurry(4s);
  EXPECT_GE(*world.refresher.planned(account), earliest);
  world.advance(9s);
  EXPECT_EQ(world.endpoint.calls_made, 1U);
}

TEST_F(RefresherTest, AHurryDoesNotResendWhatMayHaveRotated) {
  account::Account& account = add_live();
  world.advance(45min);
  answer(make_failure(FailureClass::kAmbiguous));
  const BootTime planned = *world.refresher.planned(account);
  world.refresher.hurry(4s);
  EXPECT_EQ(world.refresher.planned(account), planned);
  world.advance(5s);
  EXPECT_EQ(world.endpoint.calls_made, 1U);
}

TEST_F(RefresherTest, AHurryLeavesOthersAlone) {
  account::Account& well = add_live("well");
  const BootTime planned = *world.refresher.planned(well);
  world.refresher.hurry(4s);
  EXPECT_EQ(world.refresher.planned(well), planned);
}

// A provider that loses answers must not stop grants that rotate at others.
TEST_F(RefresherTest, UnknownOutcomesHoldNoRoomThatOthersNeed) {
  constexpr unsigned kMoreThanSlots = 70;
  for (unsigned i = 0; i < kMoreThanSlots; ++i)
    world.add(make_account("lost-" + std::to_string(i), profile), fresh("access", "refresh-of-" + std::to_string(i)),
              1);
  world.advance(26min);
  for (unsigned i = 0; i < kMoreThanSlots; ++i) {
    ASSERT_FALSE(world.endpoint.calls.empty()) << i << " were sent, and the rest waits for room";
    answer(make_failure(FailureClass::kAmbiguous));
    world.advance(1s);
  }
  add_live("well");
  world.refresher.start(*world.accounts.find("well"), Reason::kOrdered);
  world.advance(1s);
  ASSERT_EQ(world.endpoint.calls.size(), 1U);
  EXPECT_EQ(world.endpoint.refresh_token_sent(), "refresh-1");
  answer(fresh("access-2", "refresh-2"));
  world.advance(34min);                                     // the others come to their floor
  for (unsigned i = 0; !world.endpoint.calls.empty(); ++i)  // each is asked for once more, and the other has its turn
    answer(fresh("access-" + std::to_string(i), "newer-" + std::to_string(i)));
  for (unsigned i = 0; i < kMoreThanSlots; ++i)
    EXPECT_EQ(world.accounts.find("lost-" + std::to_string(i))->standing().state, State::kOk) << i;
}

// 20 endpoints that never answer, each with its own client, and one that does.
TEST_F(RefresherTest, EndpointsThatHangLeaveWorkersForThoseThatAnswer) {
  constexpr unsigned kHung = 20;
  constexpr unsigned kHalf = 16;  // of 32 workers
  account::Account& well = add_live("well");
  world.advance(45min);
  answer(fresh("access-2", "refresh-2"));
  for (unsigned i = 0; i < kHung; ++i) {
    auto config = make_account("hung-" + std::to_string(i), profile);
    auto mine = std::make_shared<config::Account>(*config);
    mine->client_id = "client-" + std::to_string(i);
    world.add(mine, make_tokens(world.clock, "access", "refresh-of-" + std::to_string(i), 1min), 1);
  }
  world.advance(59s);
  for (unsigned i = 0; i < kHung; ++i)
    world.refresher.start(*world.accounts.find("hung-" + std::to_string(i)), Reason::kOrdered);
  world.settle();
  ASSERT_EQ(world.endpoint.calls.size(), kHalf) << "those who prove nothing share half of the workers";
  ASSERT_TRUE(world.refresher.start(well, Reason::kOrdered));
  world.settle();
  ASSERT_EQ(world.endpoint.calls.size(), kHalf + 1) << "who answered last time is reached at once";
  for (unsigned i = 0; i < kHung; ++i) {
    answer(make_failure(FailureClass::kAmbiguous));
    EXPECT_LE(world.endpoint.calls.size(), kHalf + 1);
  }
  EXPECT_EQ(world.endpoint.calls_made, 1 + kHung + 1) << "each of the others has its turn";
}

TEST_F(RefresherTest, OfTwoProfilesOfOneEndpointTheLowerRateCounts) {
  auto slow = std::make_shared<provider::Profile>(*make_profile());
  slow->limits.requests_per_second = 0.01;
  for (int i = 0; i < 6; ++i) {
    auto config = make_account("a" + std::to_string(i), i % 2 == 0 ? slow : profile);
    config->provider = i % 2 == 0 ? "slow" : "quick";
    world.add(config, fresh("access", "refresh-" + std::to_string(i)), 1);
  }
  for (int i = 0; i < 6; ++i)
    world.refresher.start(*world.accounts.find("a" + std::to_string(i)), Reason::kOrdered);
  world.settle();
  EXPECT_EQ(world.endpoint.calls_made, 1U);
}

TEST_F(RefresherTest, WhoHasNoTokenGoesBeforeThoseThatHaveOne) {
  auto slow = std::make_shared<provider::Profile>(*make_profile());
  slow->limits.requests_per_second = 0.01;
  for (int i = 0; i < 3; ++i)
    world.add(make_account("a" + std::to_string(i), slow), fresh("access", "refresh-" + std::to_string(i)), 1);
  for (int i = 0; i < 3; ++i)
    world.refresher.start(*world.accounts.find("a" + std::to_string(i)), Reason::kOrdered);
  world.settle();
  ASSERT_EQ(world.endpoint.calls_made, 1U);
  auto ending = fresh("access", "refresh-ending");
  ending.expires_at = world.clock.wall() + 30s;
  world.add(make_account("ending", slow), std::move(ending), 1);
  world.add(make_account("new", slow, provider::Grant::kClientCredentials));
  world.refresher.start(*world.accounts.find("ending"), Reason::kOrdered);
  world.settle();
  std::vector<std::string> asked;
  for (int step = 0; step < 40 && asked.size() < 3; ++step) {
    world.advance(10s);
    while (!world.endpoint.calls.empty()) {
      asked.push_back(world.endpoint.calls.front().call.account->name);
      answer(fresh("access of " + asked.back(), "refresh of " + asked.back()));
    }
  }
  asked.erase(asked.begin());  // had its turn before the others came
  EXPECT_EQ(asked, (std::vector<std::string>{"ending", "new"}));
}

TEST_F(RefresherTest, ARateThatChangesWithAReloadTakesForce) {
  auto slow = std::make_shared<provider::Profile>(*make_profile());
  slow->limits.requests_per_second = 0.01;
  for (int i = 0; i < 3; ++i)
    world.add(make_account("a" + std::to_string(i), slow), fresh("access", "refresh-" + std::to_string(i)), 1);
  for (int i = 0; i < 3; ++i)
    world.refresher.start(*world.accounts.find("a" + std::to_string(i)), Reason::kOrdered);
  world.settle();
  ASSERT_EQ(world.endpoint.calls_made, 1U);
  world.add(make_account("b", profile), fresh("access", "refresh-b"), 1);
  world.refresher.start(*world.accounts.find("b"), Reason::kOrdered);
  world.settle();
  EXPECT_EQ(world.endpoint.calls_made, 4U) << "the profile names no rate any more";
}

}  // namespace
}  // namespace credsync::refresh
