// What the fake can do to those who use it.
#include "tests/fakes/memory_store.h"

#include <gtest/gtest.h>

#include "tests/unit/store/store_testing.h"

namespace credsync::store {
namespace {

using namespace credsync::store::testing;
using fakes::MemoryDisk;
using fakes::MemoryStore;

struct Noted {
  std::optional<Result<Ids>> result;
  UniqueFunction<void(Result<Ids>)> note() {
    return [this](Result<Ids> r) { result = std::move(r); };
  }
};

TEST(MemoryStore, WhatWasHeldIsLostInACrash) {
  MemoryDisk disk;
  TestLoop loop;
  MemoryStore store(disk, loop);
  ASSERT_TRUE(apply(store, loop, install("a", 1)));
  store.hold();
  Noted held;
  store.apply(install("a", 2), held.note());
  EXPECT_EQ(store.waiting(), 1u);
  store.crash();
  loop.run_posted();
  EXPECT_FALSE(held.result);
  MemoryStore again(disk, loop);
  EXPECT_EQ(again.load()->accounts.at(0).generation, 1u);
}

TEST(MemoryStore, WhatIsLetGoIsAnsweredInOrder) {
  MemoryDisk disk;
  TestLoop loop;
  MemoryStore store(disk, loop);
  store.hold();
  Noted one, two;
  store.apply(install("a", 1), one.note());
  store.apply(install("a", 2), two.note());
  store.let_go_of(1);
  loop.run_posted();
  EXPECT_TRUE(one.result);
  EXPECT_FALSE(two.result);
  store.let_go();
  loop.run_posted();
  EXPECT_TRUE(two.result && *two.result);
  EXPECT_EQ(store.history(), (std::vector<std::string>{"Install a 1", "Install a 2"}));
}

TEST(MemoryStore, FailuresComeAsOrderedAndChangeNothing) {
  MemoryDisk disk;
  TestLoop loop;
  MemoryStore store(disk, loop);
  store.fail_next(Error(ErrorCode::kIo, "broken"), 2);
  EXPECT_EQ(apply(store, loop, install("a", 1)).error().code(), ErrorCode::kIo);
  EXPECT_EQ(begin(store, loop, intent("a", 1)).error().code(), ErrorCode::kIo);
  EXPECT_TRUE(disk.accounts.empty());
  EXPECT_TRUE(disk.intents.empty());
  EXPECT_TRUE(apply(store, loop, install("a", 1)));
}

TEST(MemoryStore, OnAFullDiskOnlyAnswersWithASlotAreDurable) {
  MemoryDisk disk;
  TestLoop loop;
  MemoryStore store(disk, loop);
  ASSERT_TRUE(apply(store, loop, install("a", 1)));
  const auto slot = begin(store, loop, intent("a", 1));
  store.fill_disk();
  EXPECT_EQ(apply(store, loop, SetStanding{"b", standing()}).error().code(), ErrorCode::kFull);
  EXPECT_EQ(begin(store, loop, intent("b", 1)).error().code(), ErrorCode::kFull);
  EXPECT_TRUE(apply(store, loop, install("a", 2, *slot)));
  Noted behind;
  store.apply(SetStanding{"a", troubled()}, behind.note());
  loop.run_posted();
  EXPECT_FALSE(behind.result);
  EXPECT_EQ(disk.accounts.at("a").generation, 1u);

  store.make_room();
  loop.run_posted();
  EXPECT_TRUE(behind.result && *behind.result);
  EXPECT_EQ(disk.accounts.at("a").generation, 2u);
  EXPECT_EQ(disk.accounts.at("a").standing.state, State::kRetrying);
}

// As the real one: what fits nothing is refused on a full disk, too.
TEST(MemoryStore, OnAFullDiskALateAnswerForNothingIsRefused) {
  MemoryDisk disk;
  TestLoop loop;
  MemoryStore store(disk, loop);
  ASSERT_TRUE(apply(store, loop, install("a", 1)));
  const auto slot = begin(store, loop, intent("a", 1));
  ASSERT_TRUE(apply(store, loop, SignOut{"a", {}, standing(State::kSignedOut), 1}));
  store.fill_disk();
  EXPECT_EQ(apply(store, loop, UpdateParked{77, 2, tokens("late"), {}, *slot}).error().code(), ErrorCode::kNotFound);
}

TEST(MemoryStore, AnAnswerInItsSlotSurvivesACrash) {
  MemoryDisk disk;
  TestLoop loop;
  {
    MemoryStore store(disk, loop);
    ASSERT_TRUE(apply(store, loop, install("a", 1)));
    const auto slot = begin(store, loop, intent("a", 1));
    store.fill_disk();
    ASSERT_TRUE(apply(store, loop, install("a", 2, *slot)));
    store.crash();
  }
  MemoryStore again(disk, loop);
  const auto snapshot = again.load();
  EXPECT_EQ(snapshot->accounts.at(0).generation, 2u);
  EXPECT_EQ(snapshot->retirements.size(), 1u);
  EXPECT_TRUE(snapshot->intents.empty());
}

}  // namespace
}  // namespace credsync::store
