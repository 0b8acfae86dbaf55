#include "daemon/store/recovery_key.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <set>

namespace credsync::store {
namespace {

constexpr char kAlphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

std::string text_of(const RecoveryKey& key) {
  return key.text().text();
}

std::string trouble(const std::string& text) {
  const auto key = RecoveryKey::parse(text);
  return key ? "none" : key.error().message();
}

TEST(RecoveryKeys, AreReadAsTheyWereWritten) {
  std::set<std::string> seen;
  for (int i = 0; i < 200; ++i) {
    const RecoveryKey key = RecoveryKey::random();
    const std::string text = text_of(key);
    ASSERT_EQ(text.size(), 47u);
    EXPECT_EQ(text.find_first_not_of(std::string(kAlphabet) + "-"), std::string::npos) << text;
    EXPECT_EQ(std::count(text.begin(), text.end(), '-'), 7);
    const auto read = RecoveryKey::parse(text);
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_EQ(read->key().id(), key.key().id());
    EXPECT_EQ(text_of(*read), text);
    EXPECT_TRUE(seen.insert(text).second);
  }
}

TEST(RecoveryKeys, AreReadAsPeopleTypeThem) {
  const RecoveryKey key = RecoveryKey::random();
  const std::string text = text_of(key);
  std::string spaced = text, lower = text, together = text, confused = text;
  std::replace(spaced.begin(), spaced.end(), '-', ' ');
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  std::erase(together, '-');
  std::replace(confused.begin(), confused.end(), '1', 'l');
  std::replace(confused.begin(), confused.end(), '0', 'O');
  for (const std::string& typed : {spaced, lower, together, confused, "  " + text + "\r\n"}) {
    const auto read = RecoveryKey::parse(typed);
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_EQ(read->key().id(), key.key().id());
  }
}

// Each wrong character, each pair that changed places, in every group.
TEST(RecoveryKeys, EverySimpleMistakeIsToldWithItsPlace) {
  const std::string text = text_of(RecoveryKey::random());
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '-') continue;
    const std::string place = "there is a mistake in group " + std::to_string(at / 6 + 1) + " of 8";
    for (const char c : std::string(kAlphabet)) {
      if (c == text[at]) continue;
      std::string wrong = text;
      wrong[at] = c;
      ASSERT_EQ(trouble(wrong), place) << c << " at " << at;
    }
    for (std::size_t other = at + 1; other < text.size() && text[other] != '-'; ++other) {
      if (text[other] == text[at]) continue;
      std::string wrong = text;
      std::swap(wrong[at], wrong[other]);
      ASSERT_EQ(trouble(wrong), place) << at << " and " << other;
    }
  }
}

TEST(RecoveryKeys, GroupsThatChangedPlacesAreTold) {
  const std::string text = text_of(RecoveryKey::random());
  for (std::size_t a = 0; a < 8; ++a) {
    for (std::size_t b = a + 1; b < 8; ++b) {
      std::string wrong = text;
      wrong.replace(a * 6, 5, text.substr(b * 6, 5)).replace(b * 6, 5, text.substr(a * 6, 5));
      if (wrong == text) continue;
      EXPECT_EQ(trouble(wrong),
                "there is a mistake in group " + std::to_string(a + 1) + ", " + std::to_string(b + 1) + " of 8");
    }
  }
}

TEST(RecoveryKeys, MissingAndForeignCharactersAreTold) {
  const std::string text = text_of(RecoveryKey::random());
  EXPECT_EQ(trouble(""), "a recovery key has 40 letters and digits, these are 0");
  EXPECT_EQ(trouble(text.substr(1)), "a recovery key has 40 letters and digits, these are 39");
  EXPECT_EQ(trouble(text + "0"), "a recovery key has 40 letters and digits, these are 41");
  EXPECT_EQ(trouble(std::string(100'000, '7')), "a recovery key has 40 letters and digits, these are 100000");
  for (const char c : std::string("Uu*!\0\x7f\xc3", 7)) {
    std::string wrong = text;
    wrong[13] = c;
    EXPECT_EQ(trouble(wrong), "group 3 has a character that no recovery key has");
  }
}

}  // namespace
}  // namespace credsync::store
