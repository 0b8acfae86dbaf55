// No secret is readable in any file of the state directory, at any moment we can look.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "tests/unit/store/store_testing.h"

namespace credsync::store {
namespace {

using namespace credsync::store::testing;
namespace fs = std::filesystem;

// In every secret of these tests.
constexpr char kCanary[] = "canary";

account::TokenSet canaries(const std::string& mark) {
  account::TokenSet t = tokens(std::string(kCanary) + mark);
  t.extra["canary-key" + mark] = "value";
  return t;
}

Retirement canary_retirement(Generation generation) {
  return retirement("a", generation, kCanary + std::to_string(generation), RetiredKind::kRefresh);
}

class CanaryScan : public ::testing::Test {
 protected:
  CanaryScan() : store_(std::move(*SqliteStore::open(options_for(folder_.state()), loop_, clock_))) {
    EXPECT_TRUE(store_->load());
  }
  void scan(const std::string& when) {
    unsigned files = 0;
    for (const auto& entry : fs::directory_iterator(folder_.state())) {
      ++files;
      EXPECT_EQ(read_all(entry.path()).find(kCanary), std::string::npos) << entry.path() << ' ' << when;
    }
    EXPECT_GE(files, 4u);
  }
  void applied(Change change) {
    ASSERT_TRUE(apply(*store_, loop_, std::move(change)));
    scan("after change " + std::to_string(++changes_));
  }
  Install canary_install(Generation generation, std::optional<SlotId> slot) {
    Install change = install("a", generation, slot);
    change.tokens = canaries(std::to_string(generation));
    change.retire.clear();
    change.retire.push_back(canary_retirement(generation - 1));
    change.kept_password = Secret(std::string(kCanary) + "-password");
    change.replace_kept_password = true;
    return change;
  }

  TestLoop loop_;
  TestClock clock_;
  TemporaryFolder folder_;
  std::unique_ptr<SqliteStore> store_;
  unsigned changes_ = 0;
};

TEST_F(CanaryScan, FindsNothing) {
  applied(canary_install(1, std::nullopt));
  const auto slot = begin(*store_, loop_, intent("a", 1));
  applied(canary_install(2, *slot));
  ParkedGrant grant = parked("a", 2);
  grant.tokens = canaries("parked");
  grant.order = Secret(std::string(kCanary) + "-order");
  const auto id = apply(*store_, loop_, Park{std::move(grant)});
  ASSERT_TRUE(id);
  scan("parked");
  applied(SetParkedOrder{id->at(0), Secret(std::string(kCanary) + "-later")});
  const auto late = begin(*store_, loop_, intent("a", 2));
  UpdateParked update{id->at(0), 3, canaries("late"), {}, *late};
  update.retire.push_back(canary_retirement(2));
  applied(std::move(update));
  applied(Restore{id->at(0), standing()});
  SignOut out{"a", {}, standing(State::kSignedOut)};
  out.retire.push_back(canary_retirement(3));
  applied(std::move(out));
  const auto slot_of_late = begin(*store_, loop_, intent("a", 3));
  QueueRetirements queue{{}, *slot_of_late};
  queue.retire.push_back(canary_retirement(4));
  applied(std::move(queue));
  store_.reset();
  scan("closed");
}

TEST_F(CanaryScan, SeesWhatIsThere) {
  write_all(folder_.state() + "/leak", std::string("x") + kCanary);
  EXPECT_NE(read_all(folder_.state() + "/leak").find(kCanary), std::string::npos);
}

// While the daemon runs on, the write-ahead log loses what was erased.
TEST_F(CanaryScan, ErasedTokensLeaveTheLogOfARunningStore) {
  const std::string log = folder_.state() + "/state.db-wal";
  QueueRetirements queue;
  queue.retire.push_back(retirement("a", 1, "old"));
  const auto id = apply(*store_, loop_, std::move(queue));
  ASSERT_GT(fs::file_size(log), 0u);
  ASSERT_TRUE(apply(*store_, loop_, RetirementOver{id->at(0)}));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (fs::file_size(log) > 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(fs::file_size(log), 0u);
}

// Sealed bytes too leave the disk: whoever steals the key later finds no superseded token.
TEST_F(CanaryScan, ErasedTokensLeaveEveryFile) {
  ASSERT_TRUE(apply(*store_, loop_, install("a", 1)));
  QueueRetirements queue;
  queue.retire.push_back(retirement("a", 1, "old"));
  const auto id = apply(*store_, loop_, std::move(queue));
  store_.reset();
  std::string sealed;
  {
    auto opened = SqliteStore::open(options_for(folder_.state()), loop_, clock_);
    ASSERT_TRUE(opened);
    ASSERT_TRUE((*opened)->load());
    const std::string whole = read_all(folder_.state() + "/state.db");
    // The seal of the retirement: format byte, nonce, text; found as the bytes that a copy without the row lacks.
    ASSERT_TRUE(apply(**opened, loop_, RetirementOver{id->at(0)}));
    opened->reset();
    const std::string after = read_all(folder_.state() + "/state.db");
    ASSERT_EQ(whole.size(), after.size());
    for (std::size_t at = 0; at + 40 <= whole.size(); at += 1) {
      if (whole.compare(at, 40, after, at, 40) != 0 && after.compare(at, 40, std::string(40, '\0')) == 0) {
        sealed = whole.substr(at, 40);
        break;
      }
    }
  }
  ASSERT_FALSE(sealed.empty()) << "erasing overwrites with zeros";
  for (const auto& entry : fs::directory_iterator(folder_.state())) {
    EXPECT_EQ(read_all(entry.path()).find(sealed), std::string::npos) << entry.path();
  }
}

}  // namespace
}  // namespace credsync::store
