#include "base/encoding.h"
#include "tests/unit/oauth/oauth_testing.h"

namespace credsync::oauth {
namespace {

using namespace credsync::oauth::testing;
using provider::ClientAuth;
using provider::Encoding;
using provider::ErrorClass;
using provider::RequestKind;
using provider::RevokeHow;
using Fields = std::map<std::string, std::string>;

RevocationOrder order_for(const provider::Profile& profile, const Vars& vars = {}) {
  auto order = make_revocation_order(profile, vars, plain_client());
  EXPECT_TRUE(order) << (order ? "" : order.error().message());
  return order ? std::move(*order) : RevocationOrder();
}

// Through the stored form, as it is used.
HttpRequest request_to_revoke(const provider::Profile& profile, TokenKind kind, std::string_view token,
                              const Vars& vars = {}) {
  fakes::FakeRandom random;
  auto order = parse_revocation_order(serialise(order_for(profile, vars)));
  EXPECT_TRUE(order) << (order ? "" : order.error().message());
  if (!order) return {};
  auto request = build_revocation_request(*order, kind, Secret(token), kSent, random);
  EXPECT_TRUE(request) << (request ? "" : request.error().message());
  return request ? std::move(*request) : HttpRequest();
}

// RFC 7009, 2.1.
TEST(RevocationRequest, IsTheExampleOfRfc7009) {
  provider::Profile profile = plain_profile();
  profile.client.auth = {ClientAuth::kBasic};
  const HttpRequest request = request_to_revoke(profile, TokenKind::kRefresh, "45ghiukldjahdnhzdauz");
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.url, "https://as.example/revoke");
  EXPECT_EQ(header_of(request, "Authorization"), "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW");
  EXPECT_EQ(header_of(request, "Content-Type"), "application/x-www-form-urlencoded");
  EXPECT_EQ(request.body.text(), "token=45ghiukldjahdnhzdauz&token_type_hint=refresh_token");
}

TEST(RevocationRequest, HintAndClientAreTheProfiles) {
  provider::Profile profile = plain_profile();
  EXPECT_EQ(form_of(request_to_revoke(profile, TokenKind::kAccess, "a").body.text()),
            (Fields{{"token", "a"},
                    {"token_type_hint", "access_token"},
                    {"client_id", "s6BhdRkqt3"},
                    {"client_secret", "gX1fBat3bV"}}));
  profile.revoke.hint = false;
  profile.revoke.auth = ClientAuth::kNone;
  EXPECT_EQ(form_of(request_to_revoke(profile, TokenKind::kAccess, "a").body.text()),
            (Fields{{"token", "a"}, {"client_id", "s6BhdRkqt3"}}));
}

TEST(RevocationRequest, GithubDeletesWithAJsonBody) {
  provider::Profile profile = plain_profile();
  profile.endpoints.revoke.url = "https://api.github.com/applications/{client_id}/token";
  profile.endpoints.revoke.encoding = Encoding::kJson;
  profile.endpoints.revoke.headers = {{"Accept", "application/vnd.github+json"}};
  profile.revoke.how = RevokeHow::kDelete;
  profile.revoke.auth = ClientAuth::kBasic;
  profile.revoke.hint = false;
  profile.parameters[RequestKind::kRevoke].rename = {{"token", "access_token"}};
  const HttpRequest request = request_to_revoke(profile, TokenKind::kAccess, "gho_16C7e42F");
  EXPECT_EQ(request.method, "DELETE");
  EXPECT_EQ(request.url, "https://api.github.com/applications/s6BhdRkqt3/token");
  EXPECT_EQ(request.body.text(), R"({"access_token":"gho_16C7e42F"})");
  EXPECT_EQ(header_of(request, "Accept"), "application/vnd.github+json");
  EXPECT_EQ(header_of(request, "Authorization"), "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW");
}

TEST(RevocationRequest, GetPutsTheTokenButNoSecretIntoTheQuery) {
  provider::Profile profile = plain_profile();
  profile.revoke.how = RevokeHow::kGet;
  profile.revoke.hint = false;
  HttpRequest request = request_to_revoke(profile, TokenKind::kAccess, "a/b+c");
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(request.url, "https://as.example/revoke?token=a%2Fb%2Bc");
  EXPECT_TRUE(request.body.text().empty());
  profile.client.auth = {ClientAuth::kBasic};
  request = request_to_revoke(profile, TokenKind::kAccess, "a");
  EXPECT_TRUE(header_of(request, "Authorization").starts_with("Basic ")) << "a header is no place in the URL";
}

TEST(RevocationRequest, ATokenNamedInTheUrlIsPercentEncodedThere) {
  provider::Profile profile = plain_profile();
  profile.endpoints.revoke.url = "https://api.example/oauth/v1/refresh-tokens/{token}";
  profile.endpoints.revoke.method = "DELETE";
  profile.revoke.how = RevokeHow::kPath;
  HttpRequest request = request_to_revoke(profile, TokenKind::kRefresh, "a/b?c#d e%");
  EXPECT_EQ(request.method, "DELETE");
  EXPECT_EQ(request.url, "https://api.example/oauth/v1/refresh-tokens/a%2Fb%3Fc%23d%20e%25");
  EXPECT_TRUE(request.body.text().empty());
  EXPECT_TRUE(header_of(request, "Authorization").empty());

  profile = plain_profile();
  profile.endpoints.revoke.url = "https://accounts.example/revoke?token={token}";
  profile.revoke.auth = ClientAuth::kNone;
  profile.parameters[RequestKind::kRevoke].omit = {"client_id"};
  request = request_to_revoke(profile, TokenKind::kAccess, "a&b");
  EXPECT_EQ(request.url, "https://accounts.example/revoke?token=a%26b");
  EXPECT_TRUE(request.body.text().empty());
}

TEST(RevocationRequest, BearerStyleCarriesTheTokenAsItIsUsed) {
  provider::Profile profile = plain_profile();
  profile.revoke.how = RevokeHow::kBearer;
  HttpRequest request = request_to_revoke(profile, TokenKind::kAccess, "lin_oauth_1");
  EXPECT_EQ(header_of(request, "Authorization"), "Bearer lin_oauth_1");
  EXPECT_TRUE(request.body.text().empty());
  EXPECT_TRUE(header_of(request, "Content-Type").empty());
  profile.delivery = {"X-Auth-Token", ""};
  EXPECT_EQ(header_of(request_to_revoke(profile, TokenKind::kAccess, "t"), "X-Auth-Token"), "t");
  fakes::FakeRandom random;
  EXPECT_FALSE(build_revocation_request(order_for(profile), TokenKind::kAccess, Secret("a\r\nX: y"), kSent, random));
}

TEST(RevocationRequest, WhatTheProviderDoesNotTakeIsRefusedBeforeItIsSent) {
  fakes::FakeRandom random;
  provider::Profile profile = plain_profile();
  profile.revoke.refresh_tokens = false;
  EXPECT_FALSE(build_revocation_request(order_for(profile), TokenKind::kRefresh, Secret("r"), kSent, random));
  EXPECT_TRUE(build_revocation_request(order_for(profile), TokenKind::kAccess, Secret("a"), kSent, random));
  EXPECT_FALSE(build_revocation_request(order_for(profile), TokenKind::kAccess, Secret(), kSent, random));
  profile.revoke.how = RevokeHow::kPath;
  EXPECT_FALSE(build_revocation_request(order_for(profile), TokenKind::kAccess, Secret("a"), kSent, random))
      << "no {token}";
  profile.revoke.how = RevokeHow::kNone;
  EXPECT_FALSE(make_revocation_order(profile, {}, plain_client()));
  profile = plain_profile();
  profile.endpoints.revoke.url.clear();
  EXPECT_FALSE(make_revocation_order(profile, {}, plain_client()));
  EXPECT_FALSE(build_revocation_request(RevocationOrder(), TokenKind::kAccess, Secret("a"), kSent, random));
}

TEST(RevocationOrder, SurvivesItsStoredForm) {
  provider::Profile profile = plain_profile();
  profile.vars["tenant"] = {};
  profile.endpoints.revoke = {
      "https://{tenant}.example/revoke", "PUT", Encoding::kMultipart, {{"X-Tenant", "{tenant}"}}};
  profile.client = {{ClientAuth::kClientSecretJwt, ClientAuth::kPost}, provider::BasicEncoding::kRaw, "", "HS512"};
  profile.revoke.auth = ClientAuth::kPost;
  profile.revoke.access_tokens = false;
  profile.revoke.access_cascade = provider::Cascade::kNone;
  profile.revoke.refresh_cascade = provider::Cascade::kGrant;
  profile.revoke.success = {200, 204, 404};
  profile.parameters[RequestKind::kRevoke] = {
      {{"who", "{tenant}"}, {"braces", "{{x}}"}}, {{"token", "t"}}, {"token_type_hint"}, false};
  profile.errors.code = {"errors.0.type"};
  profile.errors.text = {"errors.0.text"};
  profile.errors.match = {{400, "gone", RequestKind::kRevoke, ErrorClass::kNeedsLogin},
                          {std::nullopt, "x", std::nullopt, ErrorClass::kClient}};
  profile.delivery = {"X-Auth", "Token "};
  ClientCredentials client{"the\"client", Secret(std::string_view("\xff\0secret", 8)), Secret("-----BEGIN\nKEY"),
                           "kid"};
  auto made = make_revocation_order(profile, {{"tenant", "acme"}}, client);
  ASSERT_TRUE(made);
  made->ca_file = "/etc/ca.pem";
  made->allow_http_loopback = true;
  made->client_certificate = "/etc/cert.pem";
  const auto read_back = parse_revocation_order(serialise(*made));
  ASSERT_TRUE(read_back) << read_back.error().message();
  EXPECT_EQ(read_back->url, "https://acme.example/revoke");
  EXPECT_EQ(read_back->client_id, "the\"client");
  EXPECT_TRUE(same_secret(read_back->client_secret, client.secret));
  EXPECT_TRUE(same_secret(read_back->private_key, client.private_key));
  EXPECT_EQ(read_back->key_id, "kid");
  EXPECT_EQ(read_back->ca_file, "/etc/ca.pem");
  EXPECT_TRUE(read_back->allow_http_loopback);
  EXPECT_EQ(read_back->client_certificate, "/etc/cert.pem");
  const provider::Profile& rules = read_back->rules;
  EXPECT_EQ(rules.id, "plain");
  EXPECT_EQ(rules.client.auth, profile.client.auth);
  EXPECT_EQ(rules.client.basic_encoding, provider::BasicEncoding::kRaw);
  EXPECT_EQ(rules.client.assertion_audience, "https://as.example/token") << "the account may be gone when it is needed";
  EXPECT_EQ(rules.client.signing_algorithm, "HS512");
  EXPECT_EQ(rules.revoke.how, RevokeHow::kRfc7009);
  EXPECT_EQ(rules.revoke.auth, ClientAuth::kPost);
  EXPECT_FALSE(rules.revoke.access_tokens);
  EXPECT_TRUE(rules.revoke.refresh_tokens);
  EXPECT_EQ(rules.revoke.access_cascade, provider::Cascade::kNone);
  EXPECT_EQ(rules.revoke.refresh_cascade, provider::Cascade::kGrant);
  EXPECT_EQ(rules.revoke.success, (std::vector<int>{200, 204, 404}));
  EXPECT_EQ(rules.endpoints.revoke.method, "PUT");
  EXPECT_EQ(rules.endpoints.revoke.encoding, Encoding::kMultipart);
  EXPECT_EQ(rules.endpoints.revoke.headers, (provider::StringMap{{"X-Tenant", "acme"}}));
  const provider::Parameters& parameters = rules.parameters.at(RequestKind::kRevoke);
  EXPECT_EQ(parameters.set, (provider::StringMap{{"who", "acme"}, {"braces", "{x}"}}));
  EXPECT_EQ(parameters.rename, (provider::StringMap{{"token", "t"}}));
  EXPECT_EQ(parameters.omit, provider::Strings{"token_type_hint"});
  EXPECT_FALSE(parameters.drop_empty);
  EXPECT_EQ(rules.errors.code, profile.errors.code);
  EXPECT_EQ(rules.errors.text, profile.errors.text);
  ASSERT_EQ(rules.errors.match.size(), 2U);
  EXPECT_EQ(rules.errors.match[0].status, 400);
  EXPECT_EQ(rules.errors.match[0].code, "gone");
  EXPECT_EQ(rules.errors.match[0].request, RequestKind::kRevoke);
  EXPECT_EQ(rules.errors.match[0].error_class, ErrorClass::kNeedsLogin);
  EXPECT_EQ(rules.errors.match[1].status, std::nullopt);
  EXPECT_EQ(rules.errors.match[1].request, std::nullopt);
  EXPECT_EQ(rules.delivery.header, "X-Auth");
  EXPECT_EQ(rules.delivery.prefix, "Token ");
}

TEST(RevocationOrder, WhatIsNotOneIsRefused) {
  for (const char* text :
       {"", "{}", "[]", "garbage", R"({"version":"1"})", R"({"version":"1","url":"https://x.example"})"}) {
    EXPECT_FALSE(parse_revocation_order(Secret(text))) << text;
  }
  const auto newer =
      parse_revocation_order(Secret(R"({"version":"2","url":"https://x.example","revoke":{"how":"rfc7009"}})"));
  ASSERT_FALSE(newer);
  EXPECT_EQ(newer.error().code(), ErrorCode::kTooNew);
  EXPECT_TRUE(parse_revocation_order(
      Secret(R"({"version":"1","url":"https://x.example","revoke":{"how":"rfc7009"},"added":[{}]})")));
}

struct AnswerCase {
  int status;
  const char* body;
  RevocationResult expected;
};

void expect_results(const provider::Profile& profile, std::initializer_list<AnswerCase> cases) {
  for (const AnswerCase& c : cases) {
    const RevocationOutcome outcome = read_revocation_answer(profile, answer(c.status, c.body));
    EXPECT_EQ(outcome.result, c.expected) << c.status << " " << c.body << " " << outcome.failure.words;
    if (c.expected != RevocationResult::kDone) {
      EXPECT_FALSE(outcome.failure.words.empty());
      EXPECT_TRUE(outcome.failure.sent);
    }
  }
}

// RFC 7009, 2.2: an unknown token is revoked already.
TEST(RevocationAnswer, IsReadAsInRfc7009) {
  using enum RevocationResult;
  expect_results(plain_profile(), {{200, "", kDone},
                                   {200, "{}", kDone},
                                   {200, "OK", kDone},
                                   {200, R"({"ok":true,"revoked":true})", kDone},
                                   {400, R"({"error":"invalid_token"})", kDone},
                                   {401, R"({"error":"invalid_token"})", kDone},
                                   {503, "", kRetry},
                                   {503, R"({"error":"unsupported_token_type"})", kRetry},
                                   {429, "", kRetry},
                                   {500, "<html>", kRetry},
                                   {408, "", kRetry},
                                   {400, R"({"error":"unsupported_token_type"})", kRefused},
                                   {400, R"({"error":"invalid_request"})", kRefused},
                                   {401, R"({"error":"invalid_client"})", kRetry},
                                   {400, R"({"error":"unauthorized_client"})", kRetry},
                                   {401, "", kRetry},
                                   {403, "", kRetry},
                                   {400, "", kRefused},
                                   {404, "", kRefused},
                                   {405, "", kRefused},
                                   {302, "", kRefused},
                                   {403, "<html>blocked</html>", kRetry},
                                   {200, "<html>Sign in to the hotel</html>", kRetry},
                                   {200, R"({"ok":false,"error":"token_revoked"})", kDone},
                                   {200, R"({"ok":false,"error":"fatal_error"})", kRefused},
                                   {200, R"({"ok":false,"error":"ratelimited"})", kRetry},
                                   {202, "", kRetry},
                                   {204, "", kRetry}});
}

TEST(RevocationAnswer, AnInvalidClientIsTriedAgainAndNamed) {
  const RevocationOutcome outcome =
      read_revocation_answer(plain_profile(), answer(401, R"({"error":"invalid_client"})"));
  EXPECT_EQ(outcome.result, RevocationResult::kRetry);
  EXPECT_EQ(outcome.failure.failure_class, FailureClass::kClient);
  EXPECT_EQ(outcome.failure.code, "invalid_client");
}

TEST(RevocationAnswer, StylesHaveTheirOwnWaysToSayGone) {
  using enum RevocationResult;
  provider::Profile profile = plain_profile();
  profile.revoke.success = {204, 404};
  expect_results(profile, {{204, "", kDone}, {404, R"({"message":"Not Found"})", kDone}, {200, "", kRetry}});
  profile = plain_profile();
  profile.revoke.how = RevokeHow::kPath;
  expect_results(profile, {{404, "", kDone}, {404, "<html>", kRetry}});
  profile.revoke.how = RevokeHow::kDelete;
  expect_results(profile, {{404, R"({"message":"Not Found"})", kDone}});
  profile.revoke.how = RevokeHow::kBearer;
  expect_results(profile, {{401, "", kDone}, {403, "", kRetry}, {404, "", kRefused}});
}

TEST(RevocationAnswer, OnlyARuleMadeForRevocationCallsATokenDead) {
  using enum RevocationResult;
  provider::Profile profile = plain_profile();
  profile.errors.match = {{401, "invalid_request", std::nullopt, ErrorClass::kNeedsLogin}};
  expect_results(profile, {{401, R"({"error":"invalid_request"})", kRefused}});
  profile.errors.match = {{401, "invalid_request", RequestKind::kRevoke, ErrorClass::kNeedsLogin}};
  expect_results(profile, {{401, R"({"error":"invalid_request"})", kDone}});
  profile.errors.match = {{400, "busy", RequestKind::kRevoke, ErrorClass::kTransient}};
  expect_results(profile, {{400, R"({"error":"busy"})", kRetry}});
}

TEST(RevocationAnswer, SaysWhenToComeBackAndNoSecret) {
  const std::string_view secrets[] = {"the-old-token"};
  const RevocationOutcome outcome = read_revocation_answer(
      plain_profile(), answer(503, R"({"error":"busy","error_description":"the-old-token"})", {{"Retry-After", "30"}}),
      secrets);
  EXPECT_EQ(outcome.failure.retry_after, Duration(30s));
  EXPECT_EQ(outcome.failure.words, "busy: [redacted]");
}

// RFC 7662, 2.2.
TEST(Introspection, IsReadAsInRfc7662) {
  auto result = read_introspection(answer(200, R"({"active":true,"client_id":"l238j323ds-23ij4","exp":1800001000})"));
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->active);
  EXPECT_EQ(result->expires_at, kSent + 1000s);
  result = read_introspection(answer(200, R"({"active":false})"));
  ASSERT_TRUE(result);
  EXPECT_FALSE(result->active);
  EXPECT_EQ(result->expires_at, std::nullopt);
  for (const char* body : {"", "{}", R"({"active":"true"})", R"({"active":1})", "[true]", "<html>", "active=true"}) {
    EXPECT_FALSE(read_introspection(answer(200, body))) << body;
  }
  EXPECT_FALSE(read_introspection(answer(401, R"({"active":true})")));
}

}  // namespace
}  // namespace credsync::oauth
