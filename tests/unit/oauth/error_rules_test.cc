// Every row of the table of outcomes, and who wins when two rows fit.
#include "tests/unit/oauth/oauth_testing.h"

namespace credsync::oauth {
namespace {

using namespace credsync::oauth::testing;
using provider::ErrorClass;
using provider::RequestKind;

constexpr const char* kPage = "<!DOCTYPE html><html><body>Sign in to the hotel's network</body></html>";

FailureClass class_of(int status, const std::string& body, RequestKind kind = RequestKind::kRefresh,
                      const char* type = "application/json") {
  const Failure failure = failure_of(read(plain_profile(), answer(status, body, {{"Content-Type", type}}), kind));
  EXPECT_TRUE(failure.sent);
  EXPECT_EQ(failure.status, status);
  EXPECT_FALSE(failure.words.empty());
  EXPECT_LE(failure.words.size(), kForeignTextLimit);
  return failure.failure_class;
}

std::string error_body(std::string_view code) {
  return "{\"error\":\"" + std::string(code) + "\",\"error_description\":\"because\"}";
}

TEST(Outcomes, TransportErrorsByWhatWasSent) {
  using enum TransportFault;
  struct Case {
    TransportFault fault;
    bool sent;
    FailureClass expected;
    const char* code;
  };
  const Case cases[] = {{kResolve, false, FailureClass::kNotSent, "resolve"},
                        {kConnect, false, FailureClass::kNotSent, "connect"},
                        {kHandshake, false, FailureClass::kNotSent, "handshake"},
                        {kDeadline, false, FailureClass::kNotSent, "deadline"},
                        {kReset, false, FailureClass::kNotSent, "reset"},
                        {kProxy, false, FailureClass::kNotSent, "proxy"},
                        {kProtocol, false, FailureClass::kNotSent, "protocol"},
                        {kUntrusted, false, FailureClass::kUntrusted, "untrusted"},
                        {kBadRequest, false, FailureClass::kLocal, "bad-request"},
                        {kSecretSource, false, FailureClass::kLocal, "secret-source"},
                        {kDeadline, true, FailureClass::kAmbiguous, "deadline"},
                        {kReset, true, FailureClass::kAmbiguous, "reset"},
                        {kProtocol, true, FailureClass::kAmbiguous, "protocol"},
                        {kTooLate, false, FailureClass::kNotSent, "too-late"},
                        {kTooLarge, true, FailureClass::kAmbiguous, "too-large"},
                        {kHandshake, true, FailureClass::kAmbiguous, "handshake"}};
  for (const Case& c : cases) {
    const Failure failure = read_transport_error({c.fault, c.sent, "words\x1b[31m"});
    EXPECT_EQ(failure.failure_class, c.expected) << c.code << c.sent;
    EXPECT_EQ(failure.code, c.code);
    EXPECT_EQ(failure.sent, c.sent);
    EXPECT_EQ(failure.status, 0);
    EXPECT_EQ(failure.words, "words[31m");
  }
}

TEST(Outcomes, BusyStatusesAreTransientWhateverTheBody) {
  for (const int status : {408, 425, 429, 500, 501, 502, 503, 504, 599}) {
    for (const std::string& body :
         {std::string(), std::string(kPage), error_body("invalid_grant"), std::string("busy"), std::string("{}")}) {
      EXPECT_EQ(class_of(status, body), FailureClass::kTransient) << status << body;
    }
  }
}

TEST(Outcomes, PagesAreSomebodyElsesAnswer) {
  for (const int status : {200, 203, 400, 401, 403, 404, 407, 511}) {
    EXPECT_EQ(class_of(status, kPage, RequestKind::kRefresh, "text/html"), FailureClass::kTransient) << status;
  }
  EXPECT_EQ(class_of(403, "<?xml version=\"1.0\"?><Error/>", RequestKind::kRefresh, "application/xml"),
            FailureClass::kTransient);
  EXPECT_EQ(class_of(400, "Invalid Token!", RequestKind::kRefresh, "text/plain"), FailureClass::kTransient);
  EXPECT_EQ(class_of(400, "{\"error\":\"invalid_gr"), FailureClass::kTransient) << "a refusal that is cut";
  EXPECT_EQ(class_of(200, "plain words in a page", RequestKind::kRefresh, "text/html"), FailureClass::kTransient);
}

TEST(Outcomes, RedirectsAreNotFollowedAndSuspend) {
  for (const int status : {301, 302, 303, 307, 308, 304})
    EXPECT_EQ(class_of(status, ""), FailureClass::kRefused) << status;
  const Failure failure = failure_of(
      read(plain_profile(), answer(302, "", {{"Location", "https://login.example:8443/sso?token=hush-hush-hush"}})));
  EXPECT_NE(failure.words.find("https://login.example:8443"), std::string::npos) << failure.words;
  EXPECT_EQ(failure.words.find("hush"), std::string::npos);
}

TEST(Outcomes, CodesByTheirClass) {
  struct Case {
    const char* code;
    FailureClass expected;
  };
  const Case cases[] = {{"invalid_grant", FailureClass::kNeedsLogin},
                        {"bad_refresh_token", FailureClass::kNeedsLogin},
                        {"invalid_refresh_token", FailureClass::kNeedsLogin},
                        {"BAD_REFRESH_TOKEN", FailureClass::kNeedsLogin},
                        {"Invalid_Grant", FailureClass::kNeedsLogin},
                        {"interaction_required", FailureClass::kNeedsLogin},
                        {"login_required", FailureClass::kNeedsLogin},
                        {"consent_required", FailureClass::kNeedsLogin},
                        {"invalid_rapt", FailureClass::kNeedsLogin},
                        {"invalid_token", FailureClass::kNeedsLogin},
                        {"invalid_client", FailureClass::kClient},
                        {"incorrect_client_credentials", FailureClass::kClient},
                        {"unauthorized_client", FailureClass::kClient},
                        {"invalid_scope", FailureClass::kRefused},
                        {"unsupported_grant_type", FailureClass::kRefused},
                        {"redirect_uri_mismatch", FailureClass::kRefused},
                        {"invalid_request", FailureClass::kRefused},
                        {"something_new", FailureClass::kRefused},
                        {"temporarily_unavailable", FailureClass::kTransient},
                        {"server_error", FailureClass::kTransient},
                        {"slow_down", FailureClass::kTransient},
                        {"authorization_pending", FailureClass::kTransient},
                        {"invalid_code", FailureClass::kStartOver},
                        {"bad_verification_code", FailureClass::kStartOver}};
  for (const Case& c : cases) {
    for (const int status : {200, 400, 401, 403})
      EXPECT_EQ(class_of(status, error_body(c.code)), c.expected) << c.code << status;
  }
}

TEST(Outcomes, CodesCanDependOnTheRequest) {
  EXPECT_EQ(class_of(400, error_body("expired_token"), RequestKind::kDevicePoll), FailureClass::kStartOver);
  EXPECT_EQ(class_of(400, error_body("access_denied"), RequestKind::kDevicePoll), FailureClass::kStartOver);
  EXPECT_EQ(class_of(400, error_body("access_denied"), RequestKind::kRefresh), FailureClass::kRefused);
  EXPECT_EQ(class_of(401, error_body("invalid_token"), RequestKind::kCode), FailureClass::kRefused);
  EXPECT_EQ(class_of(400, error_body("invalid_grant"), RequestKind::kPassword), FailureClass::kNeedsLogin);
  EXPECT_EQ(class_of(400, error_body("invalid_grant"), RequestKind::kCode), FailureClass::kNeedsLogin);
  EXPECT_EQ(class_of(400, error_body("invalid_grant"), RequestKind::kClientCredentials), FailureClass::kRefused)
      << "nobody can sign in to mend that";
}

TEST(Outcomes, ARefusalWithoutAWordOnRefreshIsUnclear) {
  for (const int status : {400, 401, 403}) {
    for (const char* body : {"", " \r\n", "{}", "null"}) {
      EXPECT_EQ(class_of(status, body), FailureClass::kUnclear) << status << body;
      EXPECT_EQ(class_of(status, body, RequestKind::kCode), FailureClass::kRefused);
    }
    const Failure failure = failure_of(read(plain_profile(), answer(status, "")));
    EXPECT_NE(failure.words.find("grant is dead"), std::string::npos) << "both causes are said";
    EXPECT_NE(failure.words.find("client_id or client_secret"), std::string::npos);
  }
  EXPECT_EQ(class_of(404, ""), FailureClass::kRefused);
}

TEST(Outcomes, SuccessWithAnErrorInsideIsAFailure) {
  const std::pair<const char*, FailureClass> cases[] = {
      {R"({"error":"bad_refresh_token"})", FailureClass::kNeedsLogin},                 // GitHub
      {R"({"ok":false,"error":"invalid_refresh_token"})", FailureClass::kNeedsLogin},  // Slack
      {R"({"ok":false,"error":"ratelimited"})", FailureClass::kTransient},
      {R"({"ok":false})", FailureClass::kRefused},
      {R"({"ok":"false"})", FailureClass::kRefused},
      {R"({"status":401,"body":{},"error":"XRequestID: Not provided"})",
       FailureClass::kRefused},  // Withings without its profile
      {R"({"status":503})", FailureClass::kRefused},
      {R"({"success":false,"message":"no"})", FailureClass::kRefused},
      {R"({"error":{"code":190,"message":"Session has expired"}})", FailureClass::kRefused}};
  for (const auto& [body, expected] : cases)
    EXPECT_EQ(class_of(200, body), expected) << body;
  EXPECT_EQ(
      class_of(200, "error=bad_refresh_token&error_description=The+refresh+token", RequestKind::kRefresh, "text/plain"),
      FailureClass::kNeedsLogin);
}

TEST(Outcomes, SuccessWithoutATokenIsAProtocolError) {
  for (const char* body : {"{}", "[]", R"({"token_type":"bearer"})", R"({"access_token":null})",
                           R"({"access_token":""})", R"({"access_token":7})", R"({"access_token":{"a":"b"}})",
                           R"({"status":0})", R"({"status":200})", R"({"error":null})", R"({"error":""})",
                           R"({"error":false})", R"({"ok":true})", R"({"success":true})", "token_type=bearer"}) {
    EXPECT_EQ(class_of(200, body), FailureClass::kNoToken) << body;
  }
}

TEST(Outcomes, SuccessThatIsCutOrGarbledIsAmbiguous) {
  for (const char* body : {"", " ", "null", R"({"access_token":"a","refresh_tok)", R"({"access_token":"a")", "{",
                           "garbage", "\"text\"", "7", "\x1f\x8b\x08 compressed"}) {
    EXPECT_EQ(class_of(200, body), FailureClass::kAmbiguous) << body;
  }
  EXPECT_EQ(class_of(204, ""), FailureClass::kAmbiguous);
  EXPECT_EQ(class_of(103, ""), FailureClass::kAmbiguous);
  EXPECT_EQ(class_of(600, ""), FailureClass::kAmbiguous);
}

TEST(Outcomes, AnyOtherRefusalSuspends) {
  for (const int status : {400, 401, 403, 404, 405, 406, 409, 410, 415, 422, 451}) {
    EXPECT_EQ(class_of(status, R"({"message":"Unauthenticated."})"), FailureClass::kRefused) << status;
  }
}

TEST(MatchTable, ComesBeforeEveryGeneralRule) {
  provider::Profile profile = plain_profile();
  profile.errors.match = {{401, "invalid_request", RequestKind::kRefresh, ErrorClass::kNeedsLogin},  // old Passport
                          {503, "maintenance", std::nullopt, ErrorClass::kRefused},
                          {std::nullopt, "BAD_CLIENT_ID", std::nullopt, ErrorClass::kClient},
                          {418, "", std::nullopt, ErrorClass::kTransient},
                          {std::nullopt, "stale", std::nullopt, ErrorClass::kStartOver},
                          {std::nullopt, "stale", std::nullopt, ErrorClass::kRefused}};
  const auto matched = [&](int status, const std::string& body, RequestKind kind = RequestKind::kRefresh) {
    return failure_of(read(profile, answer(status, body), kind)).failure_class;
  };
  EXPECT_EQ(matched(401, error_body("invalid_request")), FailureClass::kNeedsLogin);
  EXPECT_EQ(matched(401, error_body("invalid_request"), RequestKind::kCode), FailureClass::kRefused)
      << "another kind of request";
  EXPECT_EQ(matched(400, error_body("invalid_request")), FailureClass::kRefused) << "another status";
  EXPECT_EQ(matched(503, error_body("maintenance")), FailureClass::kRefused);
  EXPECT_EQ(matched(503, error_body("other")), FailureClass::kTransient);
  EXPECT_EQ(matched(200, error_body("BAD_CLIENT_ID")), FailureClass::kClient);
  EXPECT_EQ(matched(200, error_body("bad_client_id")), FailureClass::kRefused)
      << "a profile's code is compared exactly";
  EXPECT_EQ(matched(418, ""), FailureClass::kTransient);
  EXPECT_EQ(matched(400, error_body("stale")), FailureClass::kStartOver) << "the first wins";
}

TEST(MatchTable, DoesNotJudgePages) {
  provider::Profile profile = plain_profile();
  profile.errors.match = {{401, "", RequestKind::kRefresh, ErrorClass::kNeedsLogin}};
  EXPECT_EQ(failure_of(read(profile, answer(401, "{}"))).failure_class, FailureClass::kNeedsLogin);
  EXPECT_EQ(failure_of(read(profile, answer(401, kPage))).failure_class, FailureClass::kTransient);
}

TEST(ErrorPlaces, AreTheProfiles) {
  provider::Profile profile = plain_profile();
  profile.errors.code = {"errors.0.errorType", "status"};
  profile.errors.text = {"detailed.0", "errors.0.message"};
  profile.errors.match = {{std::nullopt, "invalid_refresh", std::nullopt, ErrorClass::kNeedsLogin}};
  Failure failure = failure_of(
      read(profile, answer(400, R"({"errors":[{"errorType":"invalid_refresh","message":"gone"}],"success":false})")));
  EXPECT_EQ(failure.failure_class, FailureClass::kNeedsLogin);
  EXPECT_EQ(failure.code, "invalid_refresh");
  EXPECT_EQ(failure.words, "invalid_refresh: gone");
  failure = failure_of(read(profile, answer(400, R"({"status":"BAD_REFRESH_TOKEN","detailed":["first","second"]})")));
  EXPECT_EQ(failure.failure_class, FailureClass::kNeedsLogin);
  EXPECT_EQ(failure.words, "BAD_REFRESH_TOKEN: first");
  failure = failure_of(read(profile, answer(400, error_body("invalid_client"))));
  EXPECT_EQ(failure.failure_class, FailureClass::kClient) << "the RFC's place is always looked at";
}

TEST(ErrorPlaces, GooglesSubtypeAsksForAPerson) {
  const Failure failure = failure_of(read(
      plain_profile(),
      answer(
          400,
          R"({"error":"invalid_grant","error_description":"reauth related error","error_subtype":"invalid_rapt"})")));
  EXPECT_EQ(failure.failure_class, FailureClass::kNeedsLogin);
  EXPECT_EQ(failure.code, "invalid_grant");
  EXPECT_TRUE(failure.words.starts_with("the provider asks for an interactive sign-in: invalid_grant"))
      << failure.words;
}

TEST(Words, NameTheCodeAndTheReason) {
  EXPECT_EQ(failure_of(read(plain_profile(), answer(400, error_body("invalid_grant")))).words,
            "invalid_grant: because");
  EXPECT_EQ(failure_of(read(plain_profile(), answer(400, R"({"message":"no"})"))).words, "no");
  EXPECT_EQ(failure_of(read(plain_profile(), answer(503, kPage))).words, "HTTP 503");
  EXPECT_EQ(failure_of(read(plain_profile(), answer(200, "{}"))).words, "HTTP 200 without an access token");
}

TEST(FailureClasses, HaveTheirWords) {
  EXPECT_EQ(to_string(FailureClass::kNotSent), "not-sent");
  EXPECT_EQ(to_string(FailureClass::kNeedsLogin), "needs-login");
  EXPECT_EQ(to_string(FailureClass::kLocal), "local");
}

}  // namespace
}  // namespace credsync::oauth
