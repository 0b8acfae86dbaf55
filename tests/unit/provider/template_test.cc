#include "daemon/provider/template.h"

#include <gtest/gtest.h>

namespace credsync::provider {
namespace {

Variable with_default(std::string value) {
  Variable variable;
  variable.fallback = std::move(value);
  return variable;
}

TEST(Template, PutsValuesInPlace) {
  const std::map<std::string, Variable> declared = {{"tenant", with_default("common")}, {"dc", {}}};
  EXPECT_EQ(*expand("https://{tenant}.example/{dc}/{tenant}", declared, {{"dc", "eu"}}),
            "https://common.example/eu/common");
  EXPECT_EQ(*expand("{tenant}", declared, {{"tenant", "acme.example"}}), "acme.example");
  EXPECT_EQ(*expand("no variables", declared, {}), "no variables");
}

TEST(Template, DoubledBracesAreBraces) {
  EXPECT_EQ(*expand(R"({{"a":1}})", {}, {}), R"({"a":1})");
  EXPECT_EQ(*expand("{{{a}}}", {{"a", with_default("x")}}, {}), "{x}");
}

TEST(Template, ReservedNamesStayUntilTheyAreFilled) {
  const auto url = expand("https://a.example/{client_id}/{token}", {}, {});
  ASSERT_TRUE(url.has_value());
  EXPECT_EQ(*url, "https://a.example/{client_id}/{token}");
  EXPECT_EQ(fill_reserved(*url, kClientIdVariable, "me"), "https://a.example/me/{token}");
  EXPECT_EQ(fill_reserved("{token}{token}", kTokenVariable, "{token}"), "{token}{token}")
      << "what is filled in is not filled again";
}

struct BrokenTemplate {
  std::string_view text;
  std::string_view complaint;
};

std::ostream& operator<<(std::ostream& out, const BrokenTemplate& broken) {
  return out << broken.text;
}

class BrokenTemplates : public ::testing::TestWithParam<BrokenTemplate> {};

TEST_P(BrokenTemplates, AreRefused) {
  const auto expanded = expand(GetParam().text, {{"known", {}}}, {});
  ASSERT_FALSE(expanded.has_value());
  EXPECT_NE(expanded.error().message().find(GetParam().complaint), std::string::npos) << expanded.error().message();
}

INSTANTIATE_TEST_SUITE_P(Template, BrokenTemplates,
                         ::testing::Values(BrokenTemplate{"a{b", "not closed"}, BrokenTemplate{"a}b", "without its {"},
                                           BrokenTemplate{"{}", "a-z, 0-9 and _"},
                                           BrokenTemplate{"{A}", "a-z, 0-9 and _"},
                                           BrokenTemplate{"{a b}", "a-z, 0-9 and _"},
                                           BrokenTemplate{"{unknown}", "declares no such variable"},
                                           BrokenTemplate{"{known}", "no value and no default"}));

TEST(Template, NamesEachVariableOnce) {
  EXPECT_EQ(*names_in_template("{b}{a}{b}{{c}}"), (std::vector<std::string>{"b", "a"}));
  EXPECT_FALSE(names_in_template("{").has_value());
}

// A value without a pattern can never end a host, a path or a query, nor bring user information.
class HostileValues : public ::testing::TestWithParam<std::string_view> {};

TEST_P(HostileValues, DoNotMatchTheDefaultPattern) {
  EXPECT_FALSE(check_value(Variable{}, GetParam()).has_value()) << GetParam();
  EXPECT_FALSE(expand("https://{host}/token", {{"host", {}}}, {{"host", std::string(GetParam())}}).has_value());
}

INSTANTIATE_TEST_SUITE_P(Template, HostileValues,
                         ::testing::Values("", "evil.example/", "me@evil.example", "a?b", "a#b", "a:1", "a b", "a\nb",
                                           "-a", ".a", "a%2e", "\\", "{token}", std::string_view("a\0b", 3)));

TEST(Template, EnumAndPatternDecideAlone) {
  Variable words;
  words.allowed = {"com", "eu"};
  EXPECT_TRUE(check_value(words, "eu").has_value());
  EXPECT_EQ(check_value(words, "us").error().message(), "must be one of com, eu");
  Variable pattern;
  pattern.pattern = "[a-z]{2}";
  EXPECT_TRUE(check_value(pattern, "ja").has_value());
  EXPECT_FALSE(check_value(pattern, "jap").has_value()) << "a pattern matches the whole value";
  EXPECT_FALSE(check_value(pattern, "ja\n").has_value());
  pattern.pattern = "[";
  EXPECT_FALSE(check_value(pattern, "a").has_value());
}

TEST(Template, OverlongValuesAreRefusedBeforeAPatternRuns) {
  Variable slow;
  slow.pattern = "(a*)*b";
  EXPECT_FALSE(check_value(slow, std::string(100000, 'a')).has_value());
}

TEST(Resolve, FillsDefaultsAndNamesWhatIsMissing) {
  const std::map<std::string, Variable> declared = {{"a", with_default("1")}, {"b", {}}};
  EXPECT_EQ(*resolve(declared, {{"b", "2"}}), (StringMap{{"a", "1"}, {"b", "2"}}));
  EXPECT_EQ(resolve(declared, {}).error().message(), "b: the provider needs this variable and has no default for it");
  EXPECT_EQ(resolve(declared, {{"c", "3"}}).error().message(), "c: the provider has no such variable");
  EXPECT_FALSE(resolve(declared, {{"b", "/"}}).has_value());
}

}  // namespace
}  // namespace credsync::provider
