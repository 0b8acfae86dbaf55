#include "daemon/oauth/json_value.h"

#include <gtest/gtest.h>

#include <cmath>

namespace credsync::oauth {
namespace {

std::string text_at(std::string_view document, std::string_view path) {
  const auto value = JsonValue::parse(document);
  if (!value) return "(not JSON)";
  const JsonValue* found = value->at(path);
  return found == nullptr ? "(nothing)" : std::string(found->text());
}

TEST(JsonDocument, EndsWhereItEnds) {
  const std::string good = R"({"access_token":"a"})";
  EXPECT_TRUE(JsonValue::parse(good));
  // The library takes the byte 0xff for the end of its input.
  for (const char* more : {",\"x\"]\xff", ",\"x\"],\xff[\"y\",2", R"(,"x"])", R"(,"x"],["y",2)", R"(,"x"] and words)",
                           R"(,"xxxxxxxxxxxxxxxxxxxxxxx"]{)"})
    EXPECT_FALSE(JsonValue::parse(good + more)) << more;
}

TEST(JsonValue, WalksADottedPathThroughObjectsAndArrays) {
  constexpr std::string_view kDocument = R"({"data":[{"token":"t"}],"a.b":{"c":1},"flag":true,"none":null})";
  EXPECT_EQ(text_at(kDocument, "data.0.token"), "t");
  EXPECT_EQ(text_at(kDocument, "a.b"), "") << "a key that holds the dot itself";
  EXPECT_EQ(text_at(kDocument, "flag"), "true");
  EXPECT_EQ(text_at(kDocument, "none"), "");
  for (const std::string_view path : {"data.1.token", "data.x", "data.-1", "data.0.token.x", "nowhere", "data.", ".",
                                      "data..0", "data.99999999999999999999999"}) {
    EXPECT_EQ(text_at(kDocument, path), "(nothing)") << path;
  }
}

TEST(JsonValue, KeepsTheTextOfNumbers) {
  constexpr std::string_view kDocument =
      R"({"int":3600,"big":18446744073709551615,"huge":99999999999999999999999999,"neg":-5,"real":0.5,"exp":1e400})";
  EXPECT_EQ(text_at(kDocument, "int"), "3600");
  EXPECT_EQ(text_at(kDocument, "big"), "18446744073709551615");
  EXPECT_EQ(text_at(kDocument, "huge"), "99999999999999999999999999") << "the library alone would throw";
  EXPECT_EQ(text_at(kDocument, "neg"), "-5");
  EXPECT_EQ(text_at(kDocument, "real"), "0.5");
  EXPECT_EQ(text_at(kDocument, "exp"), "1e400");
}

TEST(JsonValue, LastOfEqualKeysWins) {
  EXPECT_EQ(text_at(R"({"a":"1","a":"2"})", "a"), "2");
}

TEST(JsonValue, RefusesWhatIsNotOneDocument) {
  for (const std::string_view bad : {"",
                                     " ",
                                     "{",
                                     "{\"a\":",
                                     "{\"a\":1",
                                     "{\"a\":\"x",
                                     "{\"a\":\"x\\",
                                     "{\"a\":1}{}",
                                     "{},{}",
                                     "1],[2",
                                     "\"a\",\"b\"",
                                     ",",
                                     "{\"a\":1,}",
                                     "{'a':1}",
                                     "{\"a\":tru}",
                                     "{\"a\":01}",
                                     "{\"a\":NaN}",
                                     "nonsense",
                                     "{\"a\" 1}",
                                     "[1,2",
                                     "{\"a\":\"\\u12\"}",
                                     "{\"a\":-}",
                                     "{\"a\":1.2.3.4.5.6.7.8.9.0.1.2.3.4}x",
                                     "\xef\xbb\xbf"}) {
    EXPECT_FALSE(JsonValue::parse(bad)) << bad;
  }
}

TEST(JsonValue, RefusesAKeyWithANul) {
  EXPECT_FALSE(JsonValue::parse("{\"access_token\\u0000x\":\"t\"}"));
  EXPECT_FALSE(JsonValue::parse("{\"a\\u0000\" \n : 1}"));
  EXPECT_FALSE(JsonValue::parse(std::string("{\"a\0b\":1}", 9)));
  const auto value = JsonValue::parse("{\"a\":\"x\\u0000y\"}");
  ASSERT_TRUE(value);
  EXPECT_EQ(value->member("a")->text(), std::string_view("x\0y", 3)) << "in a value it is only text";
}

TEST(JsonValue, MendsBrokenTextInsideStrings) {
  EXPECT_EQ(text_at("{\"a\":\"x\xff\",\"t\":\"ok\"}", "t"), "ok");
  EXPECT_EQ(text_at("{\"a\":\"x\xff\"}", "a"), "x\xef\xbf\xbd");
  EXPECT_EQ(text_at("{\"a\":\"\xed\xa0\x80\"}", "a"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd") << "a surrogate in UTF-8";
  EXPECT_EQ(text_at("{\"a\":\"\xc0\xaf\"}", "a"), "\xef\xbf\xbd\xef\xbf\xbd") << "an overlong form";
  EXPECT_EQ(text_at(R"({"a":"\ud800"})", "a"), "\xef\xbf\xbd");
  EXPECT_EQ(text_at(R"({"a":"\udc00x"})", "a"), "\xef\xbf\xbdx");
  EXPECT_EQ(text_at(R"({"a":"\ud800\u0041"})", "a"),
            "\xef\xbf\xbd"
            "A");
  EXPECT_EQ(text_at(R"({"a":"\ud83d\ude00"})", "a"), "\xf0\x9f\x98\x80");
  EXPECT_EQ(text_at("{\"a\":\"one\ntwo\"}", "a"), "one\xef\xbf\xbdtwo");
  EXPECT_EQ(text_at("\xef\xbb\xbf{\"a\":\"mark\"}", "a"), "mark");
  EXPECT_EQ(text_at(R"({"a":"q\"\\u0000","t":"ok"})", "t"), "ok") << "an escaped backslash begins no escape";
}

TEST(JsonValue, DepthAndSizeAreBounded) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + "1" + std::string(depth, ']'); };
  EXPECT_TRUE(JsonValue::parse(nested(kMaxJsonDepth)));
  EXPECT_FALSE(JsonValue::parse(nested(kMaxJsonDepth + 1)));
  EXPECT_FALSE(JsonValue::parse(nested(30000)));
  const std::string padded = "{\"a\":\"" + std::string(kMaxJsonBytes, 'x') + "\"}";
  EXPECT_FALSE(JsonValue::parse(padded));
  EXPECT_TRUE(JsonValue::parse(padded, 2 * kMaxJsonBytes));
}

TEST(ParseNumber, TakesWholeTextsOnly) {
  EXPECT_EQ(parse_number("3600"), 3600);
  EXPECT_EQ(parse_number(" 3600.5\n"), 3600.5);
  EXPECT_EQ(parse_number("+7"), 7);
  EXPECT_EQ(parse_number("-1"), -1);
  EXPECT_EQ(parse_number("1e3"), 1000);
  EXPECT_TRUE(std::isinf(*parse_number("1e999")));
  EXPECT_EQ(parse_number("1e-999"), 0);
  EXPECT_TRUE(std::isinf(*parse_number(std::string(400, '9'))));
  for (const std::string_view bad : {"", " ", "x", "12x", "0x10", "inf", "nan", "1 2", "--1", "+-1", "1,5"}) {
    EXPECT_FALSE(parse_number(bad)) << bad;
  }
}

TEST(IsUtf8, TellsBrokenText) {
  EXPECT_TRUE(is_utf8("plain \xc3\xa4 \xf0\x9f\x98\x80"));
  for (const std::string_view bad : {"\xff", "\xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe0\x80\x80", "\xc0\x80"})
    EXPECT_FALSE(is_utf8(bad));
}

}  // namespace
}  // namespace credsync::oauth
