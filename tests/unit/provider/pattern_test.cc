// Patterns of variables: what they may be, and that none costs more than its bounds say, whatever it is tried on.
#include "daemon/provider/pattern.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <functional>

#include "daemon/provider/template.h"

namespace credsync::provider {
namespace {

std::string repeated(std::string_view text, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i)
    out += text;
  return out;
}

std::string why_not(const std::string& pattern) {
  const auto checked = check_pattern(pattern);
  return checked ? "" : checked.error().message();
}

// Runs on a stack of two MiB, a quarter of what the main thread has: whoever needs more ends the test.
void on_a_small_stack(std::function<void()> work) {
  constexpr std::size_t kStack = 2 * 1024 * 1024;
  pthread_attr_t attributes;
  ASSERT_EQ(::pthread_attr_init(&attributes), 0);
  ASSERT_EQ(::pthread_attr_setstacksize(&attributes, kStack), 0);
  pthread_t thread;
  const auto run = [](void* given) -> void* {
    (*static_cast<std::function<void()>*>(given))();
    return nullptr;
  };
  ASSERT_EQ(::pthread_create(&thread, &attributes, run, &work), 0);
  ASSERT_EQ(::pthread_join(thread, nullptr), 0);
  ::pthread_attr_destroy(&attributes);
}

TEST(Pattern, MatchesTheWholeValue) {
  const std::string host = R"((?:(?:www|[a-z]{2})\.)?(?:fflogs|warcraftlogs)\.com)";
  EXPECT_TRUE(*matches_pattern(host, "www.fflogs.com"));
  EXPECT_TRUE(*matches_pattern(host, "fflogs.com"));
  EXPECT_FALSE(*matches_pattern(host, "fflogs.com.evil.example"));
  EXPECT_FALSE(*matches_pattern(host, "evil.example/fflogs.com"));
  EXPECT_TRUE(*matches_pattern("(?!admin)[[:alpha:]-]+", "me-too"));
  EXPECT_FALSE(*matches_pattern("(?!admin)[[:alpha:]-]+", "administrator"));
}

TEST(Pattern, IsRefusedWhereItCannotBeUsed) {
  EXPECT_EQ(why_not("["), "is not a regular expression (ECMAScript)");
  EXPECT_EQ(why_not("a{2"), "is not a regular expression (ECMAScript)");
  EXPECT_EQ(why_not(R"((a)\1)"), "has a back reference");
  EXPECT_EQ(why_not("(?=a(?!b))a"), "has a lookahead inside another");
  EXPECT_EQ(why_not("(?=a(b(?=c)))a"), "has a lookahead inside another");
  EXPECT_EQ(why_not("(?=a)a(?=b)b"), "");
}

TEST(Pattern, IsBounded) {
  EXPECT_EQ(why_not(std::string(kMaxPatternBytes, 'a')), "");
  EXPECT_EQ(why_not(std::string(kMaxPatternBytes + 1, 'a')), "is longer than 256 bytes");
  const std::string kTooMuch = "stands for more than 1024 characters, repetitions counted";
  EXPECT_EQ(why_not("[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}"), "");
  EXPECT_EQ(why_not("a{1024}"), "");
  for (const char* pattern :
       {"a{1025}", "a{0,1025}", "a{1025,}", "(a{32}){32}", "(?:a{32}b){32}", "((a{9}){9}){9}a{99}{9}", "a{30}{40}",
        "[[:alpha:]]{1025}", "[)](b[(]{600}){2}", R"([\]]{1025})", "a{99999999999999999999999}", "(a{600}|b{600})"})
    EXPECT_EQ(why_not(pattern), kTooMuch) << pattern;
}

// What the scan makes of broken sets must not matter.
TEST(Pattern, IsCountedToItsEndHoweverItIsBroken) {
  for (const char* pattern :
       {"[[", "[[:", "[[:a", "[[:]", "[\\", "\\", "(", "((", ")", "{", "{1", "{,", "(?", "[]", "[^]", "a{,3}", "[[=]"})
    static_cast<void>(check_pattern(pattern));
}

// (a*)*b on 253 times `a` would take for ever if it were tried by going back.
TEST(Pattern, TakesNoExponentialTime) {
  const std::string value(kMaxVariableBytes, 'a');
  for (const char* pattern : {"(a*)*b", "(a|a)*b", "(a?){200}a{200}b", "(?:(?=(?:a*)*b)a|a)*b"}) {
    const auto matches = matches_pattern(pattern, value);
    ASSERT_TRUE(matches) << pattern;
    EXPECT_FALSE(*matches) << pattern;
  }
}

TEST(Pattern, TakesNoMoreStackThanThereIs) {
  on_a_small_stack([] {
    const std::string value(kMaxVariableBytes, 'a');
    for (const std::string& pattern :
         {std::string(kMaxPatternBytes, '('), repeated("(", 128) + repeated(")", 128), repeated("(?=", 60),
          std::string(256, 'a'), std::string("(a()" + std::string("{250}") + ")*"),
          std::string("(()" + std::string("{300})*")), std::string("(a|b?){100}(c?){300}"), repeated("a|", 127),
          repeated("a*", 128), std::string("(a?){250}"), std::string("a{1024}")})
      static_cast<void>(matches_pattern(pattern, value));
  });
}

TEST(Pattern, IsWhatAValueIsHeldTo) {
  Variable variable;
  variable.pattern = R"((a)\1)";
  EXPECT_EQ(check_value(variable, "aa").error().message(), R"(the pattern (a)\1 has a back reference)");
  variable.pattern = ".*";
  EXPECT_TRUE(check_value(variable, std::string(kMaxVariableBytes, 'a')));
  EXPECT_EQ(check_value(variable, std::string(kMaxVariableBytes + 1, 'a')).error().message(), "longer than 253 bytes");
}

}  // namespace
}  // namespace credsync::provider
