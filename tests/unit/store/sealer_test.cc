#include "daemon/store/sealer.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <future>
#include <vector>

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

// What /proc/self/smaps says of the mapping that holds this address.
std::string mapping_flags(const void* address) {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  std::ifstream maps("/proc/self/smaps");
  bool inside = false;
  std::string mode;
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t from = 0;
    std::uintptr_t to = 0;
    char rights[5] = "";
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " %4s", &from, &to, rights) == 3) {
      inside = from <= at && at < to;
      if (inside) mode = rights;
    }
    if (inside && line.rfind("VmFlags:", 0) == 0) return mode + line.substr(8) + " ";
  }
  return "";
}

TEST_F(Seals, AKeyIsReachableOnlyWhileItIsRead) {
  const Key key = Key::from(bytes_);
  const void* page = nullptr;
  {
    const Key::Reading reading = key.read();
    page = reading.bytes();
    EXPECT_EQ(mapping_flags(page).substr(0, 4), "r--p");
    EXPECT_EQ(reading.expose(), bytes_);
    const Key::Reading inside = key.read();
    EXPECT_EQ(inside.bytes(), page);
  }
  const std::string flags = mapping_flags(page);
  EXPECT_EQ(flags.substr(0, 4), "---p");
  EXPECT_NE(flags.find(" dd "), std::string::npos) << "not in a core dump: " << flags;
  rlimit locked{};
  ASSERT_EQ(::getrlimit(RLIMIT_MEMLOCK, &locked), 0);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr bool kLocks = false;  // they make mlock(2) do nothing
#else
  constexpr bool kLocks = true;
#endif
  if (kLocks && (locked.rlim_cur >= 65536 || ::geteuid() == 0)) {
    EXPECT_NE(flags.find(" lo "), std::string::npos) << "not in swap: " << flags;
  }
  EXPECT_EQ(Sealer(Key::from(bytes_)).open(store::seal(key, "secret", place_), place_)->text(), "secret");
  EXPECT_EQ(mapping_flags(page).substr(0, 4), "---p");
}

TEST_F(Seals, ManyThreadsReadOneKey) {
  const Key key = Key::from(bytes_);
  const auto work = [&] {
    for (int i = 0; i < 2000; ++i) {
      const std::string sealed = store::seal(key, "secret", place_);
      if (!store::open(key, sealed, place_)) return false;
    }
    return true;
  };
  std::vector<std::future<bool>> others;
  for (int i = 0; i < 3; ++i)
    others.push_back(std::async(std::launch::async, work));
  EXPECT_TRUE(work());
  for (auto& other : others)
    EXPECT_TRUE(other.get());
}

using SealsDeathTest = Seals;
TEST_F(SealsDeathTest, AReadElsewhereMeetsAFault) {
  const Key key = Key::from(bytes_);
  const unsigned char* page = key.read().bytes();
  EXPECT_DEATH(std::printf("%d\n", *static_cast<const volatile unsigned char*>(page)), "");
}

}  // namespace
}  // namespace credsync::store
