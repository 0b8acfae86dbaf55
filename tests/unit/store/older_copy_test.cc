// A database that was put back to an older copy is known by the counts outside it, and nothing else is taken for one.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/unit/store/store_testing.h"

namespace credsync::store {
namespace {

using namespace credsync::store::testing;
namespace fs = std::filesystem;

constexpr char kDatabase[] = "0123456789abcdef";
constexpr char kOther[] = "fedcba9876543210";

class WitnessFiles : public ::testing::Test {
 protected:
  WitnessFiles() {
    start_sealing();
    fs::create_directories(folder_.path());
  }
  Counts seen(const char* database = kDatabase) { return Witness(database, {first_, second_}).seen(); }

  TemporaryFolder folder_;
  const std::string first_ = folder_.path() + "/first.count";
  const std::string second_ = folder_.path() + "/second.count";
};

TEST_F(WitnessFiles, NothingIsWrittenBeforeThereIsSomethingToNote) {
  EXPECT_EQ(seen(), Counts{});
  EXPECT_FALSE(fs::exists(first_));
}

TEST_F(WitnessFiles, EitherFileAloneIsEnough) {
  Witness(kDatabase, {first_, second_}).note({7, 9});
  EXPECT_EQ(seen(), (Counts{7, 9}));
  fs::remove(first_);
  EXPECT_EQ(seen(), (Counts{7, 9}));
  Witness(kDatabase, {first_}).note({8, 9});
  EXPECT_EQ(seen(), (Counts{8, 9})) << "the higher one counts";
}

TEST_F(WitnessFiles, ACountIsNeverTakenBack) {
  Witness witness(kDatabase, {first_});
  witness.note({7, 9});
  witness.note({3, 20});
  EXPECT_EQ(seen(), (Counts{7, 20}));
}

TEST_F(WitnessFiles, AnotherDatabasesCountsAreNotOurs) {
  Witness(kOther, {first_}).note({7, 9});
  EXPECT_EQ(seen(), Counts{});
  Witness(kDatabase, {first_}).note({1, 1});
  EXPECT_EQ(seen(), (Counts{1, 1}));
}

TEST_F(WitnessFiles, AnyDamageIsNoticed) {
  Witness(kDatabase, {first_}).note({7, 9});
  const std::string whole = read_all(first_);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string broken = whole;
    broken[at] = static_cast<char>(broken[at] ^ 1);
    write_all(first_, broken);
    EXPECT_EQ(seen(), Counts{}) << at;
  }
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write_all(first_, whole.substr(0, size));
    EXPECT_EQ(seen(), Counts{}) << size;
  }
}

TEST_F(WitnessFiles, WhatCannotBeWrittenIsDoneWithout) {
  Witness witness(kDatabase, {folder_.path() + "/no/such/folder", second_});
  witness.note({1, 1});
  witness.note({2, 2});
  EXPECT_EQ(seen(), (Counts{2, 2}));
}

TEST_F(WitnessFiles, TheSecondPlaceMustBeOursAlone) {
  const std::string directory = folder_.path() + "/cache";
  EXPECT_EQ(witness_in("", kDatabase), "");
  EXPECT_EQ(witness_in(directory, kDatabase), directory + "/0123456789abcdef.count");
  fs::permissions(directory, fs::perms::all);
  EXPECT_EQ(witness_in(directory, kDatabase), "");
  write_all(folder_.path() + "/file", "");
  EXPECT_EQ(witness_in(folder_.path() + "/file", kDatabase), "");
}

class OlderCopy : public ::testing::Test {
 protected:
  OlderCopy() { options_.cache_dir = folder_.path() + "/cache"; }

  Snapshot open() {
    store_.reset();
    auto opened = SqliteStore::open(options_, loop_, clock_);
    if (!opened) ADD_FAILURE() << opened.error().message();
    store_ = std::move(*opened);
    auto snapshot = store_->load();
    if (!snapshot) ADD_FAILURE() << snapshot.error().message();
    return std::move(*snapshot);
  }
  // A rotation from its intent to its answer.
  void rotate(const std::string& account, Generation generation) {
    const auto slot = begin(*store_, loop_, intent(account, generation - 1));
    ASSERT_TRUE(slot);
    ASSERT_TRUE(apply(*store_, loop_, install(account, generation, *slot)));
  }
  void copy() {
    store_.reset();
    fs::copy(folder_.state(), folder_.path() + "/copy", fs::copy_options::recursive);
  }
  void put_back(const char* name) {
    fs::copy_file(folder_.path() + "/copy/" + name, folder_.state() + "/" + name, fs::copy_options::overwrite_existing);
  }
  void put_back_all() {
    store_.reset();
    fs::remove_all(folder_.state());
    fs::copy(folder_.path() + "/copy", folder_.state(), fs::copy_options::recursive);
  }
  // An account of generation 1 when the copy is made, and of 3 after.
  void make_copy_and_go_on() {
    open();
    rotate("a", 1);
    copy();
    open();
    rotate("a", 2);
    rotate("a", 3);
    store_.reset();
  }

  void expect_frozen(const Snapshot& snapshot) {
    const StoredAccount* a = find(snapshot, "a");
    ASSERT_NE(a, nullptr);
    EXPECT_TRUE(account::rolled_back(a->standing));
    EXPECT_TRUE(a->tokens) << "its old tokens are kept";
    EXPECT_EQ(a->generation, 1u);
    EXPECT_GE(a->spent, 3u) << "numbers that were given out";
  }

  TestLoop loop_;
  TestClock clock_;
  TemporaryFolder folder_;
  SqliteStoreOptions options_ = options_for(folder_.state());
  std::unique_ptr<SqliteStore> store_;
};

TEST_F(OlderCopy, OfTheDatabaseIsKnownByTheCountBesideIt) {
  make_copy_and_go_on();
  fs::remove_all(options_.cache_dir);
  put_back("state.db");
  fs::remove(folder_.state() + "/state.db-wal");
  expect_frozen(open());
  expect_frozen(open());
}

TEST_F(OlderCopy, OfTheDirectoryIsKnownByTheCountElsewhere) {
  make_copy_and_go_on();
  put_back_all();
  expect_frozen(open());
}

TEST_F(OlderCopy, IsNotKnownWithoutAnyCount) {
  make_copy_and_go_on();
  put_back_all();
  fs::remove_all(options_.cache_dir);
  const auto snapshot = open();
  EXPECT_FALSE(account::rolled_back(find(snapshot, "a")->standing));
}

TEST_F(OlderCopy, IsKnownWhenAnAdminSaysSo) {
  make_copy_and_go_on();
  put_back_all();
  fs::remove_all(options_.cache_dir);
  const std::string mark = folder_.state() + "/state.restored";
  write_all(mark, "");
  expect_frozen(open());
  EXPECT_FALSE(fs::exists(mark));
  ASSERT_TRUE(apply(*store_, loop_, install("a", 4)));
  EXPECT_FALSE(account::rolled_back(find(open(), "a")->standing)) << "said once";
}

TEST_F(OlderCopy, AnInstallEndsIt) {
  make_copy_and_go_on();
  put_back_all();
  open();
  ASSERT_TRUE(apply(*store_, loop_, install("a", 4)));
  EXPECT_FALSE(account::rolled_back(find(open(), "a")->standing));
}

TEST_F(OlderCopy, MarksParkedGrants) {
  open();
  rotate("a", 1);
  Park park{parked("a", 1)};
  park.grant.rolled_back = false;
  ASSERT_TRUE(apply(*store_, loop_, std::move(park)));
  copy();
  open();
  rotate("b", 1);
  put_back_all();
  const auto snapshot = open();
  ASSERT_EQ(snapshot.parked.size(), 1u);
  EXPECT_TRUE(snapshot.parked[0].rolled_back);
}

// An answer is handed out as soon as it is in its slot. A count knows of its intent then, not yet of its number.
TEST_F(OlderCopy, AnAnswerThatWasOnlyInItsSlotKeepsItsNumber) {
  open();
  rotate("a", 1);
  copy();
  open();
  ASSERT_TRUE(begin(*store_, loop_, intent("a", 1)));
  put_back_all();
  const auto snapshot = open();
  EXPECT_TRUE(account::rolled_back(find(snapshot, "a")->standing));
  EXPECT_GE(find(snapshot, "a")->spent, 2u) << "the number that its answer has had";
}

// What does not rotate says nothing of refresh tokens; its numbers count all the same.
TEST_F(OlderCopy, WithoutRotationsSinceFreezesNobody) {
  open();
  ASSERT_TRUE(apply(*store_, loop_, install("a", 1)));
  copy();
  open();
  ASSERT_TRUE(apply(*store_, loop_, install("a", 2)));
  put_back_all();
  const auto snapshot = open();
  EXPECT_FALSE(account::rolled_back(find(snapshot, "a")->standing));
  EXPECT_EQ(find(snapshot, "a")->spent, 2u);
}

// Any moment at which the process may end: an intent without an answer, an answer in its slot only.
TEST_F(OlderCopy, AnUnfinishedRotationIsNone) {
  open();
  rotate("a", 1);
  const auto slot = begin(*store_, loop_, intent("a", 1));
  ASSERT_TRUE(slot);
  store_.reset();
  EXPECT_FALSE(account::rolled_back(find(open(), "a")->standing));
  EXPECT_EQ(find(open(), "a")->spent, 0u);
}

}  // namespace
}  // namespace credsync::store
