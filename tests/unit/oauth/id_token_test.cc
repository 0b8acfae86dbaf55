// ID tokens: every algorithm that is taken, and every attack that is not.
#include "daemon/oauth/id_token.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "base/text.h"
#include "daemon/oauth/jwks.h"
#include "tests/fakes/fake_random.h"
#include "tests/unit/oauth/signing.h"

namespace credsync::oauth {
namespace {

using testing::hs256;
using testing::key_set;
using testing::SigningKey;
using testing::unsigned_part;
using Kind = SigningKey::Kind;
using Changes = std::map<std::string, std::string>;  // name -> JSON; an empty value leaves it out

constexpr WallTime kNow = wall_from_seconds(1'800'000'000);
constexpr const char* kIssuer = "https://as.example";
constexpr const char* kClient = "s6BhdRkqt3";
constexpr const char* kNonce = "n-0S6_WzA2Mj";
constexpr const char* kSecret = "a-client-secret-of-32-characters";

const SigningKey& rsa() {
  static const SigningKey kKey(Kind::kRsa, "rsa-1");
  return kKey;
}

std::string payload(const Changes& changes = {}) {
  Changes claims{{"iss", json_string(kIssuer)},  {"aud", json_string(kClient)}, {"sub", "\"user-1\""},
                 {"exp", "1800000300"},          {"iat", "1799999990"},         {"nonce", json_string(kNonce)},
                 {"email", "\"me@example.org\""}};
  for (const auto& [name, value] : changes)
    claims[name] = value;
  std::string out;
  for (const auto& [name, value] : claims) {
    if (!value.empty()) out += (out.empty() ? "{" : ",") + json_string(name) + ":" + value;
  }
  return out + "}";
}

KeySet keys_of(const std::string& jwks) {
  auto set = KeySet::parse(jwks);
  EXPECT_TRUE(set) << (set ? "" : set.error().message());
  return std::move(*set);
}

class IdToken : public ::testing::Test {
 protected:
  std::variant<IdTokenClaims, IdTokenRefused> check(const std::string& token) {
    IdTokenExpectation expected{kIssuer, kClient,          secret_,        algorithms_, keys_ ? &*keys_ : nullptr,
                                nonce_,  "access-token-1", hash_required_, kNow};
    return check_id_token(token, expected);
  }
  void taken(const std::string& token) {
    const auto checked = check(token);
    const auto* claims = std::get_if<IdTokenClaims>(&checked);
    ASSERT_NE(claims, nullptr) << std::get<IdTokenRefused>(checked).words;
    EXPECT_EQ(claims->subject, "user-1");
    EXPECT_EQ(claims->issuer, kIssuer);
    EXPECT_EQ(claims->display, "me@example.org");
  }
  void refused(const std::string& token, IdTokenFault fault, const std::string& why) {
    const auto checked = check(token);
    const auto* no = std::get_if<IdTokenRefused>(&checked);
    ASSERT_NE(no, nullptr) << "believed: " << why;
    EXPECT_EQ(static_cast<int>(no->fault), static_cast<int>(fault)) << why << ": " << no->words;
    EXPECT_EQ(no->words.find(kNonce), std::string::npos);
    EXPECT_EQ(no->words.find(kSecret), std::string::npos);
    EXPECT_LT(no->words.size(), kForeignTextLimit + 64);
  }

  std::optional<KeySet> keys_ = keys_of(key_set(rsa().jwk()));
  std::string secret_, nonce_ = kNonce;
  std::vector<std::string> algorithms_;
  bool hash_required_ = false;
};

TEST_F(IdToken, EveryAsymmetricAlgorithm) {
  struct Case {
    Kind kind;
    std::vector<const char*> algorithms;
  };
  for (const Case& one :
       {Case{Kind::kRsa, {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}}, Case{Kind::kP256, {"ES256"}},
        Case{Kind::kP384, {"ES384"}}, Case{Kind::kP521, {"ES512"}}, Case{Kind::kEd25519, {"EdDSA"}}}) {
    const SigningKey key(one.kind, "k");
    keys_ = keys_of(key_set(key.jwk()));
    for (const char* algorithm : one.algorithms) {
      SCOPED_TRACE(algorithm);
      const std::string token = key.sign(algorithm, payload());
      taken(token);
      std::string bent = token;
      bent[bent.rfind('.') + 5] = bent[bent.rfind('.') + 5] == 'A' ? 'B' : 'A';
      refused(bent, IdTokenFault::kSignature, "one character of the signature");
      algorithms_ = {"none-of-them"};
      refused(token, IdTokenFault::kAlgorithm, "not on the list");
      algorithms_.clear();
    }
  }
}

TEST_F(IdToken, WrongSignatures) {
  const SigningKey other(Kind::kRsa, "rsa-1");
  refused(other.sign("RS256", payload()), IdTokenFault::kSignature, "another key of the same id");
  const std::string good = rsa().sign("RS256", payload());
  const std::string body = good.substr(0, good.rfind('.'));
  refused(body + ".", IdTokenFault::kSignature, "no signature");
  refused(good.substr(0, good.find('.')) + "." + encode_base64url(payload({{"sub", "\"admin\""}})) +
              good.substr(good.rfind('.')),
          IdTokenFault::kSignature, "another payload");
  const SigningKey curve(Kind::kP256, "rsa-1");
  refused(curve.sign("ES256", payload()), IdTokenFault::kUnknownKey, "another kind of key");
}

TEST_F(IdToken, UnsignedIsNeverTaken) {
  for (const char* alg : {"none", "None", "NONE", "nOnE", ""}) {
    const std::string input = unsigned_part("{\"alg\":\"" + std::string(alg) + "\"}", payload());
    refused(input + ".", IdTokenFault::kAlgorithm, alg);
    algorithms_ = {alg};
    refused(input + ".", IdTokenFault::kAlgorithm, "even where a list names it");
    algorithms_.clear();
    keys_.reset();  // straight from the token endpoint
    refused(input + ".", IdTokenFault::kAlgorithm, "even over TLS");
    keys_ = keys_of(key_set(rsa().jwk()));
  }
  refused(unsigned_part("{}", payload()) + ".", IdTokenFault::kAlgorithm, "no alg");
  refused(unsigned_part(R"({"alg":["RS256"]})", payload()) + ".", IdTokenFault::kAlgorithm, "alg is no text");
}

// The classic: a server's public key taken for a shared secret.
TEST_F(IdToken, HmacWithAPublicKeyIsRefused) {
  for (const std::string& key : {rsa().public_pem(), rsa().jwk(), key_set(rsa().jwk())}) {
    refused(hs256(payload(), key), IdTokenFault::kAlgorithm, "a public client has no secret");
    secret_ = kSecret;
    refused(hs256(payload(), key), IdTokenFault::kSignature, "a confidential client's secret is another");
    secret_.clear();
  }
  refused(hs256(payload(), ""), IdTokenFault::kAlgorithm, "the empty secret");
}

TEST_F(IdToken, HmacWithTheClientsSecret) {
  secret_ = kSecret;
  taken(hs256(payload(), kSecret));
  keys_.reset();
  taken(hs256(payload(), kSecret));
  refused(hs256(payload(), "another secret"), IdTokenFault::kSignature, "even over TLS");
  algorithms_ = {"RS256"};
  refused(hs256(payload(), kSecret), IdTokenFault::kAlgorithm, "the issuer says it signs with RSA");
}

TEST_F(IdToken, Claims) {
  struct Case {
    const char* what;
    Changes changes;
    IdTokenFault fault;
  };
  using F = IdTokenFault;
  const Case cases[] = {
      {"another issuer", {{"iss", "\"https://evil.example\""}}, F::kIssuer},
      {"a slash more", {{"iss", "\"https://as.example/\""}}, F::kIssuer},
      {"no issuer", {{"iss", ""}}, F::kIssuer},
      {"an issuer that is a list", {{"iss", "[\"https://as.example\"]"}}, F::kIssuer},
      {"another audience", {{"aud", "\"other\""}}, F::kAudience},
      {"no audience", {{"aud", ""}}, F::kAudience},
      {"other audiences", {{"aud", "[\"a\",\"b\"]"}}, F::kAudience},
      {"an audience that is an object", {{"aud", "{\"s6BhdRkqt3\":\"s6BhdRkqt3\"}"}}, F::kAudience},
      {"several audiences without azp", {{"aud", "[\"s6BhdRkqt3\",\"b\"]"}}, F::kAudience},
      {"issued to another", {{"aud", "[\"s6BhdRkqt3\",\"b\"]"}, {"azp", "\"b\""}}, F::kAudience},
      {"wrong azp", {{"azp", "\"other\""}}, F::kAudience},
      {"azp that is no text", {{"azp", "7"}}, F::kAudience},
      {"expired", {{"exp", "1799999880"}}, F::kTime},
      {"no end", {{"exp", ""}}, F::kTime},
      {"an end as text", {{"exp", "\"1800000300\""}}, F::kTime},
      {"an end that is negative", {{"exp", "-1"}}, F::kTime},
      {"no beginning", {{"iat", ""}}, F::kTime},
      {"from the future", {{"iat", "1800000121"}}, F::kTime},
      {"not yet", {{"nbf", "1800000121"}}, F::kTime},
      {"an odd nbf", {{"nbf", "\"now\""}}, F::kTime},
      {"no nonce", {{"nonce", ""}}, F::kNonce},
      {"wrong nonce", {{"nonce", "\"n-0S6_WzA2Mk\""}}, F::kNonce},
      {"longer nonce", {{"nonce", "\"n-0S6_WzA2Mj1\""}}, F::kNonce},
      {"nonce that is no text", {{"nonce", "[\"n-0S6_WzA2Mj\"]"}}, F::kNonce},
      {"another access token", {{"at_hash", "\"77QmUPtjPfzWtF2AnpK9RQ\""}}, F::kHash},
      {"at_hash that is empty", {{"at_hash", "\"\""}}, F::kHash},
      {"nobody", {{"sub", ""}}, F::kMalformed},
      {"the empty nobody", {{"sub", "\"\""}}, F::kMalformed},
      {"a number", {{"sub", "7"}}, F::kMalformed},
      {"too long a name", {{"sub", "\"" + std::string(256, 'x') + "\""}}, F::kMalformed},
  };
  for (const Case& one : cases)
    refused(rsa().sign("RS256", payload(one.changes)), one.fault, one.what);
}

TEST_F(IdToken, WordsRepeatNoSecretOfOurs) {
  secret_ = kSecret;
  for (const std::string& secret : {std::string(kSecret), std::string("n-0S6_WzA2Mj")}) {
    const auto outcome = check(rsa().sign("RS256", payload({{"iss", "\"https://evil.example/" + secret + "\""}})));
    const auto& words = std::get<IdTokenRefused>(outcome).words;
    EXPECT_EQ(words.find(secret), std::string::npos) << words;
    EXPECT_NE(words.find("evil.example"), std::string::npos) << words;
  }
}

TEST_F(IdToken, WhatTheClaimsAllow) {
  struct Case {
    const char* what;
    Changes changes;
  };
  const Case cases[] = {
      {"a list of one", {{"aud", "[\"s6BhdRkqt3\"]"}}},
      {"several with azp", {{"aud", "[\"b\",\"s6BhdRkqt3\"]"}, {"azp", "\"s6BhdRkqt3\""}}},
      {"ended within the leeway", {{"exp", "1799999881"}}},
      {"our clock is behind within the leeway", {{"iat", "1800000120"}, {"nbf", "1800000120"}}},
      {"fractions", {{"exp", "1800000300.5"}}},
      {"the end of time", {{"exp", "253402300799"}}},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.what);
    taken(rsa().sign("RS256", payload(one.changes)));
  }
  nonce_.clear();
  taken(rsa().sign("RS256", payload({{"nonce", ""}})));
}

// The left half of SHA-256("access-token-1"), by coreutils: sha256sum, cut, xxd, basenc.
TEST_F(IdToken, HashBindsTheAccessToken) {
  taken(rsa().sign("RS256", payload({{"at_hash", "\"xbDyM5Wjs8mTAhnyPZlETA\""}})));
  hash_required_ = true;
  taken(rsa().sign("RS256", payload({{"at_hash", "\"xbDyM5Wjs8mTAhnyPZlETA\""}})));
  refused(rsa().sign("RS256", payload()), IdTokenFault::kHash, "the implicit grant rests on it");
}

TEST_F(IdToken, OverTlsOnlyTheSignatureMayGoUnchecked) {
  keys_.reset();
  const SigningKey other(Kind::kRsa, "x");
  taken(other.sign("RS256", payload()));
  refused(other.sign("RS256", payload({{"aud", "\"other\""}})), IdTokenFault::kAudience, "the claims are looked at");
  refused(other.sign("RS256", payload({{"nonce", ""}})), IdTokenFault::kNonce, "the nonce too");
}

TEST_F(IdToken, KeysAreChosenByTheirId) {
  const SigningKey second(Kind::kRsa, "rsa-2");
  const SigningKey nameless(Kind::kRsa, "");
  refused(second.sign("RS256", payload()), IdTokenFault::kUnknownKey, "not published");
  keys_ = keys_of(key_set(rsa().jwk() + "," + second.jwk()));
  taken(second.sign("RS256", payload()));
  taken(rsa().sign("RS256", payload()));
  refused(nameless.sign("RS256", payload()), IdTokenFault::kSignature, "names no key, and none fits");
  keys_ = keys_of(key_set(rsa().jwk() + "," + nameless.jwk()));
  taken(nameless.sign("RS256", payload()));
}

TEST_F(IdToken, KeysForOtherThingsAreNotUsed) {
  const SigningKey curve(Kind::kP256, "c");
  for (const char* more :
       {R"(,"use":"enc")", R"(,"key_ops":["encrypt"])", R"(,"alg":"RS512")", R"(,"alg":"RSA-OAEP")"}) {
    keys_ = keys_of(key_set(rsa().jwk(more) + "," + curve.jwk()));
    refused(rsa().sign("RS256", payload()), IdTokenFault::kUnknownKey, more);
  }
  for (const char* more : {R"(,"use":"sig")", R"(,"key_ops":["verify"])", R"(,"alg":"RS256")"}) {
    SCOPED_TRACE(more);
    keys_ = keys_of(key_set(rsa().jwk(more)));
    taken(rsa().sign("RS256", payload()));
  }
}

TEST_F(IdToken, MalformedOnesAreRefused) {
  const std::string good = rsa().sign("RS256", payload());
  const std::string head = good.substr(0, good.find('.'));
  for (const std::string& token :
       {std::string(), std::string("a"), std::string("a.b"), std::string("..."), good + ".x", "." + good, good + "=",
        " " + good, head + ".W10.eHg", head + "." + encode_base64url("{") + ".eHg", "W10" + good.substr(head.size()),
        unsigned_part(R"({"alg":"RS256","crit":["b64"],"b64":false})", payload()) + ".eHg",
        unsigned_part(R"({"alg":"RS256"})", std::string(40, '[') + std::string(40, ']')) + ".eHg",
        std::string(40 * 1024, 'a') + "." + std::string(10, 'b') + ".eHg"}) {
    refused(token, IdTokenFault::kMalformed, token.substr(0, 80));
  }
}

TEST_F(IdToken, SurvivesRandomBytes) {
  credsync::fakes::FakeRandom random(11);
  const std::string good = rsa().sign("RS256", payload());
  for (int i = 0; i < 300; ++i) {
    unsigned char bytes[4];
    random.fill(bytes);
    std::string bent = good;
    bent[(bytes[0] * 256u + bytes[1]) % (bent.rfind('.') - 1)] = static_cast<char>(bytes[2]);
    const auto checked = check(bent);
    if (const auto* claims = std::get_if<IdTokenClaims>(&checked)) {
      EXPECT_EQ(bent, good) << claims->subject;
    }
  }
}

TEST(KeySets, RefusesWhatHasNoFitKey) {
  const std::string weak =
      R"({"kty":"RSA","kid":"w","e":"AQAB","n":")" + encode_base64url("\xc1" + std::string(127, '\x01')) + "\"}";
  const std::string one =
      R"({"kty":"RSA","kid":"w","e":"AQ","n":")" + encode_base64url("\xc1" + std::string(255, '\x01')) + "\"}";
  const std::string huge =
      R"({"kty":"RSA","kid":"w","e":"AQAB","n":")" + encode_base64url("\xc1" + std::string(4095, '\x01')) + "\"}";
  const std::string off_curve = R"({"kty":"EC","crv":"P-256","x":")" + encode_base64url(std::string(32, '\x01')) +
                                R"(","y":")" + encode_base64url(std::string(32, '\x01')) + "\"}";
  for (const std::string& text :
       {std::string(), std::string("[]"), std::string("{}"), std::string(R"({"keys":{}})"), key_set(""),
        key_set("1,null,\"x\""), key_set(R"({"kty":"oct","k":"c2VjcmV0"})"), key_set(R"({"kty":"RSA"})"),
        key_set(R"({"kty":"RSA","n":"!","e":"AQAB"})"), key_set(weak), key_set(one), key_set(huge), key_set(off_curve),
        key_set(R"({"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"})"),
        key_set(R"({"kty":"OKP","crv":"X25519","x":"AAAA"})"), key_set(R"({"kty":"OKP","crv":"Ed25519","x":"AAAA"})"),
        std::string(70 * 1024, ' ')}) {
    const auto set = KeySet::parse(text);
    EXPECT_FALSE(set) << text.substr(0, 100);
  }
  EXPECT_TRUE(KeySet::parse(key_set("7," + weak + "," + rsa().jwk()))) << "what is odd does not spoil the rest";
}

TEST(Subjects, AreComparedWhereBothAreKnown) {
  const auto token = [](const char* iss, const char* sub) {
    return unsigned_part("{}", "{\"iss\":\"" + std::string(iss) + "\",\"sub\":\"" + sub + "\"}") + ".x";
  };
  const std::string me = token("https://a", "1");
  EXPECT_EQ(subject_of(me)->subject, "1");
  EXPECT_EQ(subject_of(me)->issuer, "https://a");
  EXPECT_FALSE(subject_of("nonsense"));
  EXPECT_FALSE(subject_of(token("https://a", "")));
  EXPECT_TRUE(same_subject(me, me));
  EXPECT_FALSE(same_subject(me, token("https://a", "2")));
  EXPECT_FALSE(same_subject(me, token("https://b", "1")));
  EXPECT_TRUE(same_subject(me, ""));
  EXPECT_TRUE(same_subject("", me));
  EXPECT_TRUE(same_subject(me, "nonsense"));
}

}  // namespace
}  // namespace credsync::oauth
