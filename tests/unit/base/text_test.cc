#include <gtest/gtest.h>

#include <array>

#include "base/encoding.h"
#include "base/text.h"

namespace credsync {
namespace {

TEST(ForeignText, LosesControlEscapeAndBidirectionalCharacters) {
  EXPECT_EQ(clean_foreign_text("a\x1b[31mred\x07\x7f z"), "a[31mred z");
  EXPECT_EQ(clean_foreign_text("safe\xe2\x80\xaexe.gpj"), "safexe.gpj");  // U+202E
  EXPECT_EQ(clean_foreign_text("\xc2\x9b"
                               "31m"),
            "31m");  // C1 control sequence introducer
  EXPECT_EQ(clean_foreign_text("one\r\ntwo\tthree"), "one two three");
}

TEST(ForeignText, DropsBrokenUtf8AndCutsAtACharacter) {
  EXPECT_EQ(clean_foreign_text("a\xff\xc0\x80z"), "az");
  EXPECT_EQ(clean_foreign_text("\xed\xa0\x80x"), "x");  // a surrogate
  const std::string umlauts = [] {
    std::string text;
    for (int i = 0; i < 200; ++i)
      text += "\xc3\xa4";
    return text;
  }();
  EXPECT_EQ(clean_foreign_text("x" + umlauts).size(), 255U);
}

TEST(ForeignText, StripsTheRequestsSecrets) {
  const std::array<std::string_view, 2> secrets{"hunter22", "ab"};
  EXPECT_EQ(clean_foreign_text("bad password hunter22, hunter22 ab", secrets),
            "bad password [redacted], [redacted] ab");
  EXPECT_EQ(clean_foreign_text("hun\x07ter\xe2\x80\x8b"
                               "22",
                               secrets),
            "[redacted]");
}

TEST(Utf8Text, IsToldFromWhatIsNoneAndMadeOfIt) {
  for (const std::string_view good : {"", "plain", "d\xc3\xa9j\xc3\xa0", "\xf0\x9f\x94\x91"}) {
    EXPECT_TRUE(is_utf8_text(good)) << good;
    EXPECT_EQ(to_utf8_text(good), good);
  }
  using namespace std::string_view_literals;
  const std::pair<std::string_view, std::string_view> bad[] = {
      {"a\0b"sv, "ab"},
      {"a\xff"sv, "a\xef\xbf\xbd"},
      {"\xc3"sv, "\xef\xbf\xbd"},                                    // cut
      {"\xed\xa0\x80"sv, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"sv},  // a surrogate
      {"\xc0\x80"sv, "\xef\xbf\xbd\xef\xbf\xbd"},                    // overlong NUL
  };
  for (const auto& [text, made] : bad) {
    EXPECT_FALSE(is_utf8_text(text));
    EXPECT_EQ(to_utf8_text(text), made);
    EXPECT_TRUE(is_utf8_text(to_utf8_text(text)));
  }
}

TEST(JsonString, EscapesWhatMustBeAndKeepsTheRest) {
  EXPECT_EQ(json_string("a\"b\\c\n\x01\xc3\xa4\xff"), "\"a\\\"b\\\\c\\u000a\\u0001\xc3\xa4\xef\xbf\xbd\"");
}

TEST(AccountName, FollowsTheContract) {
  for (const char* good :
       {"a", "flat-me", "0.a_b", "a123456789012345678901234567890123456789012345678901234567890123"}) {
    EXPECT_TRUE(is_account_name(good)) << good;
  }
  for (const char* bad : {"", "-a", ".a", "A", "a b", "a/b", "\xc3\xa4",
                          "a1234567890123456789012345678901234567890123456789012345678901234"}) {
    EXPECT_FALSE(is_account_name(bad)) << bad;
  }
}

TEST(NearestWord, OffersAWordOnlyWhenItIsNear) {
  const std::array<std::string_view, 3> known{"client_id", "client_secret", "scopes"};
  EXPECT_EQ(nearest_word("clientid", known), "client_id");
  EXPECT_EQ(nearest_word("scope", known), "scopes");
  EXPECT_EQ(nearest_word("banana", known), "");
}

TEST(Encoding, RoundTripsAndRefusesWhatIsNotExact) {
  for (const std::string& bytes :
       {std::string(), std::string("f"), std::string("fo"), std::string("foo"), std::string("\0\xff\x10", 3)}) {
    EXPECT_EQ(decode_base64(encode_base64(bytes)), bytes);
    EXPECT_EQ(decode_base64url(encode_base64url(bytes)), bytes);
  }
  EXPECT_EQ(encode_base64("fo"), "Zm8=");
  EXPECT_EQ(encode_base64url("\xfb\xff"), "-_8");
  EXPECT_FALSE(decode_base64("Zm8"));
  EXPECT_FALSE(decode_base64url("a"));
  EXPECT_FALSE(decode_base64url("a*bc"));
  EXPECT_EQ(decode_base64url("Zm8="), "fo");
  EXPECT_FALSE(decode_base64url("Zm8=="));
  for (const char* loose : {"Zm9=", "Zh==", "Zm="})  // bits or signs that no encoder writes
    EXPECT_FALSE(decode_base64(loose)) << loose;
  EXPECT_FALSE(decode_base64url("Zm9"));
}

TEST(Encoding, FormAndPercentDifferWhereTheirRulesDo) {
  EXPECT_EQ(encode_form("a b+c~/\xc3\xa4"), "a+b%2Bc%7E%2F%C3%A4");
  EXPECT_EQ(encode_percent("a b+c~/"), "a%20b%2Bc~%2F");
  EXPECT_EQ(decode_percent("a+b%2B", true), "a b+");
  EXPECT_EQ(decode_percent("a+b%2b", false), "a+b+");
  EXPECT_FALSE(decode_percent("%2", false));
  EXPECT_FALSE(decode_percent("%zz", false));
}

}  // namespace
}  // namespace credsync
