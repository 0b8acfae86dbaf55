#include "daemon/store/sealer.h"

#include <gtest/gtest.h>

namespace credsync::store {
namespace {

class Seals : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { start_sealing(); }
  const std::string bytes_ = "0123456789abcdef0123456789abcdef";
  const Sealer sealer_{Key::from(bytes_)};
  const Place place_{"accounts.tokens", "flat-me", 7, 0};
};

TEST_F(Seals, OpenWhereTheyWereMade) {
  const std::string sealed = sealer_.seal("secret", place_);
  EXPECT_EQ(sealed.size(), 6 + kSealOverhead);
  EXPECT_EQ(sealed.find("secret"), std::string::npos);
  EXPECT_EQ(sealer_.open(sealed, place_)->text(), "secret");
  EXPECT_EQ(Sealer(Key::from(bytes_)).open(sealed, place_)->text(), "secret");
  EXPECT_EQ(sealer_.open(sealer_.seal("", place_), place_)->text(), "");
}

TEST_F(Seals, DoNotOpenElsewhere) {
  const std::string sealed = sealer_.seal("secret", place_);
  const Place elsewhere[] = {{"accounts.kept_password", "flat-me", 7, 0}, {"accounts.tokens", "flat-you", 7, 0},
                             {"accounts.tokens", "flat-me", 6, 0},        {"accounts.tokens", "flat-me", 8, 0},
                             {"accounts.tokens", "flat-me", 7, 1},        {"accounts.token", "sflat-me", 7, 0}};
  for (const Place& place : elsewhere) {
    EXPECT_EQ(sealer_.open(sealed, place).error().code(), ErrorCode::kCorrupt) << place.column << place.account;
  }
}

TEST_F(Seals, DoNotOpenWithAnotherKey) {
  EXPECT_FALSE(Sealer(Key::random()).open(sealer_.seal("secret", place_), place_));
}

TEST_F(Seals, DoNotOpenWithAnyByteChangedOrMissing) {
  const std::string sealed = sealer_.seal("secret", place_);
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    std::string damaged = sealed;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    EXPECT_FALSE(sealer_.open(damaged, place_)) << i;
    EXPECT_FALSE(sealer_.open(std::string_view(sealed).substr(0, i), place_)) << i;
  }
}

TEST_F(Seals, OfTheSameTextDiffer) {
  EXPECT_NE(sealer_.seal("secret", place_), sealer_.seal("secret", place_));
}

TEST_F(Seals, KeysAreNamedWithoutBeingTold) {
  const Key key = Key::from(bytes_);
  EXPECT_EQ(key.id(), Key::from(bytes_).id());
  EXPECT_NE(key.id(), Key::random().id());
  EXPECT_EQ(key.id().size(), 16u);
}

}  // namespace
}  // namespace credsync::store
