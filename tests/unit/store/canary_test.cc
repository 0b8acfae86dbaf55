// No secret is readable in any file of the state directory, at any moment we can look.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "daemon/store/sealer.h"
#include "daemon/store/sqlite.h"
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
  // Of a closed store.
  std::string sealed_retirement(std::int64_t id) {
    auto database = Database::open(folder_.state() + "/state.db");
    auto select = (*database)->prepare("SELECT secrets FROM retirements WHERE id = ?1");
    EXPECT_TRUE(*select->with(id).next());
    return std::string(select->blob(0));
  }
  bool holds(const std::string& bytes) {
    for (const auto& entry : fs::directory_iterator(folder_.state())) {
      if (read_all(entry.path()).find(bytes) != std::string::npos) return true;
    }
    return false;
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
  SignOut out{"a", {}, standing(State::kSignedOut), 4};
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
  while (fs::file_size(log) > 0 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::yield();
  EXPECT_EQ(fs::file_size(log), 0u);
}

// Sealed bytes too leave the disk: whoever steals the key later finds no superseded token.
TEST_F(CanaryScan, ErasedTokensLeaveEveryFile) {
  QueueRetirements queue;
  for (int i = 0; i < 5; ++i)
    queue.retire.push_back(retirement("a", 1, "old-" + std::to_string(i)));
  const auto ids = apply(*store_, loop_, std::move(queue));
  store_.reset();
  const std::string sealed = sealed_retirement(ids->at(2));
  ASSERT_GT(sealed.size(), kSealOverhead);
  ASSERT_TRUE(holds(sealed));

  store_ = std::move(*SqliteStore::open(options_for(folder_.state()), loop_, clock_));
  ASSERT_TRUE(store_->load());
  ASSERT_TRUE(apply(*store_, loop_, RetirementOver{ids->at(2)}));
  store_.reset();
  EXPECT_FALSE(holds(sealed));
  EXPECT_FALSE(holds(sealed.substr(30))) << "nor a part of it";
}

}  // namespace
}  // namespace credsync::store
