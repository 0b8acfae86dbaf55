#include "daemon/oauth/lifetime.h"
#include "tests/unit/oauth/oauth_testing.h"

namespace credsync::oauth {
namespace {

using namespace credsync::oauth::testing;
using End = std::optional<WallTime>;

End end_of(const provider::Profile& profile, const std::string& fields, std::vector<Header> headers = {},
           const std::string& token = "a") {
  return tokens_of(read(profile, answer(200, "{\"access_token\":\"" + token + "\"" + fields + "}", std::move(headers))))
      .expires_at;
}

std::string with(const char* name, const char* value) {
  return std::string(",\"") + name + "\":" + value;
}

TEST(Lifetime, ExpiresInComesInManyTypes) {
  const std::pair<const char*, End> cases[] = {{"3600", kSent + 3600s},
                                               {"\"3600\"", kSent + 3600s},
                                               {"3600.0", kSent + 3600s},
                                               {"\" 3600 \"", kSent + 3600s},
                                               {"0.5", kSent + 500ms},
                                               {"1", kSent + 1s},
                                               {"31104000", kSent + 31104000s},
                                               {"3.6e3", kSent + 3600s},
                                               {"0", std::nullopt},
                                               {"-1", std::nullopt},
                                               {"\"0\"", std::nullopt},
                                               {"null", std::nullopt},
                                               {"\"\"", std::nullopt},
                                               {"\"soon\"", std::nullopt},
                                               {"true", std::nullopt},
                                               {"[3600]", std::nullopt},
                                               {"{}", std::nullopt},
                                               {"\"0x10\"", std::nullopt},
                                               {"1e-400", std::nullopt},
                                               {"9223372036854775807", kWallMax},
                                               {"99999999999999999999999999", kWallMax},
                                               {"1e400", kWallMax},
                                               {"\"1e400\"", kWallMax},
                                               {"-1e400", std::nullopt},
                                               {"-99999999999999999999999999", std::nullopt}};
  for (const auto& [written, expected] : cases) {
    EXPECT_EQ(end_of(plain_profile(), with("expires_in", written)), expected) << written;
  }
  EXPECT_EQ(end_of(plain_profile(), ""), std::nullopt);
}

TEST(Lifetime, CountsFromTheMomentOfSending) {
  HttpResponse slow = answer(200, R"({"access_token":"a","expires_in":60})");
  slow.received_at = kSent + 29s;
  EXPECT_EQ(tokens_of(read(plain_profile(), slow)).expires_at, kSent + 60s);
}

TEST(Lifetime, MillisecondsWhereTheProfileSaysSo) {
  provider::Profile profile = plain_profile();
  profile.answer.expires_unit = provider::TimeUnit::kMilliseconds;
  EXPECT_EQ(end_of(profile, with("expires_in", "3600000")), kSent + 3600s);
  EXPECT_EQ(end_of(profile, with("expires_in", "1500")), kSent + 1500ms);
}

TEST(Lifetime, SourcesAreAskedInOrder) {
  provider::Profile profile = plain_profile();
  profile.answer.expires_at = "expires_at";
  profile.answer.default_lifetime = 10min;
  const std::string token = jwt(R"({"exp":1800000300})");
  const std::string in = with("expires_in", "100");
  const std::string at = with("expires_at", "1800000200");
  EXPECT_EQ(end_of(profile, in + at, {}, token), kSent + 100s);
  EXPECT_EQ(end_of(profile, with("expires_in", "0") + at, {}, token), kSent + 200s) << "0 means unknown";
  EXPECT_EQ(end_of(profile, at, {}, token), kSent + 200s);
  EXPECT_EQ(end_of(profile, "", {}, token), kSent + 300s);
  EXPECT_EQ(end_of(profile, ""), kSent + 600s);
  profile.answer.jwt_expiry = false;
  EXPECT_EQ(end_of(profile, "", {}, token), kSent + 600s);
  profile.answer.default_lifetime.reset();
  EXPECT_EQ(end_of(profile, "", {}, token), std::nullopt);
}

TEST(Lifetime, DeclaredFieldIsAnEpochOrADate) {
  provider::Profile profile = plain_profile();
  profile.answer.expires_at = "meta.until";
  const std::pair<const char*, End> cases[] = {{"1800000200", kSent + 200s},
                                               {"\"1800000200\"", kSent + 200s},
                                               {"1800000200500", kSent + 200500ms},
                                               {"\"2027-01-15T08:10:00Z\"", kSent + 600s},
                                               {"\"2027-01-15T09:10:00+01:00\"", kSent + 600s},
                                               {"\"2027-01-15T08:10:00.123Z\"", kSent + 600s},
                                               {"\"2027-01-15 08:10:00Z\"", kSent + 600s},
                                               {"\"2027-01-15T08:10:00\"", std::nullopt},
                                               {"\"2027-01-15T08:10:00+2\"", std::nullopt},
                                               {"\"tomorrow\"", std::nullopt},
                                               {"\"2027-01-15T08:10:00+23:5x\"", std::nullopt},
                                               {"0", std::nullopt},
                                               {"-5", std::nullopt},
                                               {"null", std::nullopt},
                                               {"1799999999", std::nullopt},
                                               {"\"9999-12-31T23:59:60Z\"", kWallMax},
                                               {"1e300", kWallMax}};
  for (const auto& [written, expected] : cases) {
    EXPECT_EQ(end_of(profile, ",\"meta\":{\"until\":" + std::string(written) + "}"), expected) << written;
  }
}

TEST(Lifetime, DeclaredFieldMayLieOutsideTheEnvelope) {
  provider::Profile profile = plain_profile();
  profile.answer.root = "body";
  profile.answer.expires_at = "until";
  EXPECT_EQ(tokens_of(read(profile, answer(200, R"({"until":1800000200,"body":{"access_token":"a"}})"))).expires_at,
            kSent + 200s);
}

TEST(Lifetime, JwtEndIsCorrectedByTheAnswersDate) {
  const std::string token = jwt(R"({"exp":1800001000})");
  const auto end_at = [&](const char* date) { return end_of(plain_profile(), "", {{"Date", date}}, token); };
  EXPECT_EQ(end_at("Fri, 15 Jan 2027 08:00:00 GMT"), kSent + 999s) << "theirs may be ahead by as much as Date drops";
  // Their clock is 100 s behind ours: the token lives until 1100 s on ours. Never later than that, at most a
  // second earlier.
  const WallTime behind = *end_at("Fri, 15 Jan 2027 07:58:20 GMT");
  EXPECT_LE(behind, kSent + 1100s);
  EXPECT_GE(behind, kSent + 1099s);
  const WallTime ahead = *end_at("Fri, 15 Jan 2027 08:01:40 GMT");
  EXPECT_LE(ahead, kSent + 900s);
  EXPECT_GE(ahead, kSent + 899s);
  EXPECT_EQ(end_at("nonsense"), kSent + 1000s);
}

// Twelve seconds on its way, from a clock that is ahead by ten: Date lies between sending and receipt, as a right one would.
TEST(Lifetime, AClockAheadByLessThanAnAnswerTookMakesNoTokenLiveLonger) {
  HttpResponse slow = answer(200, R"({"access_token":")" + jwt(R"({"exp":1800000310})") + "\"}");
  slow.headers.push_back({"Date", "Fri, 15 Jan 2027 08:00:10 GMT"});
  slow.received_at = kSent + 12s;
  EXPECT_EQ(tokens_of(read(plain_profile(), slow)).expires_at, kSent + 299s) << "it was made when it was asked for";
}

TEST(Lifetime, ATokenThatEndedOnItsWayIsOver) {
  HttpResponse slow = answer(200, R"({"access_token":")" + jwt(R"({"exp":1800000010})") + "\"}");
  slow.headers.push_back({"Date", "Fri, 15 Jan 2027 08:00:00 GMT"});
  slow.received_at = kSent + 12s;
  EXPECT_EQ(tokens_of(read(plain_profile(), slow)).expires_at, kSent + 9s) << "without an end it would live for ever";
}

TEST(Lifetime, AJwtThatEndedBeforeItCameTellsNothing) {
  provider::Profile profile = plain_profile();
  profile.answer.default_lifetime = 5min;
  for (const char* payload :
       {R"({"exp":1})", R"({"exp":1799999999})", R"({"exp":0})", R"({"exp":-1})", R"({"exp":"x"})", R"({})", "[]"}) {
    EXPECT_EQ(end_of(profile, "", {}, jwt(payload)), kSent + 300s) << payload;
  }
}

TEST(Lifetime, JwtExpiryReadsThePayloadOnly) {
  EXPECT_EQ(jwt_expiry(jwt(R"({"exp":1300819380})")), wall_from_seconds(1300819380));
  EXPECT_EQ(jwt_expiry(jwt(R"({"exp":1300819380123})")), WallTime(1300819380123ms));
  EXPECT_EQ(jwt_expiry(jwt(R"({"exp":1e300})")), kWallMax);
  // RFC 7519, 3.1.
  EXPECT_EQ(jwt_expiry("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
                       "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl"
                       "LmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            wall_from_seconds(1300819380));
  for (const std::string_view bad : {"", ".", "..", "a.b", "a.b.c", "a.b.c.d", "a.e30.c", "a.!!!.c", "opaque"}) {
    EXPECT_EQ(jwt_expiry(bad), std::nullopt) << bad;
  }
}

TEST(Lifetime, RefreshTokensHaveThreeNamesForTheirs) {
  for (const char* name : {"refresh_token_expires_in", "refresh_expires_in", "x_refresh_token_expires_in"}) {
    const auto end = [&](const char* value) {
      return tokens_of(read(plain_profile(),
                            answer(200, R"({"access_token":"a","refresh_token":"r")" + with(name, value) + "}")))
          .refresh_expires_at;
    };
    EXPECT_EQ(end("8640000"), kSent + 8640000s) << name;
    EXPECT_EQ(end("\"8640000\""), kSent + 8640000s) << name;
    EXPECT_EQ(end("0"), std::nullopt) << name << ": Keycloak's way to say that it does not end";
  }
}

TEST(Lifetime, AdviceToRefreshIsTaken) {
  const auto advice = [](const char* value) {
    return tokens_of(read(plain_profile(), answer(200, R"({"access_token":"a")" + with("refresh_in", value) + "}")))
        .refresh_in;
  };
  EXPECT_EQ(advice("43200"), Duration(12h));
  EXPECT_EQ(advice("\"43200\""), Duration(12h));
  EXPECT_EQ(advice("0"), std::nullopt);
  EXPECT_EQ(advice("-1"), std::nullopt);
  EXPECT_EQ(advice("null"), std::nullopt);
}

TEST(Lifetime, DurationsSaturate) {
  EXPECT_EQ(to_duration(1.5), Duration(1500ms));
  EXPECT_EQ(WallTime(to_duration(1e300)), kWallMax);
  EXPECT_EQ(to_duration(-1e300), -to_duration(1e300));
  EXPECT_EQ(to_duration(std::numeric_limits<double>::quiet_NaN()), Duration::zero());
}

}  // namespace
}  // namespace credsync::oauth
