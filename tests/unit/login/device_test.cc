// The device grant on a still clock (RFC 8628): how often the provider is asked, and when that ends.
#include <gtest/gtest.h>

#include "tests/fakes/login_world.h"

namespace credsync::login {
namespace {

using ipc::LoginPhase;
using oauth::FailureClass;
using provider::Grant;

class DeviceTest : public testing::Test {
 protected:
  DeviceTest() { world.add(fakes::make_account("tv", profile, Grant::kDeviceCode)); }
  void begin(Duration life = 10min, Duration interval = 5s) {
    session = world.begin_device("tv", life, interval);
    id = session->answer.value().id;
  }
  // Moves on until the provider is asked, and says how long that took.
  Duration until_asked() {
    const BootTime from = world.clock.boot();
    for (int i = 0; i < 1000 && world.endpoint.calls.empty(); ++i)
      world.advance(1s);
    return world.clock.boot() - from;
  }
  void say(const std::string& code, FailureClass failure_class = FailureClass::kTransient) {
    world.refuse_exchange(code, failure_class);
  }
  account::TokenSet tokens() { return fakes::make_tokens(world.clock, "access-1", "refresh-1", 1h); }
  ipc::LoginView look() { return world.look(id); }

  std::shared_ptr<provider::Profile> profile = fakes::make_profile();
  fakes::LoginWorld world;
  fakes::LoginWorld::Session session;
  std::string id;
};

TEST_F(DeviceTest, ShowsTheCodeAndWhereToEnterIt) {
  begin(15min);
  const ipc::LoginView& view = *session->answer;
  EXPECT_EQ(view.method, "device");
  EXPECT_EQ(view.user_code, "ABCD-EFGH");
  EXPECT_EQ(view.verification_uri, "https://auth.example/device");
  EXPECT_EQ(view.verification_uri_complete, "https://auth.example/device?user_code=ABCD-EFGH");
  EXPECT_EQ(view.url, "");
  EXPECT_FALSE(view.listening);
  EXPECT_EQ(view.expires_in, Duration(15min)) << "the code's own life";
  EXPECT_EQ(world.doors.open_doors(), 0U);
}

TEST_F(DeviceTest, ABrowsersAccountMayWhereTheProfileOrItsIssuerCanNameTheEndpoint) {
  const auto account = fakes::make_account("both", profile, Grant::kAuthorizationCode);
  EXPECT_EQ(way_of(*account, ipc::LoginMethod::kDevice), std::nullopt);
  profile->issuer = "https://auth.example";
  EXPECT_EQ(way_of(*account, ipc::LoginMethod::kDevice), Way::kDevice);
  EXPECT_EQ(way_of(*account, ipc::LoginMethod::kAuto), Way::kBrowser);
  profile->issuer.clear();
  profile->endpoints.device.url = "https://auth.example/device";
  EXPECT_EQ(way_of(*account, ipc::LoginMethod::kDevice), Way::kDevice);
}

TEST_F(DeviceTest, AsksAtTheIntervalUntilThePersonIsDone) {
  begin();
  EXPECT_EQ(until_asked(), Duration(5s)) << "not before the first interval is over";
  const auto& input = std::get<oauth::DevicePollInput>(world.endpoint.calls.front().call.input);
  EXPECT_EQ(input.device_code.expose(), "the device code");
  say("authorization_pending");
  EXPECT_EQ(until_asked(), Duration(5s));
  say("authorization_pending");
  EXPECT_EQ(until_asked(), Duration(5s));
  world.give_tokens(tokens());
  EXPECT_EQ(look().phase, LoginPhase::kDone);
  EXPECT_EQ(look().generation, 1U);
  EXPECT_EQ(world.accounts.find("tv")->live()->tokens.refresh_token.expose(), "refresh-1");
  world.advance(1h);
  EXPECT_EQ(world.endpoint.calls_made, 3U + (world.endpoint.calls.empty() ? 0U : 1U)) << "only refreshes from now on";
}

TEST_F(DeviceTest, SlowsDownForGoodWhenToldSo) {
  begin();
  until_asked();
  say("slow_down");
  EXPECT_EQ(until_asked(), Duration(10s));
  say("authorization_pending");
  EXPECT_EQ(until_asked(), Duration(10s)) << "for this and all that follow";
  say("slow_down");
  EXPECT_EQ(until_asked(), Duration(15s));
}

TEST_F(DeviceTest, BacksOffWhenTheProviderDoesNotAnswer) {
  begin();
  until_asked();
  say("deadline", FailureClass::kAmbiguous);
  EXPECT_EQ(until_asked(), Duration(10s));
  say("resolve", FailureClass::kNotSent);
  EXPECT_EQ(until_asked(), Duration(20s));
  say("", FailureClass::kTransient);
  EXPECT_EQ(until_asked(), Duration(40s));
  say("", FailureClass::kTransient);
  EXPECT_EQ(until_asked(), Duration(60s)) << "but not for ever";
  say("authorization_pending");
  EXPECT_EQ(until_asked(), Duration(5s)) << "it is well again";
}

TEST_F(DeviceTest, EndsWithTheCode) {
  begin(30s);
  const auto waiting = world.wait(id, 60min);
  for (int i = 0; i < 5; ++i) {
    until_asked();
    say("authorization_pending");
  }
  const unsigned asked = world.endpoint.calls_made;
  world.advance(5s);
  ASSERT_TRUE(waiting->answer);
  EXPECT_EQ(waiting->answer->phase, LoginPhase::kFailed);
  EXPECT_EQ(waiting->answer->error_class, "expired_token");
  world.advance(10min);
  EXPECT_EQ(world.endpoint.calls_made, asked);
}

TEST_F(DeviceTest, TheProvidersLastWordIsFinal) {
  for (const char* code : {"access_denied", "expired_token", "invalid_grant"}) {
    begin();
    until_asked();
    say(code, FailureClass::kRefused);
    EXPECT_EQ(look().phase, LoginPhase::kFailed) << code;
    EXPECT_EQ(look().error_class, code);
    const unsigned asked = world.endpoint.calls_made;
    world.advance(10min);
    EXPECT_EQ(world.endpoint.calls_made, asked) << code;
  }
  EXPECT_EQ(world.accounts.find("tv")->live(), nullptr);
}

TEST_F(DeviceTest, RoomForTheAnswerIsReservedBeforeEachQuestionAndGivenBack) {
  begin();
  for (int i = 0; i < 40; ++i) {  // more often than there are slots
    until_asked();
    EXPECT_TRUE(world.endpoint.calls.front().call.fresh_connection);
    say("authorization_pending");
  }
  until_asked();
  world.give_tokens(tokens());
  EXPECT_EQ(look().phase, LoginPhase::kDone);
}

TEST_F(DeviceTest, RoomThatAFailingDiskDoesNotTakeBackIsGivenBackWhenItWorks) {
  begin();
  until_asked();
  world.store.fail_next(Error(ErrorCode::kIo, "the disk fails"));
  say("authorization_pending");
  world.sessions.cancel(id);
  EXPECT_EQ(world.disk.intents.size(), 1U);
  world.advance(1min);
  EXPECT_TRUE(world.disk.intents.empty());

  begin();
  until_asked();
  world.sessions.cancel(id);
  world.store.fail_next(Error(ErrorCode::kIo, "the disk fails"), 2);
  world.give_tokens(tokens());
  EXPECT_EQ(world.disk.intents.size(), 1U) << "the tokens could not be queued for their retirement";
  world.advance(1min);
  EXPECT_TRUE(world.disk.intents.empty());
}

TEST_F(DeviceTest, ACancelledOneAsksNoMore) {
  begin();
  world.sessions.cancel(id);
  world.advance(10min);
  EXPECT_EQ(world.endpoint.calls_made, 0U);
  EXPECT_EQ(world.polls.under_way(), 0U);
}

TEST_F(DeviceTest, TokensThatComeAfterACancelAreRetired) {
  begin();
  until_asked();
  world.sessions.cancel(id);
  world.give_tokens(tokens());
  EXPECT_EQ(world.accounts.find("tv")->live(), nullptr);
  EXPECT_GT(world.retirer.size(), 0U) << "they are revoked, not forgotten";
  EXPECT_EQ(world.polls.under_way(), 0U);
}

TEST_F(DeviceTest, QuestionsOfSignInsThatWereGivenUpCountUntilTheyAreAnswered) {
  for (int i = 0; i < 40; ++i) {
    session = world.begin_device("tv");
    if (!session->answer) continue;
    world.advance(5s);  // it asks, or waits in the queue for that
    world.sessions.cancel(session->answer->id);
  }
  EXPECT_EQ(world.polls.under_way(), kMostSessionsOfOne);
  EXPECT_EQ(session->problem->kind, ipc::ProblemKind::kBusy);
  while (world.polls.under_way() > 0)
    say("authorization_pending");
  begin();
  EXPECT_EQ(until_asked(), Duration(5s));
}

TEST_F(DeviceTest, AnAddressIsNoAnswerToIt) {
  begin();
  const auto answer = world.sessions.answer(id, Secret("http://127.0.0.1/callback?code=x"));
  EXPECT_EQ(std::get<ipc::Problem>(answer).kind, ipc::ProblemKind::kBadRequest);
}

}  // namespace
}  // namespace credsync::login
