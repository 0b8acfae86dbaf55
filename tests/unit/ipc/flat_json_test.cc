#include "ipc/http/flat_json.h"

#include <gtest/gtest.h>

namespace credsync::ipc::http {
namespace {

std::string string_of(std::string_view body) {
  auto object = FlatObject::parse(body);
  if (!object) return "refused: " + object.error().message();
  auto value = object->take_string("a");
  return value ? std::string(value->expose()) : "no string";
}

TEST(FlatJsonTest, ReadsStringsWithEveryEscape) {
  EXPECT_EQ(string_of(R"({"a":""})"), "");
  EXPECT_EQ(string_of(R"({"a":"\"\\\/\b\f\n\r\t"})"), "\"\\/\b\f\n\r\t");
  EXPECT_EQ(string_of(R"({"a":"\u0041\u00e9\u20ac\ud83d\ude00\uFFFF"})"),
            "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbf");
  EXPECT_EQ(string_of("{\"a\":\"\xc3\xa9\xf0\x9f\x98\x80\x7f\"}"), "\xc3\xa9\xf0\x9f\x98\x80\x7f");
  EXPECT_EQ(string_of("\t{ \"\\u0061\" \r\n: \"x\" } \n"), "x");
}

TEST(FlatJsonTest, RefusesWhatIsNoString) {
  for (const std::string_view body : {R"({"a":"x)",
                                      R"({"a":"\)",
                                      R"({"a":"\u)",
                                      R"({"a":"\u12"})",
                                      R"({"a":"\x41"})",
                                      R"({"a":"\u00zz"})",
                                      R"({"a":"\ud83d"})",
                                      R"({"a":"\ud83dx"})",
                                      R"({"a":"\ud83d\u0041"})",
                                      R"({"a":"\ude00"})",
                                      R"({"a":"\u0000"})",
                                      "{\"a\":\"\x01\"}",
                                      "{\"a\":\"\n\"}",
                                      "{\"a\":\"\x80\"}",
                                      "{\"a\":\"\xc0\x80\"}",
                                      "{\"a\":\"\xe0\x80\x80\"}",
                                      "{\"a\":\"\xed\xa0\x80\"}",
                                      "{\"a\":\"\xf4\x90\x80\x80\"}",
                                      "{\"a\":\"\xf5\x80\x80\x80\"}",
                                      "{\"a\":\"\xc3\"}",
                                      "{\"a\":\"\xe2\x82\"}",
                                      "{\"a\":'x'}"}) {
    EXPECT_TRUE(string_of(body).starts_with("refused: ")) << body;
  }
  EXPECT_TRUE(string_of(std::string("{\"a\":\"x\0y\"}", 11)).starts_with("refused: "));
}

TEST(FlatJsonTest, ReadsWholeNumbers) {
  const struct {
    std::string_view text;
    std::optional<std::uint64_t> value;
  } numbers[] = {{"0", 0},
                 {"7", 7},
                 {"18446744073709551615", 18446744073709551615U},
                 {"18446744073709551616", {}},
                 {"-1", {}},
                 {"-0", {}},
                 {"1.0", {}},
                 {"1e3", {}},
                 {"1E-3", {}}};
  for (const auto& [text, value] : numbers) {
    const auto object = FlatObject::parse("{\"a\":" + std::string(text) + "}");
    ASSERT_TRUE(object) << text;
    EXPECT_EQ(object->whole_number("a"), value) << text;
  }
  EXPECT_EQ(FlatObject::parse(R"({"a":"7"})")->whole_number("a"), std::nullopt);
  EXPECT_EQ(string_of(R"({"a":7})"), "no string");
}

TEST(FlatJsonTest, ReadsTrueAndFalse) {
  auto object = FlatObject::parse(R"({"yes": true, "no":false,"text":"true"})");
  ASSERT_TRUE(object);
  EXPECT_EQ(object->flag("yes"), true);
  EXPECT_EQ(object->flag("no"), false);
  EXPECT_EQ(object->flag("text"), std::nullopt);
  EXPECT_EQ(object->flag("none"), std::nullopt);
  EXPECT_FALSE(object->take_string("yes"));
  EXPECT_FALSE(object->whole_number("yes"));
}

TEST(FlatJsonTest, RefusesWhatIsNoFlatObject) {
  for (const std::string_view body : {"",
                                      " ",
                                      "null",
                                      "[]",
                                      "\"a\"",
                                      "7",
                                      "{",
                                      "}",
                                      "{}}",
                                      "{}{}",
                                      "{} x",
                                      "{a:1}",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1,}",
                                      "{,}",
                                      "{\"a\":1 \"b\":2}",
                                      "{\"a\":1;\"b\":2}",
                                      "{\"a\":01}",
                                      "{\"a\":+1}",
                                      "{\"a\":.5}",
                                      "{\"a\":1.}",
                                      "{\"a\":1e}",
                                      "{\"a\":-}",
                                      "{\"a\":0x1}",
                                      "{\"a\":NaN}",
                                      "{\"a\":truer}",
                                      "{\"a\":null}",
                                      "{\"a\":[]}",
                                      "{\"a\":{}}",
                                      "{\"a\":1,\"a\":2}",
                                      "{\"a\":1,\"\\u0061\":2}",
                                      "\xef\xbb\xbf{}",
                                      "{\"a\":1}//"}) {
    EXPECT_FALSE(FlatObject::parse(body)) << body;
  }
}

TEST(FlatJsonTest, BoundsItsMembers) {
  std::string body = "{";
  for (std::size_t i = 0; i < FlatObject::kMostMembers; ++i)
    body += (i ? ",\"" : "\"") + std::to_string(i) + "\":1";
  EXPECT_TRUE(FlatObject::parse(body + "}"));
  EXPECT_FALSE(FlatObject::parse(body + ",\"x\":1}"));
}

TEST(FlatJsonTest, ARefusalNeverRepeatsWhatWasSent) {
  for (const std::string_view body :
       {R"({"canary":canary})", R"({"canary":"canary)", R"(canary)", R"({"canary":1,"canary":2})"}) {
    EXPECT_EQ(FlatObject::parse(body).error().message().find("canary"), std::string::npos);
  }
}

TEST(FlatJsonTest, NoPrefixOfABodyIsTakenForTheWhole) {
  const std::string_view body = R"({"access_token":"\u00e9x\n","generation":-1.5e+3})";
  ASSERT_TRUE(FlatObject::parse(body));
  for (std::size_t size = 0; size < body.size(); ++size)
    EXPECT_FALSE(FlatObject::parse(body.substr(0, size))) << size;
}

}  // namespace
}  // namespace credsync::ipc::http
