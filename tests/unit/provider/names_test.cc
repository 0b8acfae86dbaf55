#include "daemon/provider/names.h"

#include <gtest/gtest.h>

#include <set>

namespace credsync::provider {
namespace {

template <typename Enum>
void expect_a_word_for_each() {
  std::set<std::string_view> words;
  int next = 0;
  for (const auto& entry : names_of(Enum{})) {
    EXPECT_EQ(static_cast<int>(entry.value), next++) << entry.name;  // none left out, in order
    EXPECT_TRUE(words.insert(entry.name).second) << entry.name;
    EXPECT_EQ(to_name(entry.value), entry.name);
    EXPECT_EQ(from_name<Enum>(entry.name), entry.value);
  }
  EXPECT_EQ(from_name<Enum>("no such word"), std::nullopt);
  EXPECT_EQ(from_name<Enum>(""), std::nullopt);
}

TEST(Names, EveryEnumGoesToItsWordAndBack) {
  expect_a_word_for_each<Encoding>();
  expect_a_word_for_each<ClientAuth>();
  expect_a_word_for_each<Grant>();
  expect_a_word_for_each<RequestKind>();
  expect_a_word_for_each<BasicEncoding>();
  expect_a_word_for_each<Pkce>();
  expect_a_word_for_each<StateUse>();
  expect_a_word_for_each<RedirectPort>();
  expect_a_word_for_each<AnswerFormat>();
  expect_a_word_for_each<TimeUnit>();
  expect_a_word_for_each<RefreshHow>();
  expect_a_word_for_each<Rotation>();
  expect_a_word_for_each<RevokeHow>();
  expect_a_word_for_each<Cascade>();
  expect_a_word_for_each<ErrorClass>();
  expect_a_word_for_each<ResetMeans>();
}

TEST(Names, TheLastOfEachEnumHasAWord) {
  EXPECT_EQ(to_name(ClientAuth::kTls), "tls");
  EXPECT_EQ(to_name(Grant::kStatic), "static");
  EXPECT_EQ(to_name(RequestKind::kPush), "push");
  EXPECT_EQ(to_name(ErrorClass::kStartOver), "start-over");
  EXPECT_EQ(to_name(RevokeHow::kBearer), "bearer");
}

}  // namespace
}  // namespace credsync::provider
