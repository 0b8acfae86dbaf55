// Answers that were made to harm: nothing crashes, nothing foreign is shown, no secret comes back out.
#include <random>

#include "base/encoding.h"
#include "daemon/oauth/json_value.h"
#include "daemon/oauth/metadata.h"
#include "tests/unit/oauth/oauth_testing.h"

namespace credsync::oauth {
namespace {

using namespace credsync::oauth::testing;
using provider::RequestKind;

constexpr std::string_view kSecret = "s3cr3t/with+odd&characters";
constexpr std::string_view kToken = "old-refresh-token-0123456789";

Failure failure_with_secrets(int status, const std::string& body, std::vector<Header> headers = {}) {
  return failure_of(read_token_answer(plain_profile(), answer(status, body, std::move(headers)),
                                      Asked{RequestKind::kRefresh, {}, {kSecret, kToken}}));
}

void expect_clean(const Failure& failure, const std::string& where) {
  for (const std::string& shown : {failure.words, failure.code}) {
    EXPECT_EQ(shown.find(kSecret), std::string::npos) << where << shown;
    EXPECT_EQ(shown.find(kToken), std::string::npos) << where << shown;
    EXPECT_EQ(shown.find(encode_form(kSecret)), std::string::npos) << where << shown;
    EXPECT_LE(shown.size(), kForeignTextLimit) << where;
    EXPECT_TRUE(is_utf8(shown)) << where;
    for (const char c : shown)
      EXPECT_GE(static_cast<unsigned char>(c), 0x20) << where;
  }
}

TEST(Hostile, SecretsThatAreEchoedAreStruckOut) {
  const std::string form(encode_form(kSecret));
  const std::string inside = "inv\\u0061lid " + std::string(kToken) + " and " + std::string(kSecret) + " and " + form +
                             " and " + encode_percent(kSecret);
  const std::string broken = "old-refresh\\u0000-token\\u001b-0123456789 old-refresh-\\u200btoken-0123456789";
  for (const std::string& echo : {inside, broken, std::string(kToken), form}) {
    for (const int status : {200, 400, 401, 500}) {
      expect_clean(failure_with_secrets(status, "{\"error\":\"" + echo + "\"}"), "code ");
      expect_clean(failure_with_secrets(status, "{\"error\":\"x\",\"error_description\":\"" + echo + "\"}"), "text ");
      expect_clean(failure_with_secrets(status, "{\"error\":\"invalid_rapt\",\"message\":\"" + echo + "\"}"), "hint ");
      expect_clean(failure_with_secrets(status, "{\"message\":\"" + echo), "cut ");
    }
  }
  expect_clean(failure_with_secrets(302, "", {{"Location", "https://" + std::string(kToken) + ".evil.example/"}}),
               "redirect ");
  expect_clean(
      failure_with_secrets(400, "error=x&error_description=" + encode_form(inside), {{"Content-Type", "text/plain"}}),
      "form ");
}

// A password may hold what is never shown; its echo is struck out all the same.
TEST(Hostile, SecretsOfOddCharactersAreStruckOut) {
  for (const std::string_view odd :
       {std::string_view("top\tsecret\npassword"), std::string_view("pass\u202eword-\u200bx1")}) {
    const std::string escaped = json_string("bad " + std::string(odd));
    const std::string raw = "\"bad " + std::string(odd) + "\"";  // as no JSON may have it
    for (const std::string& told : {escaped, raw}) {
      const Failure failure = failure_of(read_token_answer(plain_profile(), answer(400, "{\"error\":" + told + "}"),
                                                           Asked{RequestKind::kRefresh, {}, {odd}}));
      EXPECT_NE(failure.words.find("[redacted]"), std::string::npos) << failure.words;
      EXPECT_EQ(failure.words.find("word"), std::string::npos) << failure.words;
    }
  }
}

TEST(Hostile, ALongerSecretIsNotUncoveredByAShorterOne) {
  const Failure failure =
      failure_of(read_token_answer(plain_profile(), answer(400, R"({"error":"abcdefgh-tail"})"),
                                   Asked{RequestKind::kRefresh, {}, {"abcdefgh", "abcdefgh-tail"}}));
  EXPECT_EQ(failure.code, "[redacted]");
}

TEST(Hostile, TerminalsAndLogsAreSpared) {
  const Failure failure = failure_with_secrets(
      400,
      R"({"error":"\u001b]0;owned\u0007","error_description":"line\nbreak \u202eevil \u2028 \u0085 \u009b31m \ufeff"})");
  expect_clean(failure, "");
  EXPECT_EQ(failure.words, "]0;owned: line break evil   31m");
  EXPECT_EQ(failure.code, "]0;owned");
  EXPECT_LE(failure_with_secrets(400, "{\"error\":\"" + std::string(5000, 'x') + "\"}").code.size(), 64U);
}

TEST(Hostile, DeepAndWideDocumentsAreBounded) {
  const std::string deep = "{\"access_token\":\"a\",\"x\":" + std::string(20000, '[') + std::string(20000, ']') + "}";
  EXPECT_EQ(failure_of(read(plain_profile(), answer(200, deep))).failure_class, FailureClass::kAmbiguous);
  std::string wide = "{\"access_token\":\"a\",\"x\":[";
  while (wide.size() < kMaxJsonBytes - 10)
    wide += "[],";
  wide += "1]}";
  EXPECT_EQ(tokens_of(read(plain_profile(), answer(200, wide))).access_token.expose(), "a");
  std::string pairs = "access_token=a";
  while (pairs.size() < kMaxJsonBytes)
    pairs += "&x=y";
  failure_of(read(plain_profile(), answer(200, pairs, {{"Content-Type", "text/plain"}})));
  EXPECT_EQ(
      failure_of(read(plain_profile(), answer(200, "{\"access_token\":\"" + std::string(kMaxJsonBytes, 'a') + "\"}")))
          .failure_class,
      FailureClass::kAmbiguous);
}

TEST(Hostile, DefectsElsewhereCostNoToken) {
  for (const std::string& field :
       {std::string("\"name\":\"M\xfcller\""), std::string("\"id\":123456789012345678901234567890"),
        std::string("\"ratio\":1e999"), std::string("\"text\":\"a\tb\""), std::string("\"half\":\"\\ud83d\"")}) {
    EXPECT_EQ(
        tokens_of(read(plain_profile(), answer(200, "{" + field + ",\"access_token\":\"a\",\"refresh_token\":\"r\"}")))
            .refresh_token.expose(),
        "r")
        << field;
  }
}

TEST(Hostile, AKeyWithANulIsNotAnotherKey) {
  failure_of(read(plain_profile(), answer(200, R"({"access_token\u0000":"a"})")));
  failure_of(read(plain_profile(), answer(200, "access_token%00=a", {{"Content-Type", "text/plain"}})));
}

TEST(Hostile, BrokenEscapesInFormsAreNotGuessed) {
  for (const char* body :
       {"access_token=%", "access_token=%4", "access_token=%zz", "access_token", "=a", "&&&", "a b=c"}) {
    failure_of(read(plain_profile(), answer(200, body, {{"Content-Type", "application/x-www-form-urlencoded"}})));
  }
}

TEST(Hostile, ScopesAndKeptFieldsAreBounded) {
  provider::Profile profile = plain_profile();
  profile.answer.keep = {"big", "fits"};
  std::string scopes;
  for (int i = 0; i < 5000; ++i)
    scopes += "s" + std::to_string(i) + " ";
  const auto tokens =
      tokens_of(read(profile, answer(200, "{\"access_token\":\"a\",\"big\":\"" + std::string(10000, 'x') +
                                              "\",\"fits\":\"y\",\"scope\":\"" + scopes + "\"}")));
  EXPECT_EQ(tokens.scope.size(), 256U);
  EXPECT_EQ(tokens.extra, (std::map<std::string, std::string>{{"fits", "y"}}));
}

// A small fuzzer with a fixed seed: answers that began well, with bytes changed, cut and doubled.
TEST(Hostile, MutatedAnswersNeverCrashNorLeak) {
  const std::string seeds[] = {
      R"({"access_token":"a","refresh_token":"r","expires_in":3600,"scope":["a","b"],"data":[{"x":null}]})",
      R"({"error":"invalid_grant","error_description":"old-refresh-token-0123456789 \ud83d\ude00","status":401})",
      "access_token=abc&expires_in=5&scope=a%2Cb",
      "{\"access_token\":\"" + jwt(R"({"exp":1800000100,"sub":"x"})") + "\"}",
      R"({"success":true,"data":[{"access_token":"t"}]})",
      "<html><body>no</body></html>"};
  provider::Profile profile = plain_profile();
  profile.answer.root = "data.0";
  profile.answer.keep = {"scope", "data"};
  profile.answer.expires_at = "expires_at";
  constexpr std::string_view kMarks("\"\\{}[]:,\0\xff 9-eE%&=", 18);
  std::mt19937 chance(4711);
  for (int round = 0; round < 4000; ++round) {
    std::string body = seeds[chance() % std::size(seeds)];
    for (auto i = chance() % 6; i > 0; --i) {
      const std::size_t at = chance() % (body.size() + 1);
      switch (chance() % 4) {
        case 0: body.insert(at, 1, static_cast<char>(chance())); break;
        case 1: body.erase(at, chance() % 5); break;
        case 2: body.insert(at, body.substr(chance() % (body.size() + 1), chance() % 20)); break;
        default:
          if (at < body.size()) body[at] = kMarks[chance() % kMarks.size()];
      }
      if (body.empty()) body = "{";
    }
    const int status = std::array{200, 200, 400, 401, 503}[chance() % 5];
    const HttpResponse response =
        answer(status, body, {{"Date", body.substr(0, 29)}, {"Retry-After", body.substr(0, 5)}, {"Location", body}});
    const TokenOutcome outcome =
        read_token_answer(profile, response, Asked{RequestKind::kRefresh, {}, {kSecret, kToken}});
    if (const auto* failure = std::get_if<Failure>(&outcome)) expect_clean(*failure, body);
    expect_clean(read_revocation_answer(profile, response, std::array{kSecret, kToken}).failure, body);
    (void)read_introspection(response).has_value();
    (void)parse_revocation_order(Secret(body)).has_value();
    (void)apply_metadata(profile, "https://i.example", response, false).has_value();
  }
}

}  // namespace
}  // namespace credsync::oauth
