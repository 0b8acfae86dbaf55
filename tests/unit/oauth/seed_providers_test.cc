// The four mission providers by their documents' own examples.
#include "base/encoding.h"
#include "tests/unit/oauth/oauth_testing.h"

namespace credsync::oauth {
namespace {

using namespace credsync::oauth::testing;
using provider::ClientAuth;
using provider::Encoding;
using provider::ErrorClass;
using provider::RequestKind;

provider::Profile flat() {
  provider::Profile profile;
  profile.endpoints.token.url = "https://api.flat.io/oauth/access_token";
  profile.endpoints.revoke.url = "https://api.flat.io/oauth/invalidate_token";
  profile.client.auth = {ClientAuth::kPost};
  profile.revoke.how = provider::RevokeHow::kRfc7009;
  profile.answer.keep = {"user"};
  profile.limits = {"X-RateLimit-Remaining", "X-RateLimit-Reset", provider::ResetMeans::kEpochSeconds, std::nullopt};
  return profile;
}

provider::Profile flume() {
  provider::Profile profile;
  profile.endpoints.token.url = "https://api.flumewater.com/oauth/token";
  profile.endpoints.token.encoding = Encoding::kJson;
  profile.client.auth = {ClientAuth::kPost};
  profile.answer.root = "data.0";
  profile.answer.success = {"success", "true"};
  profile.errors.code = {"error", "code"};
  profile.errors.text = {"detailed.0", "message"};
  profile.errors.match = {{400, "", RequestKind::kRefresh, ErrorClass::kNeedsLogin}};
  return profile;
}

provider::Profile fflogs() {
  provider::Profile profile;
  profile.vars["host"] = {R"((?:(?:www|[a-z]{2})\.)?(?:fflogs|warcraftlogs)\.com)", {}, "www.fflogs.com"};
  profile.endpoints.token.url = "https://{host}/oauth/token";
  profile.client.auth = {ClientAuth::kBasic, ClientAuth::kNone};
  profile.errors.match = {{401, "invalid_request", RequestKind::kRefresh, ErrorClass::kNeedsLogin}};
  return profile;
}

provider::Profile example() {
  provider::Profile profile;
  profile.endpoints.token.url = "https://example.com/api/token.php";
  profile.client.auth = {ClientAuth::kPost};
  profile.parameters[RequestKind::kCode].omit = {"grant_type", "redirect_uri"};
  profile.errors.match = {{401, "invalid_token", std::nullopt, ErrorClass::kNeedsLogin}};
  return profile;
}

TEST(Flat, CodeRequestIsThatOfTheDocument) {
  const HttpRequest request =
      request_for(flat(), CodeInput{Secret("<authz-code>"), "https://my-website.example.com/callback", {}});
  EXPECT_EQ(form_of(request.body.text()),
            (std::map<std::string, std::string>{{"grant_type", "authorization_code"},
                                                {"code", "<authz-code>"},
                                                {"client_id", "s6BhdRkqt3"},
                                                {"client_secret", "gX1fBat3bV"},
                                                {"redirect_uri", "https://my-website.example.com/callback"}}));
}

// The document's answer with the comma that it lacks.
TEST(Flat, AnswerIsThatOfTheDocument) {
  const auto tokens = tokens_of(read(flat(),
                                     answer(200, R"({
  "type": "access",
  "token_type": "bearer",
  "access_token": "<access-token>",
  "issued_at": 1492542537,
  "expires_in": 86400,
  "app": "<app-id>",
  "appStatus": "trusted",
  "user": "<user-id>",
  "scope": "account.public_profile scores"
})",
                                            {{"Content-Type", "application/json"}}),
                                     RequestKind::kCode));
  EXPECT_EQ(tokens.access_token.expose(), "<access-token>");
  EXPECT_TRUE(tokens.refresh_token.empty());
  EXPECT_EQ(tokens.token_type, "Bearer");
  EXPECT_EQ(tokens.expires_at, kSent + 86400s) << "issued_at is old: it is the provider's word, and not needed";
  EXPECT_EQ(tokens.scope, (std::vector<std::string>{"account.public_profile", "scores"}));
  EXPECT_EQ(tokens.subject, "<user-id>");
  EXPECT_EQ(tokens.extra.at("user"), "<user-id>");
}

TEST(Flat, TheDocumentsOwnTypingErrorCostsNoToken) {
  const Failure failure =
      failure_of(read(flat(), answer(200, "{\"token_type\": \"bearer\"\n \"access_token\": \"<access-token>\"}")));
  EXPECT_EQ(failure.failure_class, FailureClass::kAmbiguous) << "a 2xx that cannot be read may have rotated";
}

TEST(Flat, LimitsAreEpochSeconds) {
  const Failure failure = failure_of(read(flat(), answer(429, "",
                                                         {{"X-RateLimit-Limit", "100"},
                                                          {"X-RateLimit-Remaining", "0"},
                                                          {"X-RateLimit-Reset", "1800000060"},
                                                          {"Date", "Fri, 15 Jan 2027 08:00:00 GMT"}})));
  EXPECT_TRUE(failure.rate_limited);
  EXPECT_EQ(failure.retry_after, Duration(60s));
}

TEST(Flat, RevokesByRfc7009) {
  fakes::FakeRandom random;
  const auto order = make_revocation_order(flat(), {}, plain_client());
  ASSERT_TRUE(order);
  const auto request = build_revocation_request(*order, TokenKind::kAccess, Secret("<access-token>"), kSent, random);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->url, "https://api.flat.io/oauth/invalidate_token");
  EXPECT_EQ(form_of(request->body.text()).at("token"), "<access-token>");
}

TEST(Flume, PasswordAndRefreshGoAsJson) {
  HttpRequest request = request_for(flume(), PasswordInput{"johndoe", Secret("A3ddj3w")});
  EXPECT_EQ(header_of(request, "Content-Type"), "application/json");
  EXPECT_EQ(request.body.text(), R"({"grant_type":"password","username":"johndoe","password":"A3ddj3w",)"
                                 R"("client_id":"s6BhdRkqt3","client_secret":"gX1fBat3bV"})");
  request = request_for(flume(), RefreshInput{Secret("r")});
  EXPECT_EQ(
      request.body.text(),
      R"({"grant_type":"refresh_token","refresh_token":"r","client_id":"s6BhdRkqt3","client_secret":"gX1fBat3bV"})");
}

TEST(Flume, AnswerComesInItsEnvelope) {
  const std::string token = jwt(R"({"user_id":1234,"type":"USER","iat":1800000000,"exp":1800604800})");
  const auto envelope = [&](const std::string& more) {
    return R"({"success":true,"code":602,"message":"Request OK","http_code":200,"http_message":"OK","detailed":null,"count":1,"pagination":null,)"
           R"("data":[{"token_type":"bearer","access_token":")" +
           token + R"(","refresh_token":"f00")" + more + "}]}";
  };
  auto tokens = tokens_of(read(flume(), answer(200, envelope(R"(,"expires_in":604800)")), RequestKind::kPassword));
  EXPECT_EQ(tokens.access_token.expose(), token);
  EXPECT_EQ(tokens.refresh_token.expose(), "f00");
  EXPECT_EQ(tokens.token_type, "Bearer");
  EXPECT_EQ(tokens.expires_at, kSent + 604800s);
  tokens = tokens_of(read(flume(), answer(200, envelope(""))));
  EXPECT_EQ(tokens.expires_at, kSent + 604800s) << "from the JWT's exp";
}

TEST(Flume, ErrorsAreInTheEnvelopeToo) {
  Failure failure = failure_of(read(
      flume(),
      answer(
          400,
          R"({"success":false,"code":605,"message":"Bad request","http_code":400,"detailed":["refresh_token is invalid"],"data":null})")));
  EXPECT_EQ(failure.failure_class, FailureClass::kNeedsLogin);
  EXPECT_EQ(failure.words, "605: refresh_token is invalid");
  failure =
      failure_of(read(flume(), answer(401, R"({"success":false,"code":603,"message":"Unauthorized","detailed":null})"),
                      RequestKind::kPassword));
  EXPECT_EQ(failure.failure_class, FailureClass::kRefused);
  EXPECT_EQ(failure.words, "603: Unauthorized");
  failure = failure_of(read(flume(), answer(200, R"({"success":true,"code":602,"message":"Request OK","data":[]})")));
  EXPECT_EQ(failure.failure_class, FailureClass::kNoToken) << "its code is there on success as well";
  failure = failure_of(
      read(flume(), answer(200, R"({"success":false,"code":605,"message":"no","data":[{"access_token":"a"}]})")));
  EXPECT_EQ(failure.failure_class, FailureClass::kRefused);
}

// curl -u {client_id}:{client_secret} -d grant_type=client_credentials
TEST(FfLogs, ClientCredentialsAreThoseOfTheDocument) {
  const HttpRequest request = request_for(fflogs(), ClientCredentialsInput{});
  EXPECT_EQ(request.url, "https://www.fflogs.com/oauth/token");
  EXPECT_EQ(request.body.text(), "grant_type=client_credentials");
  EXPECT_EQ(header_of(request, "Authorization"), "Basic " + encode_base64("s6BhdRkqt3:gX1fBat3bV"));
  EXPECT_EQ(request_for(fflogs(), ClientCredentialsInput{}, {{"host", "ja.fflogs.com"}}).url,
            "https://ja.fflogs.com/oauth/token");
  EXPECT_EQ(request_for(fflogs(), ClientCredentialsInput{}, {{"host", "www.warcraftlogs.com"}}).url,
            "https://www.warcraftlogs.com/oauth/token");
}

TEST(FfLogs, MultipartIsOneWordInTheProfile) {
  provider::Profile profile = fflogs();
  profile.endpoints.token.encoding = Encoding::kMultipart;
  const HttpRequest request = request_for(profile, ClientCredentialsInput{});
  EXPECT_TRUE(header_of(request, "Content-Type").starts_with("multipart/form-data; boundary="));
  EXPECT_NE(request.body.text().find("name=\"grant_type\"\r\n\r\nclient_credentials\r\n"), std::string::npos);
}

TEST(FfLogs, PublicClientSendsItsIdAndVerifier) {
  ClientCredentials client;
  client.client_id = "public";
  const HttpRequest request =
      request_for(fflogs(), client, CodeInput{Secret("c"), "http://localhost/cb", Secret("verifier")});
  EXPECT_TRUE(header_of(request, "Authorization").empty());
  EXPECT_EQ(form_of(request.body.text()), (std::map<std::string, std::string>{{"client_id", "public"},
                                                                              {"code_verifier", "verifier"},
                                                                              {"redirect_uri", "http://localhost/cb"},
                                                                              {"grant_type", "authorization_code"},
                                                                              {"code", "c"}}));
}

TEST(FfLogs, A360DayTokenDoesNotOverflow) {
  const auto tokens =
      tokens_of(read(fflogs(), answer(200, R"({"token_type":"Bearer","expires_in":31104000,"access_token":"eyJ0"})"),
                     RequestKind::kClientCredentials));
  EXPECT_EQ(tokens.expires_at, kSent + days(360));
  EXPECT_TRUE(tokens.refresh_token.empty());
}

TEST(FfLogs, DeadRefreshTokensReadDifferentlyByAge) {
  const Failure old_server = failure_of(read(
      fflogs(),
      answer(
          401,
          R"({"error":"invalid_request","message":"The refresh token is invalid.","hint":"Token has been revoked"})")));
  EXPECT_EQ(old_server.failure_class, FailureClass::kNeedsLogin);
  EXPECT_EQ(old_server.words, "invalid_request: The refresh token is invalid.");
  EXPECT_EQ(failure_of(read(fflogs(), answer(400, R"({"error":"invalid_grant"})"))).failure_class,
            FailureClass::kNeedsLogin);
}

TEST(Example, CodeRequestHasThreeParametersOnly) {
  const HttpRequest request =
      request_for(example(), CodeInput{Secret("AUTHORIZATION_CODE"), "https://example.com/callback", {}});
  EXPECT_EQ(request.url, "https://example.com/api/token.php");
  EXPECT_EQ(request.body.text(), "code=AUTHORIZATION_CODE&client_id=s6BhdRkqt3&client_secret=gX1fBat3bV");
}

TEST(Example, AnswerAndErrorsAreThoseOfTheDocument) {
  const auto tokens = tokens_of(
      read(example(),
           answer(200, "{\n\"access_token\": \"ACCESS_TOKEN\",\n\"token_type\": \"Bearer\",\n\"expires_in\": 3600\n}",
                  {{"Content-Type", "text/html; charset=UTF-8"}}),
           RequestKind::kCode));
  EXPECT_EQ(tokens.access_token.expose(), "ACCESS_TOKEN");
  EXPECT_EQ(tokens.expires_at, kSent + 3600s);
  struct Case {
    int status;
    const char* code;
    FailureClass expected;
  };
  for (const Case& c :
       {Case{400, "invalid_request", FailureClass::kRefused}, Case{401, "invalid_client", FailureClass::kClient},
        Case{400, "invalid_code", FailureClass::kStartOver}, Case{401, "invalid_token", FailureClass::kNeedsLogin}}) {
    const Failure failure =
        failure_of(read(example(),
                        answer(c.status, std::string(R"({"error":")") + c.code +
                                             R"(","error_description":"Human-readable description"})"),
                        RequestKind::kCode));
    EXPECT_EQ(failure.failure_class, c.expected) << c.code;
    EXPECT_EQ(failure.code, c.code);
    EXPECT_EQ(failure.words, std::string(c.code) + ": Human-readable description");
  }
}

}  // namespace
}  // namespace credsync::oauth
