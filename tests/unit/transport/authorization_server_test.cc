// The authorization server over HTTPS, against a provider that answers by path: discovery, pushed requests, device codes,
// and who signed in.
#include "daemon/oauth/https_authorization_server.h"

#include <map>
#include <mutex>

#include "tests/fakes/waiting_executor.h"
#include "tests/unit/oauth/signing.h"
#include "tests/unit/transport/transport_fixture.h"

namespace credsync::test {
namespace {

using namespace credsync::oauth;
using oauth::testing::key_set;
using oauth::testing::SigningKey;

constexpr const char* kRedirect = "http://127.0.0.1:8123/callback";

struct Reply {
  int status = 200;
  std::string body;
};

// Answers by path; what it has no reply for is 404. Replies are changed only between calls.
class Provider {
 public:
  explicit Provider(ServerTls tls)
      : server_(
            [this](Peer& peer) {
              if (!peer.handshake()) return;
              for (std::string request = peer.read_request(); !request.empty(); request = peer.read_request())
                answer(peer, request);
            },
            tls) {}

  const Server& server() const { return server_; }
  std::string url(const std::string& path) const {
    return "https://provider.test:" + std::to_string(server_.port()) + path;
  }
  void set(const std::string& path, std::string body, int status = 200) {
    const std::lock_guard lock(mutex_);
    replies_[path] = {status, std::move(body)};
  }
  std::vector<std::string> seen(const std::string& path) const {
    const std::lock_guard lock(mutex_);
    const auto found = requests_.find(path);
    return found == requests_.end() ? std::vector<std::string>() : found->second;
  }

 private:
  void answer(Peer& peer, const std::string& request) {
    const std::size_t start = request.find(' ') + 1;
    const std::string path = request.substr(start, request.find_first_of(" ?", start) - start);
    Reply reply{404, "{}"};
    {
      const std::lock_guard lock(mutex_);
      requests_[path].push_back(request);
      if (const auto found = replies_.find(path); found != replies_.end()) reply = found->second;
    }
    peer.write("HTTP/1.1 " + std::to_string(reply.status) + " X\r\nContent-Type: application/json\r\nContent-Length: " +
               std::to_string(reply.body.size()) + "\r\n\r\n" + reply.body);
  }

  mutable std::mutex mutex_;
  std::map<std::string, Reply> replies_;
  std::map<std::string, std::vector<std::string>> requests_;
  Server server_;  // last: its threads use the rest
};

const SigningKey& issuer_key() {
  static const SigningKey kKey(SigningKey::Kind::kP256, "key-1");
  return kKey;
}

class AuthorizationServerTest : public TransportTest {
 protected:
  AuthorizationServerTest() {
    profile_.id = "p";
    profile_.endpoints.authorize.url = provider_.url("/authorize");
    profile_.endpoints.token.url = provider_.url("/token");
    profile_.client.auth = {provider::ClientAuth::kNone};
    account_.name = "me";
    account_.client_id = "s6BhdRkqt3";
    account_.ca_file = ca_file_;
    account_.scopes = {"openid"};
  }

  // The profile now has an issuer, whose metadata has these members more.
  void discover(const std::string& more = "") {
    profile_.issuer = issuer_;
    provider_.set("/.well-known/oauth-authorization-server",
                  R"({"issuer":")" + issuer_ + R"(","jwks_uri":")" + provider_.url("/jwks") + "\"" + more + "}");
    provider_.set("/jwks", key_set(issuer_key().jwk()));
  }

  std::shared_ptr<const config::Account> account() {
    account_.profile = std::make_shared<const provider::Profile>(profile_);
    return std::make_shared<const config::Account>(account_);
  }

  std::variant<AuthorizeAnswer, Failure> authorize(bool implicit = false) {
    AuthorizeCall call;
    call.account = account();
    call.implicit = implicit;
    call.redirect_uri = kRedirect;
    call.secrets = make_authorize_secrets(*call.account->profile, call.account->scopes, implicit, random_);
    std::optional<std::variant<AuthorizeAnswer, Failure>> got;
    server_.authorize(std::move(call), [&](auto answer) { got.emplace(std::move(answer)); });
    loop_.run_one();
    return std::move(*got);
  }
  std::string url_of(const std::variant<AuthorizeAnswer, Failure>& answer) {
    const auto* good = std::get_if<AuthorizeAnswer>(&answer);
    EXPECT_NE(good, nullptr) << std::get<Failure>(answer).words;
    return good != nullptr ? std::string(good->url.expose()) : "";
  }

  Identified identify(const std::string& id_token, const std::string& nonce = "n-1", const std::string& subject = "") {
    IdentifyCall call;
    call.account = account();
    call.tokens.access_token = Secret("access-token-1");
    call.tokens.refresh_token = Secret("refresh-token-1");
    call.tokens.id_token = Secret(id_token);
    call.tokens.subject = subject;
    call.nonce = Secret(nonce);
    std::optional<Identified> got;
    server_.identify(std::move(call), [&](Identified answer) { got.emplace(std::move(answer)); });
    loop_.run_one();
    EXPECT_EQ(got->tokens.access_token.expose(), "access-token-1") << "whatever came of it, the tokens are not lost";
    EXPECT_EQ(got->tokens.refresh_token.expose(), "refresh-token-1");
    if (got->failure) {
      EXPECT_EQ(got->failure->words.find("access-token-1"), std::string::npos);
    }
    return std::move(*got);
  }
  std::string payload(const std::string& sub = "user-1", const std::string& nonce = "n-1") {
    const std::int64_t now = unix_seconds(clock_.wall());
    return R"({"iss":")" + issuer_ + R"(","aud":"s6BhdRkqt3","sub":")" + sub + R"(","nonce":")" + nonce +
           R"(","email":"me@example.org","iat":)" + std::to_string(now) + ",\"exp\":" + std::to_string(now + 300) + "}";
  }

  Provider provider_{tls()};
  std::string issuer_ = provider_.url("");
  provider::Profile profile_;
  config::Account account_;
  SystemRandom random_;
  fakes::WaitingExecutor loop_;
  Discovery discovery_{transport_, clock_};
  WorkerPool workers_{2};
  HttpsAuthorizationServer server_{transport_, discovery_, workers_, loop_, clock_};
};

TEST_F(AuthorizationServerTest, SendsTheBrowserWithoutAskingAnybody) {
  const auto answer = authorize();
  EXPECT_EQ(url_of(answer).find(provider_.url("/authorize?client_id=s6BhdRkqt3&")), 0u) << url_of(answer);
  EXPECT_EQ(std::get<AuthorizeAnswer>(answer).issuer, "");
  EXPECT_FALSE(std::get<AuthorizeAnswer>(answer).iss_required);
  EXPECT_EQ(provider_.server().connections(), 0);
}

TEST_F(AuthorizationServerTest, RefreshesGoOnWhileTheIssuersMetadataIsDown) {
  const std::string metadata = "/.well-known/oauth-authorization-server";
  profile_.endpoints.token.url.clear();
  discover(R"(,"token_endpoint":")" + provider_.url("/token") + "\"");
  const auto me = account();
  const auto token_url = [&](Purpose purpose) {
    const auto completed = discovery_.complete(*me, purpose);
    const auto* profile = std::get_if<provider::Profile>(&completed);
    return profile != nullptr ? profile->endpoints.token.url : "";
  };
  ASSERT_EQ(token_url(Purpose::kTokens), provider_.url("/token"));
  provider_.set(metadata, "{}", 503);
  clock_.step(61min);
  EXPECT_EQ(token_url(Purpose::kTokens), provider_.url("/token"));
  const std::size_t asked = provider_.seen(metadata).size();
  EXPECT_EQ(token_url(Purpose::kTokens), provider_.url("/token"));
  EXPECT_EQ(provider_.seen(metadata).size(), asked) << "not at once again: it might hang";
  EXPECT_EQ(token_url(Purpose::kAuthorize), "") << "a sign-in must know what guards it";
  clock_.step(kMetadataRetry);
  EXPECT_EQ(token_url(Purpose::kTokens), provider_.url("/token"));
  EXPECT_GT(provider_.seen(metadata).size(), asked + 1);
  clock_.step(kMetadataLifeUnanswered);
  EXPECT_EQ(token_url(Purpose::kTokens), "") << "nothing is believed for ever";
}

TEST_F(AuthorizationServerTest, DiscoveryFillsTheGapsAndTheGuards) {
  profile_.endpoints.authorize.url.clear();
  profile_.endpoints.token.url.clear();
  discover(R"(,"authorization_endpoint":")" + provider_.url("/found") + R"(","token_endpoint":")" +
           provider_.url("/token") + R"(","authorization_response_iss_parameter_supported":true)");
  const auto answer = authorize();
  EXPECT_EQ(url_of(answer).find(provider_.url("/found?")), 0u);
  const auto& good = std::get<AuthorizeAnswer>(answer);
  EXPECT_EQ(good.issuer, issuer_);
  EXPECT_TRUE(good.iss_required);
  EXPECT_EQ(good.profile->endpoints.token.url, provider_.url("/token"));
}

TEST_F(AuthorizationServerTest, ABlockedDiscoveryDoesNotWeakenASignIn) {
  discover();
  provider_.set("/.well-known/oauth-authorization-server", "", 503);
  const auto answer = authorize();
  ASSERT_TRUE(std::holds_alternative<Failure>(answer)) << "its endpoints would do, its guards are not known";
  EXPECT_EQ(std::get<Failure>(answer).code, "discovery");
}

TEST_F(AuthorizationServerTest, AMetadataWithoutOurChallengeIsNoDowngrade) {
  discover(R"(,"code_challenge_methods_supported":["plain"])");
  const auto answer = authorize();
  ASSERT_TRUE(std::holds_alternative<Failure>(answer));
  EXPECT_NE(std::get<Failure>(answer).words.find("PKCE"), std::string::npos) << std::get<Failure>(answer).words;
}

TEST_F(AuthorizationServerTest, PushesWhereTheMetadataAsksForIt) {
  discover(R"(,"require_pushed_authorization_requests":true,"pushed_authorization_request_endpoint":")" +
           provider_.url("/par") + "\"");
  provider_.set("/par", R"({"request_uri":"urn:x:1","expires_in":60})", 201);
  const auto answer = authorize();
  EXPECT_EQ(url_of(answer), provider_.url("/authorize?client_id=s6BhdRkqt3&request_uri=urn%3Ax%3A1"));
  EXPECT_EQ(std::get<AuthorizeAnswer>(answer).expires_in, Duration(60s));
  ASSERT_EQ(provider_.seen("/par").size(), 1u);
  EXPECT_NE(provider_.seen("/par")[0].find("code_challenge_method=S256"), std::string::npos);
  provider_.set("/par", R"({"error":"invalid_redirect_uri","error_description":"not registered"})", 400);
  const auto refused = authorize();
  ASSERT_TRUE(std::holds_alternative<Failure>(refused));
  EXPECT_EQ(std::get<Failure>(refused).code, "invalid_redirect_uri");
}

TEST_F(AuthorizationServerTest, ASecretThatCannotBeReadIsToldBeforeTheBrowserOpens) {
  account_.client_secret.kind = config::SecretSource::Kind::kFile;
  account_.client_secret.path = "/nonexistent/secret";
  const auto answer = authorize();
  ASSERT_TRUE(std::holds_alternative<Failure>(answer));
  EXPECT_EQ(std::get<Failure>(answer).failure_class, FailureClass::kLocal);
}

TEST_F(AuthorizationServerTest, StartsADeviceSignIn) {
  profile_.endpoints.device.url = provider_.url("/device");
  provider_.set("/device", R"({"device_code":"d-1","user_code":"AB-CD","verification_uri":"https://a.example/d"})");
  const auto start = [&] {
    std::optional<std::variant<DeviceAnswer, Failure>> got;
    server_.start_device(account(), [&](auto answer) { got.emplace(std::move(answer)); });
    loop_.run_one();
    return std::move(*got);
  };
  const auto answer = start();
  ASSERT_TRUE(std::holds_alternative<DeviceAnswer>(answer)) << std::get<Failure>(answer).words;
  EXPECT_EQ(std::get<DeviceAnswer>(answer).user_code, "AB-CD");
  ASSERT_EQ(provider_.seen("/device").size(), 1u);
  EXPECT_NE(provider_.seen("/device")[0].find("scope=openid"), std::string::npos);
  provider_.set("/device", R"({"error":"invalid_client"})", 401);
  EXPECT_EQ(std::get<Failure>(start()).failure_class, FailureClass::kClient);
}

TEST_F(AuthorizationServerTest, SaysThatNeitherProfileNorIssuerKnowDeviceCodes) {
  discover();
  std::optional<std::variant<DeviceAnswer, Failure>> got;
  server_.start_device(account(), [&](auto answer) { got.emplace(std::move(answer)); });
  loop_.run_one();
  ASSERT_TRUE(std::holds_alternative<Failure>(*got));
  EXPECT_EQ(std::get<Failure>(*got).failure_class, FailureClass::kLocal);
  EXPECT_NE(std::get<Failure>(*got).words.find("no sign-in by device code"), std::string::npos)
      << std::get<Failure>(*got).words;
}

TEST_F(AuthorizationServerTest, BelievesAnIdTokenThatTheIssuerSigned) {
  discover();
  const Identified got = identify(issuer_key().sign("ES256", payload()));
  ASSERT_FALSE(got.failure) << got.failure->words;
  EXPECT_EQ(got.tokens.subject, "user-1");
  EXPECT_EQ(got.display, "me@example.org");
  identify(issuer_key().sign("ES256", payload("user-2")));
  EXPECT_EQ(provider_.seen("/jwks").size(), 1u) << "keys are remembered";
  EXPECT_EQ(provider_.seen("/.well-known/oauth-authorization-server").size(), 2u)
      << "by profile, which the test makes anew";
}

TEST_F(AuthorizationServerTest, AnIdTokenThatIsNotToBeBelievedEndsTheSignIn) {
  discover();
  const SigningKey other(SigningKey::Kind::kP256, "key-1");
  for (const std::string& token :
       {other.sign("ES256", payload()), issuer_key().sign("ES256", payload("user-1", "another")),
        oauth::testing::unsigned_part(R"({"alg":"none"})", payload()) + ".",
        oauth::testing::hs256(payload(), issuer_key().public_pem()), std::string("nonsense")}) {
    const Identified got = identify(token, "n-1", "told by the answer");
    ASSERT_TRUE(got.failure) << token;
    EXPECT_EQ(got.failure->code, "id-token");
    EXPECT_EQ(got.failure->failure_class, FailureClass::kRefused);
  }
}

TEST_F(AuthorizationServerTest, OurSecretIsReadOnlyForAnIdTokenThatItSigned) {
  discover();
  account_.client_secret.kind = config::SecretSource::Kind::kFile;
  account_.client_secret.path = "/nonexistent/secret";
  const Identified got = identify(issuer_key().sign("ES256", payload()));
  ASSERT_FALSE(got.failure) << got.failure->words;
  EXPECT_EQ(got.tokens.subject, "user-1");
  const Identified unknown = identify(oauth::testing::hs256(payload(), "secret"));
  ASSERT_TRUE(unknown.failure);
  EXPECT_EQ(unknown.failure->failure_class, FailureClass::kLocal);
}

TEST_F(AuthorizationServerTest, NewKeysAreAskedForOnceAMinuteAtMost) {
  discover();
  ASSERT_FALSE(identify(issuer_key().sign("ES256", payload())).failure);
  const SigningKey next(SigningKey::Kind::kP256, "key-2");
  provider_.set("/jwks", key_set(next.jwk()));
  EXPECT_TRUE(identify(next.sign("ES256", payload())).failure);
  EXPECT_TRUE(identify(next.sign("ES256", payload())).failure);
  EXPECT_EQ(provider_.seen("/jwks").size(), 1u) << "they were fetched just now";
  clock_.step(kKeysPause);
  const Identified got = identify(next.sign("ES256", payload()));
  EXPECT_FALSE(got.failure) << got.failure->words;
  EXPECT_EQ(provider_.seen("/jwks").size(), 2u);
}

TEST_F(AuthorizationServerTest, WithoutKeysNothingIsBelieved) {
  discover();
  const std::string token = issuer_key().sign("ES256", payload());
  for (const auto& [body, status] : {std::pair{"", 500}, std::pair{"{}", 200}, std::pair{"<html>", 200}}) {
    provider_.set("/jwks", body, status);
    const Identified got = identify(token);
    ASSERT_TRUE(got.failure) << body;
    EXPECT_EQ(got.failure->failure_class, FailureClass::kTransient);
    EXPECT_EQ(got.failure->code, "jwks");
  }
  provider_.set("/jwks", key_set(issuer_key().jwk()));
  EXPECT_FALSE(identify(token).failure) << "a failure is not remembered";
}

TEST_F(AuthorizationServerTest, AnImplicitAnswerIsBelievedByItsIdTokenOnly) {
  account_.grant = provider::Grant::kImplicit;
  EXPECT_TRUE(identify("").failure) << "none came";
  EXPECT_TRUE(identify(issuer_key().sign("ES256", payload())).failure) << "no keys to check it with";
  discover();
  EXPECT_TRUE(identify(issuer_key().sign("ES256", payload())).failure) << "no at_hash";
  account_.scopes = {"scores"};
  EXPECT_FALSE(identify("", "").failure) << "not OpenID at all";
}

TEST_F(AuthorizationServerTest, UserinfoTellsWhereThereIsNoIdToken) {
  profile_.endpoints.userinfo.url = provider_.url("/me");
  profile_.delivery = {"X-Auth-Token", "token "};
  provider_.set("/me", R"({"username":"johndoe","email":"john@example.com","full_name":"John Doe"})");
  Identified got = identify("");
  ASSERT_FALSE(got.failure);
  EXPECT_EQ(got.tokens.subject, "johndoe");
  EXPECT_EQ(got.display, "john@example.com");
  ASSERT_EQ(provider_.seen("/me").size(), 1u);
  EXPECT_EQ(provider_.seen("/me")[0].find("GET /me HTTP/1.1\r\n"), 0u);
  EXPECT_NE(provider_.seen("/me")[0].find("X-Auth-Token: token access-token-1\r\n"), std::string::npos);
  provider_.set("/me", R"({"data":{"id":4711,"name":"\u001b[31mMe\u202e access-token-1"}})");
  got = identify("");
  EXPECT_EQ(got.tokens.subject, "4711");
  EXPECT_EQ(got.display, "[31mMe [redacted]");
  got = identify("", "n-1", "told by the answer");
  EXPECT_EQ(got.tokens.subject, "told by the answer") << "it will be there next time, userinfo perhaps not";
}

TEST_F(AuthorizationServerTest, AFailingUserinfoIsNotFatal) {
  profile_.endpoints.userinfo.url = provider_.url("/me");
  for (const auto& [body, status] : {std::pair{R"({"sub":"x"})", 401}, std::pair{"[]", 200}, std::pair{"<html>", 200},
                                     std::pair{R"({"sub":{"a":1},"id":true})", 200}}) {
    provider_.set("/me", body, status);
    const Identified got = identify("");
    EXPECT_FALSE(got.failure) << body;
    EXPECT_EQ(got.tokens.subject, "") << body;
  }
  profile_.endpoints.userinfo.url = "https://provider.test:1/me";
  EXPECT_FALSE(identify("").failure);
}

}  // namespace
}  // namespace credsync::test
