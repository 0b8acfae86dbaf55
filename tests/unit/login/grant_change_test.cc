// Signing in again while the old grant works: it is untouched until the new one is durable and known to be the same
// person's, and what does not take its place is retired.
#include <gtest/gtest.h>

#include "tests/fakes/login_world.h"

namespace credsync::login {
namespace {

using ipc::LoginPhase;
using oauth::FailureClass;
using provider::Grant;

class GrantChangeTest : public testing::Test {
 protected:
  GrantChangeTest() {
    config = fakes::make_account("flat", profile, Grant::kAuthorizationCode);
    account::TokenSet old = fakes::make_tokens(world.clock, "old-access", "old-refresh", 1h);
    old.subject = "alice";
    world.add(config, std::move(old), 7);
  }
  // As far as the question for tokens.
  void come_back(bool replace_identity = false) {
    ipc::LoginRequest request;
    request.replace_identity = replace_identity;
    session = world.begin("flat", 1000, std::move(request));
    id = session->answer.value().id;
    ASSERT_TRUE(world.doors.come_back(world.good_answer()).taken);
    world.settle();
    ASSERT_EQ(world.endpoint.calls.size(), 1U);
  }
  void give_new_tokens() { world.give_tokens(fakes::make_tokens(world.clock, "new-access", "new-refresh", 1h)); }
  void expect_old_grant() {
    const account::Account& account = *world.accounts.find("flat");
    EXPECT_EQ(account.generation(), 7U);
    ASSERT_NE(account.live(), nullptr);
    EXPECT_EQ(account.live()->tokens.access_token.expose(), "old-access");
    EXPECT_EQ(account.live()->tokens.refresh_token.expose(), "old-refresh");
    EXPECT_EQ(account.standing().state, account::State::kOk);
    EXPECT_EQ(world.ask("flat")->token, "old-access");
  }
  // What is sent to the revocation endpoint when its time has come.
  std::vector<std::string> revoked() {
    world.advance(2min);
    std::vector<std::string> tokens;
    while (!world.endpoint.revocations.empty()) {
      tokens.emplace_back(world.endpoint.revocations.front().call.token.expose());
      world.endpoint.answer_revocation(oauth::RevocationOutcome{});
      world.settle();
    }
    std::sort(tokens.begin(), tokens.end());
    return tokens;
  }

  std::shared_ptr<provider::Profile> profile = fakes::make_profile();
  std::shared_ptr<config::Account> config;
  fakes::LoginWorld world;
  fakes::LoginWorld::Session session;
  std::string id;
};

TEST_F(GrantChangeTest, TheOldTokensWorkUntilTheNewOnesAreDurableAndAreRetiredThen) {
  come_back();
  expect_old_grant();
  world.store.hold();
  world.endpoint.answer(fakes::make_tokens(world.clock, "new-access", "new-refresh", 1h), Secret("order"));
  world.settle();
  expect_old_grant();
  EXPECT_EQ(world.look(id).phase, LoginPhase::kFinishing);
  world.store.let_go();
  world.settle();
  EXPECT_EQ(world.look(id).phase, LoginPhase::kDone);
  EXPECT_EQ(world.ask("flat")->token, "new-access");
  EXPECT_EQ(world.accounts.find("flat")->generation(), 8U);
  EXPECT_EQ(revoked(), (std::vector<std::string>{"old-access", "old-refresh"}));
}

TEST_F(GrantChangeTest, ARefusedCodeLeavesItAlone) {
  for (const auto failure_class : {FailureClass::kStartOver, FailureClass::kRefused, FailureClass::kClient,
                                   FailureClass::kTransient, FailureClass::kAmbiguous, FailureClass::kNeedsLogin}) {
    come_back();
    world.refuse_exchange("some_code", failure_class);
    EXPECT_EQ(world.look(id).phase, LoginPhase::kFailed);
    EXPECT_EQ(world.look(id).error_class, "some_code");
    expect_old_grant();
  }
  EXPECT_TRUE(revoked().empty());
}

TEST_F(GrantChangeTest, SomebodyElseIsRefusedAndTheirTokensRetired) {
  world.server.subject = "mallory";
  world.server.display = "mallory@example.org";
  come_back();
  give_new_tokens();
  const ipc::LoginView view = world.look(id);
  EXPECT_EQ(view.phase, LoginPhase::kFailed);
  EXPECT_EQ(view.error_class, "identity");
  EXPECT_NE(view.problem->detail.find("mallory@example.org"), std::string::npos);
  EXPECT_EQ(view.problem->next_step, "credsync login flat");
  expect_old_grant();
  EXPECT_EQ(revoked(), (std::vector<std::string>{"new-access", "new-refresh"}));
}

TEST_F(GrantChangeTest, SomebodyElseMayTakeOverWhenThatIsSaid) {
  world.server.subject = "bob";
  come_back(true);
  give_new_tokens();
  EXPECT_EQ(world.look(id).phase, LoginPhase::kDone);
  EXPECT_EQ(world.accounts.find("flat")->live()->tokens.subject, "bob");
}

TEST_F(GrantChangeTest, WhoCannotBeNamedIsRefusedForNow) {
  world.server.subject = world.server.display = "";  // userinfo is down for a moment
  come_back();
  give_new_tokens();
  const ipc::LoginView view = world.look(id);
  EXPECT_EQ(view.phase, LoginPhase::kFailed);
  EXPECT_EQ(view.error_class, "identity_unknown");
  EXPECT_EQ(view.problem->kind, ipc::ProblemKind::kUnavailable) << "it can succeed later";
  expect_old_grant();
  EXPECT_EQ(world.accounts.find("flat")->live()->tokens.subject, "alice") << "what is compared next time";
  come_back(true);
  give_new_tokens();
  EXPECT_EQ(world.look(id).phase, LoginPhase::kDone);
}

TEST_F(GrantChangeTest, WhereRevokingCouldKillTheLiveGrantNothingIsRevoked) {
  profile->revoke.access_cascade = provider::Cascade::kUnknown;
  profile->revoke.refresh_cascade = provider::Cascade::kGrant;
  world.server.subject = "mallory";
  come_back();
  give_new_tokens();
  EXPECT_EQ(world.look(id).phase, LoginPhase::kFailed);
  EXPECT_TRUE(revoked().empty());
  expect_old_grant();
}

TEST_F(GrantChangeTest, ADeadGrantsPersonIsRememberedToo) {
  account::Account& account = *world.accounts.find("flat");
  world.accounts.set_standing(account, {account::State::kNeedsLogin, world.clock.wall(), std::nullopt});
  world.server.subject = "mallory";
  come_back();
  give_new_tokens();
  EXPECT_EQ(world.look(id).error_class, "identity");
}

TEST_F(GrantChangeTest, ThePersonIsRememberedThroughRefreshes) {
  world.advance(45min);
  ASSERT_EQ(world.endpoint.refresh_token_sent(), "old-refresh");
  world.give_tokens(fakes::make_tokens(world.clock, "second-access", "second-refresh", 1h));
  EXPECT_EQ(world.accounts.find("flat")->live()->tokens.subject, "alice");
}

TEST_F(GrantChangeTest, AnIdTokenThatIsNotBelievedChangesNothing) {
  world.server.disbelief = fakes::make_failure(FailureClass::kRefused, "the ID token's signature is wrong");
  world.server.disbelief->code = "id_token";
  come_back();
  give_new_tokens();
  EXPECT_EQ(world.look(id).error_class, "id_token");
  expect_old_grant();
}

TEST_F(GrantChangeTest, AFullDiskCannotRefuseTheAnswer) {
  come_back();
  world.store.fill_disk();
  give_new_tokens();
  EXPECT_EQ(world.look(id).phase, LoginPhase::kDone) << "its slot was reserved before the code left";
}

TEST_F(GrantChangeTest, AnAnswerThatCannotBeStoredChangesNothing) {
  come_back();
  world.store.fail_next(Error(ErrorCode::kIo, "the disk is broken"));
  give_new_tokens();
  EXPECT_EQ(world.look(id).error_class, "storage");
  expect_old_grant();
}

TEST_F(GrantChangeTest, TokensOfACancelledSignInAreRetired) {
  come_back();
  EXPECT_EQ(std::get<ipc::LoginView>(world.sessions.cancel(id)).phase, LoginPhase::kCancelled);
  give_new_tokens();
  EXPECT_EQ(world.look(id).phase, LoginPhase::kCancelled);
  expect_old_grant();
  EXPECT_EQ(revoked(), (std::vector<std::string>{"new-access", "new-refresh"}));
}

TEST_F(GrantChangeTest, ItIsTooLateToCancelWhatIsBeingStored) {
  come_back();
  world.store.hold();
  world.endpoint.answer(fakes::make_tokens(world.clock, "new-access", "new-refresh", 1h), Secret("order"));
  world.settle();
  EXPECT_EQ(std::get<ipc::LoginView>(world.sessions.cancel(id)).phase, LoginPhase::kFinishing);
  world.store.let_go();
  world.settle();
  EXPECT_EQ(world.look(id).phase, LoginPhase::kDone);
}

TEST_F(GrantChangeTest, ASignInOvertakenByASignOutDoesNotComeBack) {
  come_back();
  world.sign_out.run(*world.accounts.find("flat"), [](Result<unsigned>) {});
  world.settle();
  give_new_tokens();
  EXPECT_EQ(world.look(id).phase, LoginPhase::kFailed);
  EXPECT_EQ(world.look(id).error_class, "changed");
  EXPECT_EQ(world.accounts.find("flat")->live(), nullptr);
}

TEST_F(GrantChangeTest, AKillBetweenQuestionAndAnswerLeavesAnIntentOfNoGrantInUse) {
  come_back();
  world.store.crash();
  fakes::MemoryStore after(world.disk, world.executor);
  const auto found = after.load();
  ASSERT_TRUE(found);
  ASSERT_EQ(found->intents.size(), 1U);
  EXPECT_EQ(found->intents[0].generation, 0U) << "not that of the grant in use: nothing is resent for it";
  EXPECT_EQ(found->accounts.at(0).generation, 7U);
}

}  // namespace
}  // namespace credsync::login
