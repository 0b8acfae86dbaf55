// RFC 8628: the answer that begins a device sign-in, and the four errors of polling.
#include "daemon/oauth/device_answer.h"

#include "tests/unit/oauth/oauth_testing.h"

namespace credsync::oauth {
namespace {

using namespace credsync::oauth::testing;
using provider::RequestKind;

std::variant<DeviceAnswer, Failure> device(const std::string& body, int status = 200,
                                           const provider::Profile& profile = plain_profile()) {
  return read_device_answer(profile, answer(status, body), Asked{RequestKind::kDeviceStart, {}, {"gX1fBat3bV"}});
}

DeviceAnswer taken(std::variant<DeviceAnswer, Failure> outcome) {
  if (auto* failure = std::get_if<Failure>(&outcome)) {
    ADD_FAILURE() << failure->words;
    return {};
  }
  return std::move(std::get<DeviceAnswer>(outcome));
}

// RFC 8628, 3.2.
TEST(DeviceStart, ReadsTheRfcsExample) {
  const DeviceAnswer got = taken(device(R"({
      "device_code": "GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS", "user_code": "WDJB-MJHT",
      "verification_uri": "https://example.com/device",
      "verification_uri_complete": "https://example.com/device?user_code=WDJB-MJHT",
      "expires_in": 1800, "interval": 5})"));
  EXPECT_EQ(got.device_code.expose(), "GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS");
  EXPECT_EQ(got.user_code, "WDJB-MJHT");
  EXPECT_EQ(got.verification_uri, "https://example.com/device");
  EXPECT_EQ(got.verification_uri_complete, "https://example.com/device?user_code=WDJB-MJHT");
  EXPECT_EQ(got.expires_in, Duration(1800s));
  EXPECT_EQ(got.interval, Duration(5s));
}

TEST(DeviceStart, OldNamesEnvelopesAndDefaults) {
  DeviceAnswer got =
      taken(device(R"({"device_code":"d","user_code":"u","verification_url":"https://g.example/device"})"));
  EXPECT_EQ(got.verification_uri, "https://g.example/device");
  EXPECT_EQ(got.interval, Duration(5s));
  EXPECT_EQ(got.expires_in, Duration(600s));
  provider::Profile wrapped = plain_profile();
  wrapped.answer.root = "data";
  got = taken(
      device(R"({"data":{"device_code":"d","user_code":"u","verification_uri":"https://g.example"}})", 200, wrapped));
  EXPECT_EQ(got.user_code, "u");
}

TEST(DeviceStart, NumbersAreBounded) {
  struct Case {
    const char *life, *interval;
    Duration expected_life, expected_interval;
  };
  const Case cases[] = {{"1", "0", 30s, 5s},    {"1e18", "1e18", 1h, 60s},
                        {"-5", "-5", 600s, 5s}, {"\"900\"", "\"7\"", 900s, 7s},
                        {"{}", "[]", 600s, 5s}, {"90", "0.01", 90s, 1s}};
  for (const Case& one : cases) {
    const DeviceAnswer got = taken(device(
        std::string(R"({"device_code":"d","user_code":"u","verification_uri":"https://a.example","expires_in":)") +
        one.life + ",\"interval\":" + one.interval + "}"));
    EXPECT_EQ(got.expires_in, one.expected_life) << one.life;
    EXPECT_EQ(got.interval, one.expected_interval) << one.interval;
  }
}

TEST(DeviceStart, OnlyWebAddressesAndCleanCodes) {
  const auto body = [](const std::string& code, const std::string& uri, const std::string& complete) {
    return "{\"device_code\":\"d\",\"user_code\":\"" + code + "\",\"verification_uri\":\"" + uri +
           "\",\"verification_uri_complete\":\"" + complete + "\"}";
  };
  for (const char* uri : {"javascript:alert(1)", "file:///etc/passwd", "https://u:p@a.example/", "", "https://a b",
                          "https://a.example/\\u001b[31m", "--option"}) {
    const auto outcome = device(body("u", uri, ""));
    ASSERT_TRUE(std::holds_alternative<Failure>(outcome)) << uri;
    EXPECT_EQ(std::get<Failure>(outcome).failure_class, FailureClass::kRefused);
    EXPECT_EQ(taken(device(body("u", "https://a.example/", uri))).verification_uri_complete, "") << uri;
  }
  EXPECT_EQ(taken(device(body("\\u001b[31mAB\\u202e-1", "https://a.example/", ""))).user_code, "[31mAB-1");
  EXPECT_TRUE(std::holds_alternative<Failure>(device(body(std::string(65, 'A'), "https://a.example/", ""))));
  EXPECT_TRUE(std::holds_alternative<Failure>(device(body("", "https://a.example/", ""))));
}

TEST(DeviceStart, RefusalsAreClassified) {
  struct Case {
    int status;
    const char* body;
    FailureClass expected;
  };
  const Case cases[] = {{401, R"({"error":"invalid_client","error_description":"gX1fBat3bV?"})", FailureClass::kClient},
                        {400, R"({"error":"invalid_scope"})", FailureClass::kRefused},
                        {500, "", FailureClass::kTransient},
                        {200, R"({"error":"unauthorized_client"})", FailureClass::kClient},
                        {200, R"({"user_code":"u"})", FailureClass::kRefused},
                        {200, "<html></html>", FailureClass::kTransient},
                        {200, "[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]", FailureClass::kAmbiguous}};
  for (const Case& one : cases) {
    const auto outcome = device(one.body, one.status);
    ASSERT_TRUE(std::holds_alternative<Failure>(outcome)) << one.body;
    EXPECT_EQ(std::get<Failure>(outcome).failure_class, one.expected) << one.body;
    EXPECT_EQ(std::get<Failure>(outcome).words.find("gX1fBat3bV"), std::string::npos);
  }
}

// RFC 8628, 3.5, and how others spell it. The one who polls tells them apart by the code.
TEST(DevicePoll, ErrorsCanBeToldApart) {
  struct Case {
    int status;
    const char *error, *code;
    FailureClass expected;
  };
  const Case cases[] = {{400, "authorization_pending", "authorization_pending", FailureClass::kTransient},
                        {428, "authorization_pending", "authorization_pending", FailureClass::kTransient},
                        {200, "authorization_pending", "authorization_pending", FailureClass::kTransient},
                        {400, "AUTHORIZATION_PENDING", "authorization_pending", FailureClass::kTransient},
                        {400, "slow_down", "slow_down", FailureClass::kTransient},
                        {429, "slow_down", "slow_down", FailureClass::kTransient},
                        {403, "slow_down", "slow_down", FailureClass::kTransient},
                        {400, "expired_token", "expired_token", FailureClass::kStartOver},
                        {400, "access_denied", "access_denied", FailureClass::kStartOver},
                        {400, "authorization_declined", "access_denied", FailureClass::kStartOver},
                        {401, "invalid_client", "invalid_client", FailureClass::kClient},
                        {400, "invalid_grant", "invalid_grant", FailureClass::kNeedsLogin}};
  for (const Case& one : cases) {
    const Failure failure =
        failure_of(read(plain_profile(), answer(one.status, std::string("{\"error\":\"") + one.error + "\"}"),
                        RequestKind::kDevicePoll));
    EXPECT_EQ(failure.code, one.code) << one.error << " " << one.status;
    EXPECT_EQ(failure.failure_class, one.expected) << one.error << " " << one.status;
  }
}

}  // namespace
}  // namespace credsync::oauth
