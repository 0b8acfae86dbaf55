#include "tests/unit/oauth/oauth_testing.h"

namespace credsync::oauth {
namespace {

using namespace credsync::oauth::testing;
using provider::RequestKind;
using Scopes = std::vector<std::string>;

// RFC 6749, 5.1.
TEST(TokenAnswer, IsReadAsInRfc6749) {
  const auto tokens = tokens_of(read(plain_profile(),
                                     answer(200, R"({
      "access_token":"2YotnFZFEjr1zCsicMWpAA",
      "token_type":"example",
      "expires_in":3600,
      "refresh_token":"tGzv3JOkF0XG5Qx2TlKWIA",
      "example_parameter":"example_value"})",
                                            {{"Content-Type", "application/json;charset=UTF-8"}}),
                                     RequestKind::kCode, {"a", "b"}));
  EXPECT_EQ(tokens.access_token.expose(), "2YotnFZFEjr1zCsicMWpAA");
  EXPECT_EQ(tokens.refresh_token.expose(), "tGzv3JOkF0XG5Qx2TlKWIA");
  EXPECT_EQ(tokens.token_type, "example");
  EXPECT_EQ(tokens.scope, (Scopes{"a", "b"})) << "absent means as asked";
  EXPECT_EQ(tokens.obtained_at, kSent);
  EXPECT_EQ(tokens.expires_at, kSent + 3600s);
  EXPECT_EQ(tokens.jitter, 0);
  EXPECT_TRUE(tokens.extra.empty());
}

TEST(TokenAnswer, WithoutARefreshTokenLeavesItEmpty) {
  for (const char* body :
       {R"({"access_token":"a"})", R"({"access_token":"a","refresh_token":null})",
        R"({"access_token":"a","refresh_token":""})", R"({"access_token":"a","refresh_token":false})"}) {
    EXPECT_TRUE(tokens_of(read(plain_profile(), answer(200, body))).refresh_token.empty()) << body;
  }
}

TEST(TokenAnswer, FormEncodedIsReadWhateverItCallsItself) {
  for (const char* type : {"application/x-www-form-urlencoded", "text/plain; charset=utf-8", "text/html", ""}) {
    const auto tokens = tokens_of(
        read(plain_profile(), answer(200, "access_token=a%2Bb&scope=repo%2Cgist&token_type=bearer&expires_in=28800\n",
                                     {{"Content-Type", type}})));
    EXPECT_EQ(tokens.access_token.expose(), "a+b") << type;
    EXPECT_EQ(tokens.token_type, "Bearer");
    EXPECT_EQ(tokens.expires_at, kSent + 28800s);
  }
}

TEST(TokenAnswer, JsonIsReadWhateverItCallsItself) {
  for (const char* type :
       {"application/json", "text/html; charset=UTF-8", "text/javascript", "application/x-www-form-urlencoded", ""}) {
    for (const auto format :
         {provider::AnswerFormat::kAuto, provider::AnswerFormat::kJson, provider::AnswerFormat::kForm}) {
      provider::Profile profile = plain_profile();
      profile.answer.format = format;
      const auto tokens =
          tokens_of(read(profile, answer(200, " \n{\"access_token\":\"a\"}\n", {{"content-type", type}})));
      EXPECT_EQ(tokens.access_token.expose(), "a") << type;
    }
  }
}

TEST(TokenAnswer, TokenTypeIsComparedWithoutCaseAndShownInOneSpelling) {
  const std::pair<const char*, const char*> cases[] = {{R"("bearer")", "Bearer"},
                                                       {R"("BEARER")", "Bearer"},
                                                       {R"("Bearer ")", "Bearer"},
                                                       {R"("bearerToken")", "Bearer"},
                                                       {R"("Bearer Token")", "Bearer"},
                                                       {R"("bearer_token")", "Bearer"},
                                                       {R"("")", "Bearer"},
                                                       {"null", "Bearer"},
                                                       {"7", "Bearer"},
                                                       {R"("DPoP")", "DPoP"},
                                                       {R"("bot")", "bot"},
                                                       {R"("a b\r\nX: y")", "Bearer"},
                                                       {R"([])", "Bearer"}};
  for (const auto& [written, shown] : cases) {
    const std::string body = std::string(R"({"access_token":"a","token_type":)") + written + "}";
    EXPECT_EQ(tokens_of(read(plain_profile(), answer(200, body))).token_type, shown) << written;
  }
  EXPECT_EQ(tokens_of(read(plain_profile(), answer(200, R"({"access_token":"a"})"))).token_type, "Bearer");
}

TEST(TokenAnswer, ScopeComesInManyShapes) {
  struct Case {
    const char* written;
    const char* separator;
    Scopes expected;
  };
  const Case cases[] = {{R"("a b")", " ", {"a", "b"}},
                        {R"("a,b")", ",", {"a", "b"}},
                        {R"("a, b")", ",", {"a", "b"}},
                        {R"("a+b")", "+", {"a", "b"}},
                        {R"(["a","b"])", " ", {"a", "b"}},
                        {R"(["a",7,null,"b",""])", " ", {"a", "b"}},
                        {"null", " ", {"asked"}},
                        {R"("")", " ", {"asked"}},
                        {"[]", " ", {"asked"}},
                        {"{}", " ", {"asked"}},
                        {"7", " ", {"asked"}},
                        {R"("  a   b ")", " ", {"a", "b"}},
                        {R"("a,b")", " ", {"a,b"}}};
  for (const Case& c : cases) {
    provider::Profile profile = plain_profile();
    profile.answer.scope_separator = c.separator;
    const std::string body = std::string(R"({"access_token":"a","scope":)") + c.written + "}";
    EXPECT_EQ(tokens_of(read(profile, answer(200, body), RequestKind::kRefresh, {"asked"})).scope, c.expected)
        << c.written;
  }
}

TEST(TokenAnswer, FieldsMayHaveOtherNamesAndLieDeeper) {
  provider::Profile profile = plain_profile();
  profile.answer.root = "data.0";
  profile.answer.fields = {{"access_token", "accessToken"},
                           {"refresh_token", "refresh.value"},
                           {"expires_in", "expiresIn"},
                           {"subject", "account.id"}};
  profile.answer.expires_unit = provider::TimeUnit::kMilliseconds;
  const auto tokens = tokens_of(read(
      profile,
      answer(200,
             R"({"data":[{"accessToken":"a","refresh":{"value":"r"},"expiresIn":7200000,"account":{"id":42}}]})")));
  EXPECT_EQ(tokens.access_token.expose(), "a");
  EXPECT_EQ(tokens.refresh_token.expose(), "r");
  EXPECT_EQ(tokens.expires_at, kSent + 7200s);
  EXPECT_EQ(tokens.subject, "42");
}

TEST(TokenAnswer, EnvelopeThatIsLeftOutIsNotMissed) {
  provider::Profile profile = plain_profile();
  profile.answer.root = "data.0";
  profile.answer.success = {"success", "true"};
  EXPECT_EQ(tokens_of(read(profile, answer(200, R"({"access_token":"a"})"))).access_token.expose(), "a");
}

TEST(TokenAnswer, SuccessTestOverrulesATokenButSilenceDoesNot) {
  provider::Profile profile = plain_profile();
  profile.answer.success = {"ok", "true"};
  EXPECT_EQ(tokens_of(read(profile, answer(200, R"({"ok":true,"access_token":"a"})"))).access_token.expose(), "a");
  EXPECT_EQ(tokens_of(read(profile, answer(200, R"({"access_token":"a"})"))).access_token.expose(), "a");
  EXPECT_EQ(failure_of(read(profile, answer(200, R"({"ok":false,"access_token":"a","error":"invalid_refresh_token"})")))
                .failure_class,
            FailureClass::kNeedsLogin);
}

TEST(TokenAnswer, ATokenBesideWordsOfFailureIsNotThrownAway) {
  for (const char* body :
       {R"({"access_token":"a","error":null})", R"({"access_token":"a","error":""})",
        R"({"access_token":"a","status":200,"success":1})", R"({"access_token":"a","error":"odd"})"}) {
    EXPECT_EQ(tokens_of(read(plain_profile(), answer(200, body))).access_token.expose(), "a") << body;
  }
}

TEST(TokenAnswer, KeepsOnlyTheFieldsThatTheProfileNames) {
  provider::Profile profile = plain_profile();
  profile.answer.root = "body";
  profile.answer.keep = {"instance_url", "count", "flag", "team.id", "outside", "list", "none", "missing"};
  const auto tokens = tokens_of(
      read(profile,
           answer(200,
                  R"({"outside":"o","body":{"access_token":"a","instance_url":"https://x.example","count":7,"flag":true,
          "team":{"id":"T1"},"list":[1],"none":null,"other":"dropped"}})")));
  EXPECT_EQ(tokens.extra, (std::map<std::string, std::string>{{"instance_url", "https://x.example"},
                                                              {"count", "7"},
                                                              {"flag", "true"},
                                                              {"team.id", "T1"},
                                                              {"outside", "o"}}));
}

TEST(TokenAnswer, SubjectComesFromTheIdTokenElseFromTheAnswer) {
  const auto subject = [](const std::string& fields) {
    return tokens_of(read(plain_profile(), answer(200, "{\"access_token\":\"a\"" + fields + "}"))).subject;
  };
  EXPECT_EQ(subject(",\"id_token\":\"" + jwt(R"({"sub":"248289761001"})") + "\",\"user\":\"other\""), "248289761001");
  EXPECT_EQ(subject(",\"user\":\"u-1\""), "u-1");
  EXPECT_EQ(subject(",\"user_id\":77"), "77");
  EXPECT_EQ(subject(",\"user\":{\"id\":\"u-2\"}"), "u-2");
  EXPECT_EQ(subject(",\"id_token\":\"not.a.jwt\",\"user_id\":\"u-3\""), "u-3");
  EXPECT_EQ(subject(",\"user\":\"bad\\u001b[31m\""), "bad[31m");
  EXPECT_EQ(subject(""), "");
}

TEST(TokenAnswer, IdTokenIsKept) {
  const std::string id = jwt(R"({"sub":"1"})");
  EXPECT_EQ(tokens_of(read(plain_profile(), answer(200, "{\"access_token\":\"a\",\"id_token\":\"" + id + "\"}")))
                .id_token.expose(),
            id);
  EXPECT_TRUE(
      tokens_of(read(plain_profile(), answer(200, R"({"access_token":"a","id_token":"x\ny"})"))).id_token.empty());
}

TEST(TokenAnswer, TokensThatNoHeaderCanCarryAreRefused) {
  const std::string huge(40 * 1024, 'x');
  for (const std::string& value : {std::string("a\\u0000b"), std::string("a\\r\\nX-Evil: 1"), std::string("a\\tb"),
                                   std::string("\\u00e4"), std::string("a\xff"), huge}) {
    for (const char* field : {"access_token", "refresh_token"}) {
      std::map<std::string, std::string> fields{{"access_token", "good"}, {"refresh_token", "good"}};
      fields[field] = value;
      const Failure failure = failure_of(
          read(plain_profile(), answer(200, "{\"access_token\":\"" + fields["access_token"] +
                                                "\",\"refresh_token\":\"" + fields["refresh_token"] + "\"}")));
      EXPECT_EQ(failure.failure_class, FailureClass::kNoToken) << field << " " << value.substr(0, 20);
      EXPECT_TRUE(failure.sent);
      EXPECT_EQ(failure.words.find("good"), std::string::npos);
    }
  }
  const std::string large(32 * 1024, 'x');
  EXPECT_EQ(tokens_of(read(plain_profile(), answer(200, "{\"access_token\":\"" + large + "\"}"))).access_token.size(),
            large.size());
}

TEST(TokenAnswer, OtherSuccessesCountToo) {
  for (const int status : {200, 201, 202, 299}) {
    EXPECT_EQ(tokens_of(read(plain_profile(), answer(status, R"({"access_token":"a"})"))).access_token.expose(), "a");
  }
  for (const int status : {199, 300, 302, 400, 401, 500}) {
    failure_of(read(plain_profile(), answer(status, R"({"access_token":"a"})")));
  }
}

}  // namespace
}  // namespace credsync::oauth
