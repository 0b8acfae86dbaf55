// What a browser, another process or a person's clipboard can bring: only the answer to this very sign-in is taken.
#include "daemon/oauth/callback.h"

#include "tests/unit/oauth/oauth_testing.h"

namespace credsync::oauth {
namespace {

using namespace credsync::oauth::testing;
using provider::StateUse;

constexpr const char* kServer = "https://as.example";
constexpr const char* kReturn = "http://127.0.0.1:8123/callback";

class Callback : public ::testing::Test {
 protected:
  Callback() {
    expected_.profile = &profile_;
    expected_.state = Secret("xyz-state-1234");
    expected_.issuer = kServer;
    expected_.redirect_uri = kReturn;
    expected_.scopes = {"scores"};
  }

  CallbackOutcome read(std::string_view parameters) { return read_callback(parameters, expected_, kReceived); }
  CallbackOutcome paste(std::string_view text) { return read_pasted(text, expected_, kReceived); }

  static std::string code_of(const CallbackOutcome& outcome) {
    const auto* code = std::get_if<CallbackCode>(&outcome);
    const auto* refused = std::get_if<CallbackRefused>(&outcome);
    EXPECT_NE(code, nullptr) << (refused != nullptr ? refused->words : "tokens");
    return code != nullptr ? std::string(code->code.expose()) : "";
  }
  static CallbackRefused refusal_of(const CallbackOutcome& outcome) {
    const auto* refused = std::get_if<CallbackRefused>(&outcome);
    EXPECT_NE(refused, nullptr) << "taken, where a refusal was due";
    if (refused == nullptr) return {};
    EXPECT_FALSE(refused->words.empty());
    EXPECT_LE(refused->words.size(), 300u);
    EXPECT_EQ(refused->words.find("xyz-state-1234"), std::string::npos) << refused->words;
    EXPECT_EQ(refused->words.find('\x1b'), std::string::npos);
    return *refused;
  }

  provider::Profile profile_ = plain_profile();
  CallbackExpectation expected_;
};

TEST_F(Callback, GivesTheCode) {
  EXPECT_EQ(code_of(read("code=SplxlOBeZQQYbYS6WxSbIA&state=xyz-state-1234")), "SplxlOBeZQQYbYS6WxSbIA");
  EXPECT_EQ(code_of(read("state=xyz-state-1234&code=4%2F0A%26b%3D")), "4/0A&b=");
  EXPECT_EQ(code_of(read("&&state=xyz-state-1234&&code=a&unknown=1&flag&")), "a");
}

TEST_F(Callback, AnotherStateIsForeign) {
  for (const char* text : {"code=a", "code=a&state=", "code=a&state=xyz-state-1235", "code=a&state=xyz-state-123",
                           "code=a&state=XYZ-STATE-1234", "error=access_denied", "error=access_denied&state=other", "",
                           "code=a&state=xyz-state-1234%00"}) {
    const CallbackRefused refused = refusal_of(read(text));
    EXPECT_TRUE(refused.foreign) << text;
    EXPECT_EQ(refused.code, "state") << text;
  }
}

TEST_F(Callback, WhatComesTwiceRefusesTheWhole) {
  for (const char* text : {"code=a&code=b&state=xyz-state-1234", "code=a&state=xyz-state-1234&state=other",
                           "code=a&state=other&state=xyz-state-1234", "code=a&co%64e=b&state=xyz-state-1234",
                           "x=1&x=1&code=a&state=xyz-state-1234"}) {
    const CallbackRefused refused = refusal_of(read(text));
    EXPECT_EQ(refused.code, "duplicate") << text;
    EXPECT_TRUE(refused.foreign) << text;
  }
}

TEST_F(Callback, MalformedIsRefused) {
  for (const char* text :
       {"code=%zz&state=xyz-state-1234", "code=%4&state=xyz-state-1234", "%=1&state=xyz-state-1234"}) {
    EXPECT_EQ(refusal_of(read(text)).code, "malformed") << text;
  }
  // With our state it was our answer, and the sign-in is over.
  for (const char* text : {"state=xyz-state-1234", "code=&state=xyz-state-1234", "code=a%00b&state=xyz-state-1234",
                           "code=a%0Ab&state=xyz-state-1234", "code=%C3%A4&state=xyz-state-1234"}) {
    const CallbackRefused refused = refusal_of(read(text));
    EXPECT_EQ(refused.code, "malformed") << text;
    EXPECT_FALSE(refused.foreign) << text;
  }
}

TEST_F(Callback, IsBounded) {
  const std::string fits = "state=xyz-state-1234&code=" + std::string(kMaxCallbackBytes - 26, 'a');
  ASSERT_EQ(fits.size(), kMaxCallbackBytes);
  EXPECT_EQ(code_of(read(fits)).size(), kMaxCallbackBytes - 26);
  EXPECT_TRUE(refusal_of(read(fits + "a")).foreign);
  std::string many = "state=xyz-state-1234&code=a";
  for (int i = 0; i < 100; ++i)
    many += "&p" + std::to_string(i) + "=1";
  EXPECT_EQ(refusal_of(read(many)).code, "malformed");
}

TEST_F(Callback, StateThatIsNotEchoedMayLackButNotDiffer) {
  profile_.authorize.state = StateUse::kNotEchoed;
  EXPECT_EQ(code_of(read("code=a")), "a");
  EXPECT_EQ(code_of(read("code=a&state=xyz-state-1234")), "a");
  EXPECT_TRUE(refusal_of(read("code=a&state=other")).foreign);
}

TEST_F(Callback, WithoutStateAnAnswerThatHasOneIsAnothers) {
  profile_.authorize.state = StateUse::kOff;
  expected_.state = {};
  EXPECT_EQ(code_of(read("code=a")), "a");
  EXPECT_EQ(code_of(read("code=a&state=")), "a");
  EXPECT_TRUE(refusal_of(read("code=a&state=x")).foreign);
  EXPECT_TRUE(refusal_of(read("nothing=1")).foreign);
}

TEST_F(Callback, MixUpIsRefusedBeforeTheCodeIsUsed) {
  EXPECT_EQ(code_of(read("code=a&state=xyz-state-1234")), "a") << "not advertised, not there";
  EXPECT_EQ(code_of(read("code=a&state=xyz-state-1234&iss=https%3A%2F%2Fas.example")), "a");
  for (const char* iss :
       {"https%3A%2F%2Fevil.example", "https%3A%2F%2Fas.example%2F", "https%3A%2F%2FAS.example", ""}) {
    const CallbackRefused refused = refusal_of(read("code=a&state=xyz-state-1234&iss=" + std::string(iss)));
    EXPECT_EQ(refused.code, "issuer") << iss;
    EXPECT_FALSE(refused.foreign);
  }
  expected_.iss_required = true;
  EXPECT_EQ(refusal_of(read("code=a&state=xyz-state-1234")).code, "issuer");
  EXPECT_EQ(refusal_of(read("error=access_denied&state=xyz-state-1234&iss=https%3A%2F%2Fevil.example")).code, "issuer");
  EXPECT_EQ(code_of(read("code=a&state=xyz-state-1234&iss=https%3A%2F%2Fas.example")), "a");
  EXPECT_TRUE(refusal_of(read("code=a&state=other")).foreign) << "the state comes first";
}

TEST_F(Callback, AnErrorOfNothingThatCanBeShownStillHasWords) {
  EXPECT_FALSE(refusal_of(read("error=%01&state=xyz-state-1234")).words.empty());
}

TEST_F(Callback, AnIssuerThatRepeatsStateOrCodeDoesNotShowThem) {
  for (const char* secret : {"xyz-state-1234", "SplxlOBeZQ"}) {
    const CallbackRefused refused = refusal_of(
        read("code=SplxlOBeZQ&state=xyz-state-1234&iss=https%3A%2F%2Fevil.example%2F" + std::string(secret)));
    EXPECT_EQ(refused.words.find(secret), std::string::npos) << refused.words;
    EXPECT_NE(refused.words.find("evil.example"), std::string::npos) << refused.words;
  }
}

TEST_F(Callback, WithoutAKnownIssuerIssIsNotLookedAt) {
  expected_.issuer.clear();
  EXPECT_EQ(code_of(read("code=a&state=xyz-state-1234&iss=https%3A%2F%2Fanybody.example")), "a");
}

TEST_F(Callback, ProviderErrorsAreToldCleaned) {
  CallbackRefused refused =
      refusal_of(read("error=access_denied&error_description=The+user+said+no&state=xyz-state-1234&code=abcd"));
  EXPECT_FALSE(refused.foreign);
  EXPECT_EQ(refused.code, "access_denied");
  EXPECT_EQ(refused.words, "consent was denied: The user said no");
  refused = refusal_of(
      read("error=x%1b%5b31mred&error_description=%1b]0;a%07xyz-state-1234+%E2%80%AEabc&state=xyz-state-1234"));
  EXPECT_EQ(refused.code, "x[31mred");
  EXPECT_EQ(refused.words, "]0;a[redacted] abc");
  refused = refusal_of(read("error=" + std::string(2000, 'e') + "&state=xyz-state-1234"));
  EXPECT_EQ(refused.code.size(), 64u);
  refused = refusal_of(read("error=server_error&state=xyz-state-1234"));
  EXPECT_EQ(refused.words, "the provider has a fault: server_error");
}

TEST_F(Callback, OtherNamesAndKeptFields) {
  profile_.authorize.code_parameter = "auth_code";
  profile_.authorize.keep = {"realmId", "accounts-server", "odd"};
  const auto outcome =
      read("auth_code=a&code=b&state=xyz-state-1234&realmId=123&accounts-server=https%3A%2F%2Fa.eu&other=1&odd=a%0Ab");
  EXPECT_EQ(code_of(outcome), "a");
  EXPECT_EQ(std::get<CallbackCode>(outcome).kept,
            (std::map<std::string, std::string>{{"realmId", "123"}, {"accounts-server", "https://a.eu"}}));
}

class Implicit : public Callback {
 protected:
  Implicit() { expected_.implicit = true; }
  static const account::TokenSet* tokens_in(const CallbackOutcome& outcome) {
    const auto* tokens = std::get_if<CallbackTokens>(&outcome);
    EXPECT_NE(tokens, nullptr) << (std::holds_alternative<CallbackRefused>(outcome)
                                       ? std::get<CallbackRefused>(outcome).words
                                       : "a code");
    return tokens != nullptr ? &tokens->tokens : nullptr;
  }
};

// Flat's own example, with the state that the text says is returned.
TEST_F(Implicit, FlatsFragment) {
  const auto outcome =
      read("scope=account.public_profile&expires_in=86400&access_token=fl-access-token&state=xyz-state-1234");
  const auto* tokens = tokens_in(outcome);
  ASSERT_NE(tokens, nullptr);
  EXPECT_EQ(tokens->access_token.expose(), "fl-access-token");
  EXPECT_EQ(tokens->token_type, "Bearer");
  EXPECT_EQ(tokens->scope, std::vector<std::string>{"account.public_profile"});
  EXPECT_EQ(tokens->obtained_at, kReceived);
  EXPECT_EQ(tokens->expires_at, kReceived + Duration(86400s));
  EXPECT_TRUE(refusal_of(read("scope=scores&expires_in=86400&access_token=fl-access-token")).foreign)
      << "without a state it may be anybody's";
}

TEST_F(Implicit, TheTokenEndpointsEnvelopeDoesNotHoldHere) {
  profile_.answer.root = "data.0";
  profile_.answer.success = {"success", "true"};
  profile_.answer.fields = {{"access_token", "accessToken"}};
  profile_.answer.expires_unit = provider::TimeUnit::kMilliseconds;
  profile_.authorize.keep = {"realm"};
  const auto outcome = read("access_token=a-token&refresh_token=r-token&expires_in=60&realm=x&state=xyz-state-1234");
  const auto* tokens = tokens_in(outcome);
  ASSERT_NE(tokens, nullptr);
  EXPECT_EQ(tokens->access_token.expose(), "a-token");
  EXPECT_EQ(tokens->scope, std::vector<std::string>{"scores"}) << "as asked";
  EXPECT_EQ(tokens->expires_at, kReceived + Duration(60s));
  EXPECT_TRUE(tokens->refresh_token.empty());
  EXPECT_EQ(std::get<CallbackTokens>(outcome).kept.at("realm"), "x");
}

TEST_F(Implicit, WithoutATokenItIsNoAnswer) {
  for (const char* text : {"state=xyz-state-1234", "code=a&state=xyz-state-1234", "access_token=&state=xyz-state-1234",
                           "access_token=a%0d%0ab&state=xyz-state-1234"}) {
    EXPECT_EQ(refusal_of(read(text)).code, "malformed") << text;
  }
}

TEST_F(Callback, PastedInEveryForm) {
  for (const char* text : {"http://127.0.0.1:8123/callback?code=a&state=xyz-state-1234",
                           "  \thttp://127.0.0.1:8123/callback?code=a&state=xyz-state-1234\r\n",
                           "http://127.0.0.1:8123/callback?code=a&state=xyz-state-1234#_=_",
                           "?code=a&state=xyz-state-1234", "code=a&state=xyz-state-1234",
                           "#code=a&state=xyz-state-1234", "http://127.0.0.1:8123/callback#code=a&state=xyz-state-1234",
                           "HTTP://127.0.0.1:8123/callback?code=a&state=xyz-state-1234"}) {
    EXPECT_EQ(code_of(paste(text)), "a") << text;
  }
}

TEST_F(Callback, PastedFromElsewhereIsForeign) {
  for (const char* text : {"http://127.0.0.1:8124/callback?code=a&state=xyz-state-1234",
                           "http://127.0.0.1:8123/callback2?code=a&state=xyz-state-1234",
                           "http://127.0.0.1:8123/?code=a&state=xyz-state-1234",
                           "https://127.0.0.1:8123/callback?code=a&state=xyz-state-1234",
                           "http://127.0.0.1:8123@evil.example/callback?code=a&state=xyz-state-1234",
                           "http://127.0.0.1:8123/callback", "hello", "", "   ", "SplxlOBeZQQYbYS6WxSbIA",
                           "http://127.0.0.1:8123/callback?code=a&state=other", "http://127.0.0.1:8123/callback?"}) {
    EXPECT_TRUE(refusal_of(paste(text)).foreign) << text;
  }
  EXPECT_TRUE(refusal_of(paste(std::string(kMaxCallbackBytes + 1, ' '))).foreign);
}

TEST_F(Callback, PastedAsBrowsersWriteIt) {
  expected_.redirect_uri = "https://App.example:443";
  EXPECT_EQ(code_of(paste("https://app.example/?code=a&state=xyz-state-1234")), "a");
  expected_.redirect_uri = "com.example.app:/oauth";
  EXPECT_EQ(code_of(paste("com.example.app:/oauth?code=a&state=xyz-state-1234")), "a");
  expected_.redirect_uri = "https://app.example/cb?from=provider";
  EXPECT_EQ(code_of(paste("https://app.example/cb?from=provider&code=a&state=xyz-state-1234")), "a");
}

TEST_F(Implicit, PastedFragment) {
  const auto outcome = paste("http://127.0.0.1:8123/callback?x=1#access_token=tok-1&state=xyz-state-1234");
  ASSERT_NE(tokens_in(outcome), nullptr);
  EXPECT_EQ(tokens_in(outcome)->access_token.expose(), "tok-1");
  EXPECT_EQ(refusal_of(paste("http://127.0.0.1:8123/callback?error=access_denied&state=xyz-state-1234")).code,
            "access_denied");
}

TEST_F(Callback, SurvivesRandomBytes) {
  fakes::FakeRandom random(7);
  for (int i = 0; i < 2000; ++i) {
    unsigned char bytes[64];
    random.fill(bytes);
    std::string text(reinterpret_cast<const char*>(bytes), 1 + bytes[0] % 63);
    if (i % 2 == 0) text = "state=xyz-state-1234&" + text;
    for (const auto& outcome : {read(text), paste(text)}) {
      if (const auto* refused = std::get_if<CallbackRefused>(&outcome)) {
        EXPECT_FALSE(refused->words.empty());
      }
    }
  }
}

}  // namespace
}  // namespace credsync::oauth
