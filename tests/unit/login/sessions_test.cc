// The table of sign-in sessions: who may begin and see one, what replaces what, how each of them ends.
#include <gtest/gtest.h>

#include "tests/fakes/login_world.h"

namespace credsync::login {
namespace {

using ipc::LoginPhase;
using ipc::ProblemKind;
using provider::Grant;

constexpr uid_t kAlice = 1000, kBob = 1001;

class SessionsTest : public testing::Test {
 protected:
  SessionsTest() {
    profile->authorize.redirect_port = provider::RedirectPort::kAny;
    add("flat");
  }
  account::Account& add(const std::string& name) {
    auto config = fakes::make_account(name, profile, Grant::kAuthorizationCode);
    config->scopes = {"read", "write"};
    return world.add(config);
  }
  account::TokenSet tokens(const std::string& access = "access-1") {
    return fakes::make_tokens(world.clock, access, "refresh-1", 1h);
  }
  std::string id_of(const fakes::LoginWorld::Session& session) { return session->answer.value().id; }

  std::shared_ptr<provider::Profile> profile = fakes::make_profile();
  fakes::LoginWorld world;
};

TEST_F(SessionsTest, BeginsWithAllThatAPersonNeedsToKnow) {
  const auto session = world.begin("flat");
  ASSERT_TRUE(session->answer);
  const ipc::LoginView& view = *session->answer;
  EXPECT_TRUE(view.id.size() == 32 && view.id.find_first_not_of("0123456789abcdef") == std::string::npos) << view.id;
  EXPECT_EQ(view.account, "flat");
  EXPECT_EQ(view.client_id, "client");
  EXPECT_EQ(view.method, "browser");
  EXPECT_EQ(view.phase, LoginPhase::kWaiting);
  EXPECT_EQ(view.scopes, (std::vector<std::string>{"read", "write"}));
  EXPECT_EQ(view.redirect_uri, "http://127.0.0.1:40001/callback");
  EXPECT_TRUE(view.listening);
  EXPECT_EQ(view.expires_in, Duration(10min));
  EXPECT_EQ(view.expires_at, world.clock.wall() + 10min);
  EXPECT_NE(view.url.find(world.state), std::string::npos);
  EXPECT_GE(world.state.size(), 43U) << "256 random bits";
}

TEST_F(SessionsTest, TellsHowLongAPushedRequestIsGoodFor) {
  EXPECT_FALSE(world.begin("flat")->answer->url_expires_in) << "nobody set a limit";
  world.pushed_for = 60s;
  const auto session = world.begin("flat");
  EXPECT_EQ(session->answer->url_expires_in, Duration(60s));
  EXPECT_EQ(session->answer->expires_in, Duration(10min)) << "the person may take longer than that, once it is open";
  world.advance(45s);
  EXPECT_EQ(world.look(id_of(session)).url_expires_in, Duration(15s));
  world.advance(45s);
  EXPECT_EQ(world.look(id_of(session)).url_expires_in, Duration(0s));
  EXPECT_TRUE(world.doors.come_back(world.good_answer()).taken);
  EXPECT_FALSE(world.look(id_of(session)).url_expires_in) << "it has been opened";
}

TEST_F(SessionsTest, ACodeBecomesAGrant) {
  const auto session = world.begin("flat");
  const auto waiting = world.wait(id_of(session));
  EXPECT_FALSE(waiting->anything());
  EXPECT_TRUE(world.doors.come_back(world.good_answer()).taken);
  world.settle();
  ASSERT_EQ(world.endpoint.calls.size(), 1U);
  const auto& input = std::get<oauth::CodeInput>(world.endpoint.calls.front().call.input);
  EXPECT_EQ(input.code.expose(), "the-code");
  EXPECT_EQ(input.redirect_uri, "http://127.0.0.1:40001/callback");
  EXPECT_EQ(input.verifier.expose(), world.verifier);
  EXPECT_FALSE(world.verifier.empty());
  EXPECT_EQ(world.look(id_of(session)).phase, LoginPhase::kFinishing);
  EXPECT_EQ(world.accounts.find("flat")->live(), nullptr);

  account::TokenSet got = tokens();
  got.scope = {"read"};
  world.give_tokens(std::move(got));
  ASSERT_TRUE(waiting->answer);
  EXPECT_EQ(waiting->answer->phase, LoginPhase::kDone);
  EXPECT_EQ(waiting->answer->generation, 1U);
  EXPECT_EQ(waiting->answer->granted, std::vector<std::string>{"read"});
  EXPECT_EQ(waiting->answer->missing, std::vector<std::string>{"write"});
  EXPECT_EQ(waiting->answer->identity, "alice@example.org");
  EXPECT_EQ(waiting->answer->url, "") << "it carries the state";
  const account::Account& account = *world.accounts.find("flat");
  EXPECT_EQ(account.live()->tokens.access_token.expose(), "access-1");
  EXPECT_EQ(account.live()->tokens.subject, "alice");
  EXPECT_EQ(account.standing().state, account::State::kOk);
  EXPECT_EQ(world.ends, std::vector<std::string>{"flat done"});
  ASSERT_TRUE(world.doors.last_shown);
  EXPECT_EQ(world.doors.last_shown->kind, PageKind::kDone);
}

TEST_F(SessionsTest, TheDoorIsOpenOnlyAsLongAsItIsNeeded) {
  const auto session = world.begin("flat");
  EXPECT_EQ(world.doors.open_doors(), 1U);
  world.doors.come_back(world.good_answer());
  world.settle();
  world.give_tokens(tokens());
  EXPECT_EQ(world.doors.open_doors(), 1U) << "for the page with the outcome";
  world.doors.last().fetched();
  EXPECT_EQ(world.doors.open_doors(), 0U);

  const auto cancelled = world.begin("flat");
  world.sessions.cancel(id_of(cancelled));
  EXPECT_EQ(world.doors.open_doors(), 0U);
  const auto expired = world.begin("flat");
  world.advance(11min);
  EXPECT_EQ(world.doors.open_doors(), 0U);
}

TEST_F(SessionsTest, APastedAddressIsAsGood) {
  const auto session = world.begin("flat");
  const auto view =
      world.sessions.answer(id_of(session), Secret(session->answer->redirect_uri + "?" + world.good_answer()));
  EXPECT_EQ(std::get<ipc::LoginView>(view).phase, LoginPhase::kFinishing);
  world.settle();
  world.give_tokens(tokens());
  EXPECT_EQ(world.look(id_of(session)).phase, LoginPhase::kDone);
  EXPECT_EQ(world.doors.open_doors(), 0U) << "no browser waits for a page";
}

TEST_F(SessionsTest, AnAddressOfAnotherSignInIsRefusedAndTheSessionGoesOn) {
  const auto session = world.begin("flat");
  for (const std::string& pasted :
       {std::string("http://127.0.0.1:40001/callback?code=x&state=wrong"),
        std::string("http://127.0.0.1:40001/callback?code=x"),
        "https://elsewhere.example/callback?" + world.good_answer(), std::string("nonsense"), std::string("?")}) {
    const auto answer = world.sessions.answer(id_of(session), Secret(pasted));
    ASSERT_TRUE(std::holds_alternative<ipc::Problem>(answer)) << pasted;
    EXPECT_EQ(std::get<ipc::Problem>(answer).kind, ProblemKind::kBadRequest);
  }
  EXPECT_EQ(world.look(id_of(session)).phase, LoginPhase::kWaiting);
  EXPECT_EQ(world.endpoint.calls_made, 0U);
  EXPECT_TRUE(world.doors.come_back(world.good_answer()).taken);
}

TEST_F(SessionsTest, OneAnswerIsTakenAndNoSecond) {
  const auto session = world.begin("flat");
  EXPECT_FALSE(world.doors.come_back("code=evil&state=guess").taken);
  EXPECT_FALSE(world.doors.come_back("").taken);
  EXPECT_FALSE(world.doors.come_back("code=a&code=b&state=" + world.state).taken);
  EXPECT_TRUE(world.doors.come_back(world.good_answer()).taken);
  EXPECT_FALSE(world.doors.come_back("code=second&state=" + world.state).taken);
  const auto again = world.sessions.answer(id_of(session), Secret("code=third&state=" + world.state));
  EXPECT_EQ(std::get<ipc::LoginView>(again).phase, LoginPhase::kFinishing);
  world.settle();
  EXPECT_EQ(world.endpoint.calls_made, 1U);
}

TEST_F(SessionsTest, ARefusalByTheProviderEndsIt) {
  const auto session = world.begin("flat");
  const auto waiting = world.wait(id_of(session));
  EXPECT_FALSE(world.doors.come_back("error=access_denied&state=wrong").taken) << "anybody could say that";
  EXPECT_TRUE(world.doors.come_back("error=access_denied&state=" + world.state).taken);
  ASSERT_TRUE(waiting->answer);
  EXPECT_EQ(waiting->answer->phase, LoginPhase::kFailed);
  EXPECT_EQ(waiting->answer->error_class, "access_denied");
  EXPECT_EQ(waiting->answer->problem->next_step, "credsync login flat");
  EXPECT_EQ(world.doors.last_shown->kind, PageKind::kDenied);
  EXPECT_EQ(world.endpoint.calls_made, 0U);
}

TEST_F(SessionsTest, AnotherServersIssuerIsRefused) {
  world.issuer = "https://auth.example";
  const auto session = world.begin("flat");
  EXPECT_TRUE(world.doors.come_back(world.good_answer() + "&iss=https%3A%2F%2Fevil.example").taken);
  EXPECT_EQ(world.look(id_of(session)).error_class, "issuer");
  EXPECT_EQ(world.endpoint.calls_made, 0U) << "the code must not go anywhere";
}

TEST_F(SessionsTest, ASecondByTheSameUserReplacesTheFirst) {
  const auto first = world.begin("flat");
  const std::string first_state = world.state;
  const auto waiting = world.wait(id_of(first));
  const auto second = world.begin("flat");
  ASSERT_TRUE(waiting->problem);
  EXPECT_EQ(waiting->problem->kind, ProblemKind::kLoginOver);
  EXPECT_NE(waiting->problem->detail.find("newer"), std::string::npos);
  EXPECT_EQ(waiting->problem->next_step, "credsync login flat");
  EXPECT_EQ(world.wait(id_of(first))->problem->kind, ProblemKind::kLoginOver) << "also later";
  EXPECT_EQ(world.doors.open_doors(), 1U);
  EXPECT_FALSE(world.doors.come_back("code=x&state=" + first_state).taken);
  EXPECT_EQ(world.look(id_of(second)).phase, LoginPhase::kWaiting);
}

TEST_F(SessionsTest, AnotherUserMustWait) {
  const auto alices = world.begin("flat", kAlice);
  const auto bobs = world.begin("flat", kBob);
  ASSERT_TRUE(bobs->problem);
  EXPECT_EQ(bobs->problem->kind, ProblemKind::kLoginInProgress);
  world.sessions.cancel(id_of(alices));
  EXPECT_TRUE(world.begin("flat", kBob)->answer);
}

TEST_F(SessionsTest, SessionsAreTheirUsersOnly) {
  const auto session = world.begin("flat", kAlice);
  EXPECT_EQ(world.sessions.account_of(kAlice, id_of(session)), "flat");
  EXPECT_EQ(world.sessions.account_of(kBob, id_of(session)), std::nullopt);
  EXPECT_EQ(world.sessions.account_of(0, id_of(session)), std::nullopt) << "not even root's";
  EXPECT_EQ(world.sessions.account_of(kAlice, std::string(32, '0')), std::nullopt);
  world.sessions.cancel(id_of(session));
  world.advance(11min);
  EXPECT_EQ(world.sessions.account_of(kAlice, id_of(session)), "flat") << "gone, but its user is told why";
  EXPECT_EQ(world.sessions.account_of(kBob, id_of(session)), std::nullopt);
}

TEST_F(SessionsTest, SeveralAtOnceForDifferentAccounts) {
  add("other");
  const auto one = world.begin("flat");
  const std::string first_state = world.state;
  const auto two = world.begin("other");
  EXPECT_NE(first_state, world.state);
  EXPECT_NE(one->answer->redirect_uri, two->answer->redirect_uri);
  EXPECT_FALSE(world.doors.come_back("code=x&state=" + first_state).taken) << "not at the other one's door";
  EXPECT_TRUE(world.doors.come_back(world.good_answer()).taken);
  EXPECT_EQ(world.look(id_of(one)).phase, LoginPhase::kWaiting);
}

TEST_F(SessionsTest, ExpiresAfterTenMinutes) {
  const auto session = world.begin("flat");
  const auto waiting = world.wait(id_of(session), 60min);
  world.advance(Duration(10min) - 1s);
  EXPECT_FALSE(waiting->anything());
  EXPECT_EQ(world.look(id_of(session)).expires_in, Duration(1s));
  world.advance(1s);
  ASSERT_TRUE(waiting->problem);
  EXPECT_EQ(waiting->problem->kind, ProblemKind::kLoginOver);
  EXPECT_NE(waiting->problem->detail.find("10m"), std::string::npos) << waiting->problem->detail;
  world.advance(11min);
  EXPECT_EQ(world.sessions.account_of(kAlice, id_of(session)), std::nullopt) << "forgotten in the end";
}

TEST_F(SessionsTest, AWaitEndsWithWhatIsTrueThen) {
  const auto session = world.begin("flat");
  const auto waiting = world.wait(id_of(session), 30s);
  world.advance(30s);
  ASSERT_TRUE(waiting->answer);
  EXPECT_EQ(waiting->answer->phase, LoginPhase::kWaiting);
  auto left = world.wait(id_of(session));
  left->pending.reset();  // a caller that leaves
  world.sessions.cancel(id_of(session));
  EXPECT_FALSE(left->anything());
}

TEST_F(SessionsTest, CancelEndsItForAllWhoWait) {
  const auto session = world.begin("flat");
  const auto waiting = world.wait(id_of(session)), another = world.wait(id_of(session));
  EXPECT_EQ(std::get<ipc::LoginView>(world.sessions.cancel(id_of(session))).phase, LoginPhase::kCancelled);
  EXPECT_EQ(waiting->answer->phase, LoginPhase::kCancelled);
  EXPECT_EQ(another->answer->phase, LoginPhase::kCancelled);
  EXPECT_EQ(std::get<ipc::LoginView>(world.sessions.cancel(id_of(session))).phase, LoginPhase::kCancelled) << "again";
  EXPECT_EQ(world.ends, std::vector<std::string>{"flat cancelled"});
}

TEST_F(SessionsTest, AStopEndsThemAndSaysSo) {
  const auto session = world.begin("flat");
  const auto waiting = world.wait(id_of(session));
  add("other");
  const auto beginning = world.ask_to_begin("other", Way::kBrowser);
  world.sessions.stop();
  ASSERT_TRUE(waiting->problem);
  EXPECT_EQ(waiting->problem->kind, ProblemKind::kLoginOver);
  EXPECT_NE(waiting->problem->detail.find("stopping"), std::string::npos);
  ASSERT_TRUE(beginning->problem);
  EXPECT_EQ(world.begin("flat")->problem->kind, ProblemKind::kUnavailable);
  EXPECT_EQ(world.doors.open_doors(), 0U);
}

TEST_F(SessionsTest, WhatIsBeingFinishedSurvivesAStop) {
  const auto session = world.begin("flat");
  world.doors.come_back(world.good_answer());
  world.settle();
  world.sessions.stop();
  world.give_tokens(tokens());
  EXPECT_EQ(world.accounts.find("flat")->generation(), 1U);
}

TEST_F(SessionsTest, TheRightToSignInIsAskedForAgain) {
  const auto session = world.begin("flat");
  world.allowed = false;
  EXPECT_TRUE(world.doors.come_back(world.good_answer()).taken);
  EXPECT_EQ(world.look(id_of(session)).error_class, "not_allowed");
  world.settle();
  EXPECT_EQ(world.endpoint.calls_made, 0U);
}

TEST_F(SessionsTest, AnAccountThatChangesEndsItsSession) {
  const auto session = world.begin("flat");
  auto changed = fakes::make_account("flat", profile, Grant::kAuthorizationCode);
  changed->identity = "another identity";
  world.accounts.replace_config(*world.accounts.find("flat"), changed);
  EXPECT_EQ(world.wait(id_of(session))->problem->kind, ProblemKind::kLoginOver);
  EXPECT_EQ(world.doors.open_doors(), 0U);
}

TEST_F(SessionsTest, WhoLeavesBeforeItHasBegunGivesItUp) {
  auto beginning = world.ask_to_begin("flat", Way::kBrowser);
  EXPECT_EQ(world.doors.open_doors(), 1U);
  beginning->pending.reset();
  EXPECT_EQ(world.doors.open_doors(), 0U);
  EXPECT_EQ(world.sessions.size(), 0U);
  world.server.answer_authorize(oauth::AuthorizeAnswer{});  // nobody is there
}

TEST_F(SessionsTest, AServerThatCannotBeAskedIsAProblemAtOnce) {
  const auto beginning = world.ask_to_begin("flat", Way::kBrowser);
  world.server.answer_authorize(fakes::make_failure(oauth::FailureClass::kNotSent, "no network"));
  ASSERT_TRUE(beginning->problem);
  EXPECT_EQ(beginning->problem->kind, ProblemKind::kUnavailable);
  EXPECT_EQ(beginning->problem->detail, "no network");
  EXPECT_EQ(world.sessions.size(), 0U);
  EXPECT_EQ(world.doors.open_doors(), 0U);
}

TEST_F(SessionsTest, APortThatSomebodyElseHoldsIsNotTrusted) {
  auto exact = fakes::make_account("exact", profile, Grant::kAuthorizationCode);
  exact->redirect_uri = "http://127.0.0.1:8765/callback";
  world.add(exact);
  auto twin = fakes::make_account("twin", profile, Grant::kAuthorizationCode);
  twin->redirect_uri = exact->redirect_uri;
  world.add(twin);
  const auto first = world.begin("exact");
  EXPECT_EQ(world.begin("twin")->problem->kind, ProblemKind::kUnavailable);
  world.doors.come_back("error=access_denied&state=" + world.state);
  EXPECT_EQ(world.doors.open_doors(), 1U);
  EXPECT_TRUE(world.begin("twin")->answer) << "a page that waits to be fetched gives way";
  EXPECT_TRUE(world.begin("twin")->answer) << "and so does the session that it replaces";
}

TEST_F(SessionsTest, NoListenerWhereTheRedirectUriLiesElsewhere) {
  auto elsewhere = fakes::make_account("elsewhere", profile, Grant::kAuthorizationCode);
  elsewhere->redirect_uri = "https://app.example/callback";
  world.add(elsewhere);
  const auto session = world.begin("elsewhere");
  EXPECT_FALSE(session->answer->listening);
  EXPECT_EQ(world.doors.open_doors(), 0U);
  const auto view =
      world.sessions.answer(id_of(session), Secret("https://app.example/callback?" + world.good_answer()));
  EXPECT_EQ(std::get<ipc::LoginView>(view).phase, LoginPhase::kFinishing);
}

TEST_F(SessionsTest, RootNamesWhoseBrowserMayComeBack) {
  ipc::LoginRequest request;
  request.browser_user = kBob;
  const auto session = world.begin("flat", 0, std::move(request));
  EXPECT_EQ(world.doors.last().order.user, kBob);
}

TEST_F(SessionsTest, AreBoundedForEachUserAndInAll) {
  std::vector<fakes::LoginWorld::Session> begun;
  for (std::size_t i = 0; i < kMostSessionsOfOne; ++i) {
    add("account-" + std::to_string(i));
    begun.push_back(world.begin("account-" + std::to_string(i)));
    ASSERT_TRUE(begun.back()->answer);
  }
  EXPECT_EQ(world.begin("flat")->problem->kind, ProblemKind::kBusy);
  EXPECT_TRUE(world.begin("account-0")->answer) << "replaces its own";
  world.sessions.cancel(id_of(begun[1]));
  EXPECT_TRUE(world.begin("flat")->answer) << "what is over gives way";
  const auto full = world.wait(id_of(begun[2]));
  for (std::size_t i = 1; i < kMostWaiters; ++i)
    begun.push_back(world.wait(id_of(begun[2])));
  EXPECT_EQ(world.wait(id_of(begun[2]))->problem->kind, ProblemKind::kBusy);
}

TEST_F(SessionsTest, SignInsThatWereGivenUpCountUntilTheirProviderHasAnswered) {
  for (int i = 0; i < 100; ++i)
    world.ask_to_begin("flat", i % 2 == 0 ? Way::kBrowser : Way::kDevice);  // and leaves
  EXPECT_EQ(world.sessions.size(), 0U);
  EXPECT_LE(world.server.authorizing.size() + world.server.starting.size(), kMostSessionsOfOne);
  const auto refused = world.ask_to_begin("flat", Way::kBrowser);
  ASSERT_TRUE(refused->problem);
  EXPECT_EQ(refused->problem->kind, ProblemKind::kBusy);
  EXPECT_FALSE(world.ask_to_begin("flat", Way::kBrowser, kBob)->problem) << "another user's are not his";
  world.server.answer_authorize(oauth::AuthorizeAnswer{});
  world.server.answer_device(fakes::make_failure(oauth::FailureClass::kNotSent));
  std::vector<fakes::LoginWorld::Session> begun;
  for (int i = 0; i < 100; ++i)
    begun.push_back(world.ask_to_begin("flat", Way::kBrowser));  // and waits, until the next replaces it
  EXPECT_LE(world.server.authorizing.size() + world.server.starting.size(), kMostSessionsOfOne + 1) << "one is Bob's";
  EXPECT_FALSE(begun[1]->anything());
  EXPECT_EQ(begun.back()->problem->kind, ProblemKind::kBusy);
  EXPECT_EQ(world.sessions.size(), 1U) << "who has no room for another keeps what there is";
}

TEST_F(SessionsTest, CodesOfSignInsThatWereGivenUpCountUntilTheyAreExchanged) {
  std::size_t busy = 0;
  for (int i = 0; i < 100; ++i) {
    const auto session = world.begin("flat");
    if (!session->answer) {
      ++busy;
      continue;
    }
    world.doors.come_back(world.good_answer());
    if (i % 2 == 0) world.sessions.cancel(id_of(session));
    world.settle();
  }
  EXPECT_EQ(world.exchanger.under_way(), kMostSessionsOfOne);
  EXPECT_EQ(busy, 100U - kMostSessionsOfOne);
  while (!world.endpoint.calls.empty())
    world.refuse_exchange("invalid_grant");
  EXPECT_EQ(world.completion.under_way(), 0U);
  for (std::size_t i = 0; i < kMostSessionsOfOne; ++i)
    EXPECT_FALSE(world.ask_to_begin("flat", Way::kBrowser)->problem) << "all have room again";
}

TEST_F(SessionsTest, ImplicitTokensComeFromTheBrowser) {
  auto config = fakes::make_account("implicit", profile, Grant::kImplicit);
  config->scopes = {"read"};
  world.add(config);
  const auto session = world.begin("implicit");
  EXPECT_TRUE(world.doors.last().order.implicit);
  EXPECT_FALSE(world.doors.come_back("access_token=evil&state=wrong").taken);
  EXPECT_TRUE(
      world.doors.come_back("access_token=from-the-browser&token_type=bearer&expires_in=3600&state=" + world.state)
          .taken);
  world.settle();
  EXPECT_EQ(world.look(id_of(session)).phase, LoginPhase::kDone);
  EXPECT_EQ(world.endpoint.calls_made, 0U);
  EXPECT_EQ(world.accounts.find("implicit")->live()->tokens.access_token.expose(), "from-the-browser");
}

TEST_F(SessionsTest, AProviderThatDoesNotEchoStateGetsOneTry) {
  auto silent = fakes::make_profile();
  silent->authorize.state = provider::StateUse::kNotEchoed;
  world.add(fakes::make_account("silent", silent, Grant::kAuthorizationCode));
  const auto session = world.begin("silent");
  EXPECT_FALSE(world.doors.come_back("").taken) << "nothing is no answer";
  EXPECT_FALSE(world.doors.come_back("code=x&state=wrong").taken);
  EXPECT_TRUE(world.doors.come_back("code=the-code").taken);
  EXPECT_FALSE(world.doors.come_back("code=another").taken);
  world.settle();
  EXPECT_EQ(world.endpoint.calls_made, 1U);
}

}  // namespace
}  // namespace credsync::login
