// The authorization request: the mission providers' documents, the RFCs, and what must never be taken back.
#include "daemon/oauth/authorize_request.h"

#include <filesystem>

#include "tests/unit/config/config_fixture.h"
#include "tests/unit/oauth/oauth_testing.h"

namespace credsync::oauth {
namespace {

using namespace credsync::oauth::testing;
using provider::Pkce;
using provider::RequestKind;
using provider::StateUse;
using Fields = std::map<std::string, std::string>;

constexpr const char* kRedirect = "http://127.0.0.1:8123/callback";
// RFC 7636, appendix B.
constexpr const char* kVerifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
constexpr const char* kChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

provider::Profile server() {
  provider::Profile profile = plain_profile();
  profile.endpoints.authorize.url = "https://as.example/authorize";
  profile.endpoints.push.url = "https://as.example/par";
  return profile;
}

struct Asking {
  bool implicit = false;
  AuthorizeSecrets secrets{Secret("st-ate"), Secret("no-nce"), Secret(kVerifier)};
  std::vector<std::string> scopes = {"read", "write"};
  std::map<std::string, std::string> params;
  Vars vars;

  AuthorizeInput input() const { return {implicit, kRedirect, secrets, scopes, params}; }
  Result<Secret> url(const provider::Profile& profile, std::string_view client_id = "s6BhdRkqt3") const {
    fakes::FakeRandom random;
    return build_authorize_url(profile, vars, client_id, input(), random);
  }
  // The parameters; fails the test when there is no URL or it begins otherwise.
  Fields fields(const provider::Profile& profile, const std::string& begin = "https://as.example/authorize") const {
    const auto made = url(profile);
    EXPECT_TRUE(made) << (made ? "" : made.error().message());
    if (!made) return {};
    EXPECT_EQ(made->expose().substr(0, begin.size() + 1), begin + "?");
    return form_of(made->expose().substr(begin.size() + 1));
  }
  std::string refusal(const provider::Profile& profile) const {
    const auto made = url(profile);
    EXPECT_FALSE(made);
    return made ? "" : made.error().message();
  }
};

provider::Profile shipped(const std::string& id) {
  std::string folder = (std::filesystem::temp_directory_path() / "credsync-authorize-XXXXXX").string();
  config::Paths paths;
  paths.providers = ::mkdtemp(folder.data());
  config::copy_catalogue(paths.providers);
  const config::Loaded loaded = config::load(paths);
  std::filesystem::remove_all(paths.providers);
  return *loaded.config.profiles.at(id);
}

// Everything a real sign-in would make for this profile and these scopes.
Asking made_for(const provider::Profile& profile, std::vector<std::string> scopes, bool implicit = false) {
  fakes::FakeRandom random;
  Asking asking;
  asking.implicit = implicit;
  asking.secrets = make_authorize_secrets(profile, scopes, implicit, random);
  asking.scopes = std::move(scopes);
  return asking;
}

TEST(MissionAuthorize, FlatWithACode) {
  const auto flat = shipped("flat");
  const Asking asking = made_for(flat, {"account.public_profile", "scores"});
  const auto url = asking.url(flat);
  ASSERT_TRUE(url) << url.error().message();
  EXPECT_NE(url->expose().find("scope=account.public_profile+scores"), std::string_view::npos) << url->expose();
  const Fields fields = asking.fields(flat, "https://flat.io/auth/oauth");
  EXPECT_EQ(fields, (Fields{{"client_id", "s6BhdRkqt3"},
                            {"response_type", "code"},
                            {"state", std::string(asking.secrets.state.expose())},
                            {"scope", "account.public_profile scores"},
                            {"redirect_uri", kRedirect},
                            {"access_type", "offline"}}));
}

TEST(MissionAuthorize, FlatImplicit) {
  const auto flat = shipped("flat");
  const Fields fields = made_for(flat, {"scores"}, true).fields(flat, "https://flat.io/auth/oauth");
  EXPECT_EQ(fields.at("response_type"), "token");
  EXPECT_TRUE(fields.contains("state"));
  EXPECT_FALSE(fields.contains("code_challenge"));
}

TEST(MissionAuthorize, FfLogsWithPkce) {
  const auto fflogs = shipped("fflogs");
  const Asking asking = made_for(fflogs, {});
  const Fields fields = asking.fields(fflogs, "https://www.fflogs.com/oauth/authorize");
  EXPECT_EQ(fields, (Fields{{"client_id", "s6BhdRkqt3"},
                            {"code_challenge", s256_challenge(asking.secrets.verifier.expose())},
                            {"code_challenge_method", "S256"},
                            {"state", std::string(asking.secrets.state.expose())},
                            {"redirect_uri", kRedirect},
                            {"response_type", "code"}}));
  EXPECT_EQ(fields.at("code_challenge").find('='), std::string::npos);
  Asking japanese = made_for(fflogs, {});
  japanese.vars["host"] = "ja.fflogs.com";
  japanese.fields(fflogs, "https://ja.fflogs.com/oauth/authorize");
}

TEST(MissionAuthorize, ExampleHasItsThreeParameters) {
  const auto example = shipped("example");
  Asking asking = made_for(example, {});
  asking.vars["host"] = "example.com";
  EXPECT_EQ(asking.fields(example, "https://example.com/api/authorize.php"),
            (Fields{{"client_id", "s6BhdRkqt3"}, {"redirect_uri", kRedirect}, {"response_type", "code"}}));
}

TEST(Pkce, ChallengeIsThatOfTheRfc) {
  EXPECT_EQ(s256_challenge(kVerifier), kChallenge);
  const Fields fields = Asking().fields(server());
  EXPECT_EQ(fields.at("code_challenge"), kChallenge);
  EXPECT_EQ(fields.at("code_challenge_method"), "S256");
}

TEST(Pkce, PlainAndOffAreAsTheProfileSays) {
  provider::Profile profile = server();
  profile.authorize.pkce = Pkce::kPlain;
  EXPECT_EQ(Asking().fields(profile).at("code_challenge"), kVerifier);
  EXPECT_EQ(Asking().fields(profile).at("code_challenge_method"), "plain");
  profile.authorize.pkce = Pkce::kOff;
  EXPECT_FALSE(Asking().fields(profile).contains("code_challenge"));
}

TEST(Pkce, SecretsAreMadeAsTheyAreNeeded) {
  fakes::FakeRandom random;
  provider::Profile profile = server();
  const auto all = make_authorize_secrets(profile, {"openid"}, false, random);
  for (const Secret* secret : {&all.state, &all.nonce, &all.verifier}) {
    EXPECT_EQ(secret->size(), 43u);
    EXPECT_EQ(secret->expose().find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
              std::string_view::npos);
  }
  EXPECT_FALSE(same_secret(all.state, all.nonce));
  EXPECT_FALSE(same_secret(all.state, all.verifier));
  EXPECT_TRUE(make_authorize_secrets(profile, {}, false, random).nonce.empty());
  EXPECT_TRUE(make_authorize_secrets(profile, {}, true, random).verifier.empty());
  profile.authorize.pkce = Pkce::kOff;
  profile.authorize.state = StateUse::kOff;
  profile.authorize.nonce = true;
  const auto few = make_authorize_secrets(profile, {}, false, random);
  EXPECT_TRUE(few.state.empty() && few.verifier.empty());
  EXPECT_FALSE(few.nonce.empty());
}

// Each of these would make the sign-in weaker than the profile says.
TEST(Downgrade, IsNeverSilent) {
  struct Case {
    const char* what;
    void (*bend)(provider::Profile&, Asking&);
  };
  using P = provider::Profile;
  const Case cases[] = {
      {"challenge omitted", [](P& p, Asking&) { p.parameters[RequestKind::kAuthorize].omit = {"code_challenge"}; }},
      {"method omitted", [](P& p, Asking&) { p.parameters[RequestKind::kAuthorize].omit = {"code_challenge_method"}; }},
      {"method set",
       [](P& p, Asking&) {
         p.parameters[RequestKind::kAuthorize].set = {{"code_challenge_method", "plain"}};
       }},
      {"state set",
       [](P& p, Asking&) {
         p.parameters[RequestKind::kAuthorize].set = {{"state", "x"}};
       }},
      {"state omitted", [](P& p, Asking&) { p.parameters[RequestKind::kAuthorize].omit = {"state"}; }},
      {"nonce omitted",
       [](P& p, Asking& a) {
         a.scopes = {"openid"};
         p.parameters[RequestKind::kAuthorize].omit = {"nonce"};
       }},
      {"method by the account",
       [](P&, Asking& a) {
         a.params = {{"code_challenge_method", "plain"}};
       }},
      {"state by the account",
       [](P&, Asking& a) {
         a.params = {{"state", "x"}};
       }},
      {"redirect_uri by the account",
       [](P&, Asking& a) {
         a.params = {{"redirect_uri", "https://evil.example"}};
       }},
      {"renamed client_id by the account",
       [](P& p, Asking& a) {
         p.parameters[RequestKind::kAuthorize].rename = {{"client_id", "client_key"}};
         a.params = {{"client_key", "x"}};
       }},
      {"metadata without S256", [](P& p, Asking&) { p.authorize.offered_challenges = {"plain"}; }},
      {"no verifier", [](P&, Asking& a) { a.secrets.verifier = {}; }},
      {"short verifier", [](P&, Asking& a) { a.secrets.verifier = Secret(std::string(42, 'a')); }},
      {"long verifier", [](P&, Asking& a) { a.secrets.verifier = Secret(std::string(129, 'a')); }},
      {"odd verifier", [](P&, Asking& a) { a.secrets.verifier = Secret(std::string(43, '+')); }},
      {"no state", [](P&, Asking& a) { a.secrets.state = {}; }},
      {"no nonce",
       [](P&, Asking& a) {
         a.scopes = {"openid"};
         a.secrets.nonce = {};
       }},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.what);
    provider::Profile profile = server();
    Asking asking;
    one.bend(profile, asking);
    const std::string words = asking.refusal(profile);
    EXPECT_EQ(words.find("st-ate"), std::string::npos);
    EXPECT_EQ(words.find(kVerifier), std::string::npos);
  }
}

TEST(Authorize, WhatTheMetadataOffersIsNoHindrance) {
  provider::Profile profile = server();
  profile.authorize.offered_challenges = {"plain", "S256"};
  EXPECT_EQ(Asking().fields(profile).at("code_challenge_method"), "S256");
  profile.authorize.pkce = Pkce::kOff;
  profile.authorize.offered_challenges = {"plain"};
  EXPECT_FALSE(Asking().fields(profile).contains("code_challenge"));
}

TEST(Authorize, ProfileAndAccountAddAndRename) {
  provider::Profile profile = server();
  profile.endpoints.authorize.url = "https://as.example/authorize?theme=dark";
  profile.vars["tenant"] = {"", {}, "t1"};
  profile.authorize.scope_separator = ",";
  profile.authorize.scope_parameter = "user_scope";
  profile.parameters[RequestKind::kAuthorize].set = {{"audience", "https://{tenant}.example"}, {"prompt", "consent"}};
  profile.parameters[RequestKind::kAuthorize].rename = {{"client_id", "client_key"}, {"state", "csrf"}};
  Asking asking;
  asking.params = {{"prompt", "login"}, {"hd", "a b&c"}};
  const Fields fields = asking.fields(profile);
  EXPECT_EQ(fields.at("theme"), "dark");
  EXPECT_EQ(fields.at("user_scope"), "read,write");
  EXPECT_EQ(fields.at("audience"), "https://t1.example");
  EXPECT_EQ(fields.at("client_key"), "s6BhdRkqt3");
  EXPECT_EQ(fields.at("csrf"), "st-ate");
  EXPECT_EQ(fields.at("prompt"), "login") << "the account's own word";
  EXPECT_EQ(fields.at("hd"), "a b&c");
  EXPECT_FALSE(fields.contains("client_id"));
}

TEST(Authorize, OpenIdAsksForANonceAndImplicitForAnIdToken) {
  Asking asking;
  asking.scopes = {"openid", "email"};
  EXPECT_EQ(asking.fields(server()).at("nonce"), "no-nce");
  EXPECT_EQ(asking.fields(server()).at("response_type"), "code");
  asking.implicit = true;
  EXPECT_EQ(asking.fields(server()).at("response_type"), "id_token token");
}

TEST(Authorize, IsBoundedAndNeedsAnEndpoint) {
  provider::Profile profile = server();
  profile.endpoints.authorize.url.clear();
  Asking().refusal(profile);
  Asking many;
  many.scopes.assign(2000, "https://scope.example/abc");
  many.refusal(server());
}

TEST(Push, SendsTheSameParametersWithTheClientsProof) {
  fakes::FakeRandom random;
  provider::Profile profile = server();
  profile.client.auth = {provider::ClientAuth::kBasic};
  profile.parameters[RequestKind::kAuthorize].set = {{"prompt", "consent"}};
  const Asking asking;
  auto request = build_push_request(profile, {}, plain_client(), asking.input(), kSent, random);
  ASSERT_TRUE(request) << request.error().message();
  EXPECT_EQ(request->url, "https://as.example/par");
  EXPECT_EQ(request->method, "POST");
  EXPECT_TRUE(header_of(*request, "Authorization").starts_with("Basic "));
  EXPECT_EQ(form_of(request->body.text()), asking.fields(profile));
  profile.endpoints.push.url.clear();
  EXPECT_FALSE(build_push_request(profile, {}, plain_client(), asking.input(), kSent, random));
}

TEST(Push, AnswerGivesTheShortAddress) {
  const auto pushed = read_push_answer(
      server(), answer(201, R"({"request_uri":"urn:ietf:params:oauth:request_uri:bwc4","expires_in":90})"), {});
  ASSERT_TRUE(std::holds_alternative<Pushed>(pushed));
  const Pushed& got = std::get<Pushed>(pushed);
  EXPECT_EQ(got.expires_in, Duration(90s));
  fakes::FakeRandom random;
  const auto url = build_pushed_url(server(), {}, "s6BhdRkqt3", got.request_uri, random);
  ASSERT_TRUE(url);
  EXPECT_EQ(url->expose(),
            "https://as.example/authorize?client_id=s6BhdRkqt3&request_uri="
            "urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3Abwc4");
}

TEST(Push, LifetimesAreBounded) {
  const std::pair<const char*, Duration> cases[] = {{"-1", 5s},        {"0", 5s},     {"1e300", 1h},
                                                    {"\"600\"", 600s}, {"null", 60s}, {"\"soon\"", 60s}};
  for (const auto& [text, expected] : cases) {
    const auto pushed = read_push_answer(
        server(), answer(201, std::string(R"({"request_uri":"urn:x","expires_in":)") + text + "}"), {});
    ASSERT_TRUE(std::holds_alternative<Pushed>(pushed)) << text;
    EXPECT_EQ(std::get<Pushed>(pushed).expires_in, expected) << text;
  }
}

TEST(Push, RefusalsAreClassified) {
  struct Case {
    int status;
    const char* body;
    FailureClass expected;
  };
  const Case cases[] = {
      {400, R"({"error":"invalid_request","error_description":"st-ate is odd"})", FailureClass::kRefused},
      {401, R"({"error":"invalid_client"})", FailureClass::kClient},
      {503, "", FailureClass::kTransient},
      {201, R"({"expires_in":90})", FailureClass::kRefused},
      {201, R"({"request_uri":7})", FailureClass::kRefused},
      {201, R"({"request_uri":"a\nb"})", FailureClass::kRefused},
      {200, "<html>hello</html>", FailureClass::kTransient},
      {302, "", FailureClass::kRefused},
  };
  for (const Case& one : cases) {
    const auto pushed = read_push_answer(server(), answer(one.status, one.body), {"st-ate"});
    ASSERT_TRUE(std::holds_alternative<Failure>(pushed)) << one.body;
    EXPECT_EQ(std::get<Failure>(pushed).failure_class, one.expected) << one.body;
    EXPECT_EQ(std::get<Failure>(pushed).words.find("st-ate"), std::string::npos);
    EXPECT_FALSE(std::get<Failure>(pushed).words.empty());
  }
}

}  // namespace
}  // namespace credsync::oauth
