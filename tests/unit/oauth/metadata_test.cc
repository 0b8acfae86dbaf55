#include "daemon/oauth/metadata.h"

#include "tests/unit/oauth/oauth_testing.h"

namespace credsync::oauth {
namespace {

using namespace credsync::oauth::testing;
using Urls = std::vector<std::string>;

// RFC 8414, 3.2, shortened.
constexpr const char* kDocument = R"({
  "issuer": "https://server.example.com",
  "authorization_endpoint": "https://server.example.com/authorize",
  "token_endpoint": "https://server.example.com/token",
  "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt", "unheard_of"],
  "userinfo_endpoint": "https://server.example.com/userinfo",
  "revocation_endpoint": "https://server.example.com/revoke",
  "introspection_endpoint": "https://server.example.com/introspect",
  "device_authorization_endpoint": "https://server.example.com/device",
  "pushed_authorization_request_endpoint": "https://server.example.com/par",
  "jwks_uri": "https://server.example.com/jwks.json",
  "authorization_response_iss_parameter_supported": true,
  "require_pushed_authorization_requests": true,
  "code_challenge_methods_supported": ["plain", "S256", 7],
  "id_token_signing_alg_values_supported": ["ES256", "none"],
  "grant_types_supported": ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code", "other"]})";

Result<provider::Profile> applied(const std::string& body, const char* issuer = "https://server.example.com",
                                  provider::Profile profile = {}, bool loopback = false) {
  return apply_metadata(std::move(profile), issuer, answer(200, body), loopback);
}

std::string with_endpoint(const std::string& url, const std::string& issuer = "https://i.example") {
  return "{\"issuer\":\"" + issuer + "\",\"token_endpoint\":\"" + url + "\"}";
}

TEST(MetadataUrls, AreThoseOfRfc8414AndOpenId) {
  EXPECT_EQ(metadata_urls("https://example.com"), (Urls{"https://example.com/.well-known/oauth-authorization-server",
                                                        "https://example.com/.well-known/openid-configuration"}));
  EXPECT_EQ(metadata_urls("https://example.com/"), metadata_urls("https://example.com"));
  EXPECT_EQ(metadata_urls("https://example.com/issuer1"),
            (Urls{"https://example.com/.well-known/oauth-authorization-server/issuer1",
                  "https://example.com/issuer1/.well-known/openid-configuration"}));
  EXPECT_EQ(metadata_urls("https://example.com:8443/realms/a/"),
            (Urls{"https://example.com:8443/.well-known/oauth-authorization-server/realms/a",
                  "https://example.com:8443/realms/a/.well-known/openid-configuration"}));
  EXPECT_TRUE(metadata_urls("example.com").empty());
}

TEST(Metadata, FillsWhatTheFileLeftEmpty) {
  const auto profile = applied(kDocument);
  ASSERT_TRUE(profile) << profile.error().message();
  EXPECT_EQ(profile->endpoints.authorize.url, "https://server.example.com/authorize");
  EXPECT_EQ(profile->endpoints.token.url, "https://server.example.com/token");
  EXPECT_EQ(profile->endpoints.revoke.url, "https://server.example.com/revoke");
  EXPECT_EQ(profile->endpoints.introspect.url, "https://server.example.com/introspect");
  EXPECT_EQ(profile->endpoints.device.url, "https://server.example.com/device");
  EXPECT_EQ(profile->endpoints.userinfo.url, "https://server.example.com/userinfo");
  EXPECT_EQ(profile->endpoints.push.url, "https://server.example.com/par");
  EXPECT_EQ(profile->endpoints.jwks.url, "https://server.example.com/jwks.json");
  EXPECT_TRUE(profile->authorize.iss_required);
  EXPECT_TRUE(profile->authorize.push_required);
  EXPECT_EQ(profile->authorize.offered_challenges, (provider::Strings{"plain", "S256", "7"}));
  EXPECT_EQ(profile->answer.id_token_algorithms, (provider::Strings{"ES256", "none"}));
  EXPECT_EQ(profile->revoke.how, provider::RevokeHow::kRfc7009);
  EXPECT_EQ(profile->client.auth, (std::vector{provider::ClientAuth::kBasic, provider::ClientAuth::kPrivateKeyJwt}));
  EXPECT_EQ(profile->grants, (std::vector{provider::Grant::kAuthorizationCode, provider::Grant::kDeviceCode}));
}

TEST(Metadata, WhatTheFileSaysStands) {
  provider::Profile given;
  given.endpoints.token.url = "https://fixed.example/token";
  given.client.auth = {provider::ClientAuth::kPost};
  given.grants = {provider::Grant::kPassword};
  given.facts = {{"client.auth", "[\"post\"]", "f.toml", 1, ""}, {"revoke.how", "\"none\"", "f.toml", 2, ""}};
  const auto profile = applied(kDocument, "https://server.example.com", given);
  ASSERT_TRUE(profile);
  EXPECT_EQ(profile->endpoints.token.url, "https://fixed.example/token");
  EXPECT_EQ(profile->client.auth, std::vector{provider::ClientAuth::kPost});
  EXPECT_EQ(profile->grants, std::vector{provider::Grant::kPassword});
  EXPECT_EQ(profile->revoke.how, provider::RevokeHow::kNone);
}

TEST(Metadata, CannotTakeBackWhatTheFileAsksFor) {
  provider::Profile given;
  given.authorize.iss_required = true;
  given.authorize.push_required = true;
  given.answer.id_token_algorithms = {"PS256"};
  given.facts = {{"answer.id_token_algorithms", "[\"PS256\"]", "f.toml", 1, ""}};
  const auto profile = applied(R"({"issuer":"https://i.example","authorization_response_iss_parameter_supported":false,
                                   "require_pushed_authorization_requests":"no",
                                   "id_token_signing_alg_values_supported":["RS256"]})",
                               "https://i.example", given);
  ASSERT_TRUE(profile);
  EXPECT_TRUE(profile->authorize.iss_required);
  EXPECT_TRUE(profile->authorize.push_required);
  EXPECT_EQ(profile->answer.id_token_algorithms, provider::Strings{"PS256"});
  const auto plain = applied(R"({"issuer":"https://i.example","authorization_response_iss_parameter_supported":"true",
                                 "require_pushed_authorization_requests":1,"code_challenge_methods_supported":"S256"})",
                             "https://i.example");
  ASSERT_TRUE(plain);
  EXPECT_FALSE(plain->authorize.iss_required) << "only a boolean says so";
  EXPECT_FALSE(plain->authorize.push_required);
  EXPECT_TRUE(plain->authorize.offered_challenges.empty());
}

TEST(Metadata, TheIssuerMustBeExactlyOurs) {
  for (const char* issuer : {"https://server.example.com/", "https://SERVER.example.com", "http://server.example.com",
                             "https://evil.example", ""}) {
    EXPECT_FALSE(applied(kDocument, issuer)) << issuer;
  }
  EXPECT_FALSE(applied(R"({"token_endpoint":"https://server.example.com/token"})"));
  EXPECT_FALSE(applied(R"({"issuer":["https://server.example.com"]})"));
}

TEST(Metadata, EndpointsAreHttps) {
  for (const char* url : {"http://i.example/token", "ftp://i.example/", "javascript:alert(1)", "//i.example/token",
                          "https://u:p@i.example/", "https://{host}/token", "https://i.example/#x"}) {
    EXPECT_FALSE(applied(with_endpoint(url), "https://i.example")) << url;
  }
  EXPECT_TRUE(applied(with_endpoint("https://other.example/token"), "https://i.example")) << "another host is allowed";
  const std::string loopback = with_endpoint("http://127.0.0.1:8080/token", "http://127.0.0.1:8080");
  EXPECT_FALSE(applied(loopback, "http://127.0.0.1:8080"));
  EXPECT_TRUE(applied(loopback, "http://127.0.0.1:8080", {}, true));
}

TEST(Metadata, WhatIsNotADocumentIsRefusedWithoutQuotingIt) {
  for (const char* body : {"", "[]", "{", "<html>secret-page</html>", "\"text\"", "7"}) {
    const auto profile = applied(body);
    ASSERT_FALSE(profile) << body;
    EXPECT_EQ(profile.error().message().find("secret-page"), std::string::npos);
  }
  EXPECT_FALSE(apply_metadata({}, "https://server.example.com", answer(404, kDocument), false));
}

}  // namespace
}  // namespace credsync::oauth
