// A state that was damaged or meddled with: what is whole loads, what is not is said, nothing is overwritten.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/unit/store/store_testing.h"

namespace credsync::store {
namespace {

using namespace credsync::store::testing;
namespace fs = std::filesystem;

class Damage : public ::testing::Test {
 protected:
  Result<std::unique_ptr<SqliteStore>> open() { return SqliteStore::open(options_for(folder_.state()), loop_, clock_); }
  Result<Snapshot> load() {
    auto store = open();
    if (!store) return store.error();
    return (*store)->load();
  }
  void make() {
    auto store = open();
    ASSERT_TRUE(store && (*store)->load());
    for (const char* name : {"a", "b", "c"}) {
      ASSERT_TRUE(apply(**store, loop_, install(name, 1)));
      Install second = install(name, 2);
      second.kept_password = Secret("kept-" + std::string(name));
      second.replace_kept_password = true;
      ASSERT_TRUE(apply(**store, loop_, std::move(second)));
    }
  }
  void edit(const std::string& sql) { edit_database(database_, sql); }
  // Only `account` is damaged, and the others are whole.
  void expect_only_damaged(const std::string& account) {
    const auto snapshot = load();
    ASSERT_TRUE(snapshot) << snapshot.error().message();
    EXPECT_FALSE(snapshot->damage.empty());
    for (const std::string& line : snapshot->damage)
      EXPECT_NE(line.find(" of " + account), std::string::npos) << line;
    for (const StoredAccount& a : snapshot->accounts) {
      EXPECT_EQ(a.damaged, a.name == account) << a.name;
      EXPECT_EQ(a.tokens.has_value(), a.name != account) << a.name;
    }
    EXPECT_EQ(snapshot->accounts.size(), 3u);
  }

  TestLoop loop_;
  TestClock clock_;
  TemporaryFolder folder_;
  const std::string database_ = folder_.state() + "/state.db";
  const std::string slots_ = folder_.state() + "/answers.slots";
};

TEST_F(Damage, TokensCopiedFromAnotherAccountDoNotOpen) {
  make();
  edit("UPDATE accounts SET tokens = (SELECT tokens FROM accounts WHERE name = 'a') WHERE name = 'b'");
  expect_only_damaged("b");
}

TEST_F(Damage, TokensOfAnotherGenerationDoNotOpen) {
  make();
  edit("UPDATE accounts SET generation = 1 WHERE name = 'b'");
  expect_only_damaged("b");
}

TEST_F(Damage, TokensOfAnotherIdentityDoNotOpen) {
  make();
  edit("UPDATE accounts SET identity = identity || 'x' WHERE name = 'b'");
  expect_only_damaged("b");
}

TEST_F(Damage, TokensOfAnotherColumnDoNotOpen) {
  make();
  edit("UPDATE accounts SET tokens = kept_password WHERE name = 'c'");
  expect_only_damaged("c");
}

TEST_F(Damage, AWholeRowUnderAnotherNameDoesNotOpen) {
  make();
  edit("UPDATE accounts SET name = 'd' WHERE name = 'c'");
  const auto snapshot = load();
  ASSERT_TRUE(snapshot);
  ASSERT_NE(find(*snapshot, "d"), nullptr);
  EXPECT_TRUE(find(*snapshot, "d")->damaged);
  EXPECT_TRUE(find(*snapshot, "d")->kept_password.empty());
}

TEST_F(Damage, DamagedTokensStayUntilNewOnesCome) {
  make();
  edit("UPDATE accounts SET tokens = x'0102' WHERE name = 'b'");
  ASSERT_TRUE(load());
  expect_only_damaged("b");
  auto store = open();
  ASSERT_TRUE((*store)->load());
  ASSERT_TRUE(apply(**store, loop_, install("b", 3)));
  store->reset();
  const auto snapshot = load();
  EXPECT_TRUE(snapshot->damage.empty());
  EXPECT_TRUE(find(*snapshot, "b")->tokens);
}

TEST_F(Damage, ASwappedRetirementDoesNotOpenAndEndsAtItsOwnTime) {
  make();
  edit("UPDATE retirements SET secrets = (SELECT secrets FROM retirements WHERE account = 'a') WHERE account = 'b'");
  const auto snapshot = load();
  ASSERT_TRUE(snapshot);
  ASSERT_EQ(snapshot->damage.size(), 1u);
  ASSERT_EQ(snapshot->retirements.size(), 3u);
  for (const Retirement& r : snapshot->retirements) {
    EXPECT_EQ(r.token.empty(), r.account == "b");
    EXPECT_EQ(r.not_before == r.give_up_at, r.account == "b");
  }
}

TEST_F(Damage, OutOfRangeStatesAreNotTrusted) {
  make();
  edit("UPDATE accounts SET state = 77 WHERE name = 'a'");
  const auto snapshot = load();
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(find(*snapshot, "a")->standing.state, State::kNeedsLogin);
}

TEST_F(Damage, ABrokenHeaderIsRefused) {
  make();
  const std::string whole = read_all(database_);
  for (const std::size_t at : {0u, 5u, 17u, 45u, 69u, 71u}) {
    std::string broken = whole;
    for (std::size_t i = at; i < at + 3; ++i)
      broken[i] = static_cast<char>(~broken[i]);
    write_all(database_, broken);
    const auto snapshot = load();
    ASSERT_FALSE(snapshot) << at;
    EXPECT_EQ(snapshot.error().code(), ErrorCode::kCorrupt) << at << ": " << snapshot.error().message();
    EXPECT_NE(snapshot.error().message().find(database_), std::string::npos) << snapshot.error().message();
    EXPECT_TRUE(read_all(database_) == broken) << "written to at " << at;
  }
}

TEST_F(Damage, ACutDatabaseIsRefused) {
  make();
  const std::string whole = read_all(database_);
  const std::string cut = whole.substr(0, 8192);
  write_all(database_, cut);
  const auto snapshot = load();
  ASSERT_FALSE(snapshot);
  EXPECT_EQ(snapshot.error().code(), ErrorCode::kCorrupt) << snapshot.error().message();
  EXPECT_TRUE(read_all(database_) == cut);
}

TEST_F(Damage, ADatabaseThatWasCutWithinAPageIsRefused) {
  make();
  const std::string whole = read_all(database_);
  for (const std::size_t less : {1u, 100u, 4095u}) {
    const std::string cut = whole.substr(0, whole.size() - less);
    write_all(database_, cut);
    const auto snapshot = load();
    ASSERT_FALSE(snapshot) << less;
    EXPECT_EQ(snapshot.error().code(), ErrorCode::kCorrupt) << snapshot.error().message();
    EXPECT_TRUE(read_all(database_) == cut);
  }
}

// Any bit, anywhere: refused, or said, or of no consequence; never a wrong token and never a crash.
TEST_F(Damage, AnyFlippedBitIsNoticedOrHarmless) {
  make();
  const std::string whole = read_all(database_);
  unsigned refused = 0, said = 0, harmless = 0;
  for (std::size_t at = 101; at < whole.size(); at += 131) {
    fs::remove(database_ + "-wal");
    std::string broken = whole;
    broken[at] = static_cast<char>(broken[at] ^ (1 << (at % 8)));
    write_all(database_, broken);
    const auto snapshot = load();
    if (!snapshot) {
      ++refused;
      continue;
    }
    snapshot->damage.empty() ? ++harmless : ++said;
    for (const StoredAccount& a : snapshot->accounts) {
      if (!a.tokens) continue;
      ASSERT_EQ(describe(*a.tokens), describe(tokens(a.name + "-" + std::to_string(a.generation)))) << at;
    }
    for (const Retirement& r : snapshot->retirements) {
      if (r.token.empty()) continue;
      ASSERT_EQ(r.token.expose(), "retired-" + r.account + "-1") << at;
    }
  }
  EXPECT_GT(said, 0u);
  EXPECT_GT(refused, 0u);
  EXPECT_GT(harmless, 0u);
}

class LostSlots : public Damage {
 protected:
  // A refresh of `a` was begun, and nobody knows how it ended.
  void begin_and_stop() {
    make();
    auto store = open();
    ASSERT_TRUE((*store)->load());
    ASSERT_TRUE(begin(**store, loop_, intent("a", 2)));
  }
};

TEST_F(LostSlots, WithoutTheirFileTheOutcomeIsUnknown) {
  begin_and_stop();
  fs::remove(slots_);
  const auto snapshot = load();
  ASSERT_TRUE(snapshot);
  ASSERT_EQ(snapshot->intents.size(), 1u);
  EXPECT_EQ(find(*snapshot, "a")->generation, 2u);
  EXPECT_TRUE(fs::exists(slots_)) << "made anew";
  auto store = open();
  ASSERT_TRUE((*store)->load());
  EXPECT_TRUE(apply(**store, loop_, install("a", 3, snapshot->intents[0].slot))) << "the slot still serves its intent";
}

TEST_F(LostSlots, ADamagedFileIsSetAside) {
  begin_and_stop();
  write_all(slots_, "garbage");
  const auto snapshot = load();
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->intents.size(), 1u);
  EXPECT_EQ(read_all(slots_ + ".damaged"), "garbage");
}

}  // namespace
}  // namespace credsync::store
