#include "daemon/store/answer_slots.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <set>
#include <utility>

#include "tests/unit/store/store_testing.h"

namespace credsync::store {
namespace {

using namespace credsync::store::testing;

constexpr SlotGeometry kGeometry{4, 8192};

class Slots : public ::testing::Test {
 protected:
  Slots() { start_sealing(); }
  AnswerSlots open() {
    auto slots = AnswerSlots::open(path_, kGeometry);
    EXPECT_TRUE(slots);
    return std::move(*slots);
  }
  Intent intent_of(SlotId slot) { return {"flat-me", "identity", 7, slot, {}, 0}; }
  std::string answer_in(AnswerSlots& slots, SlotId slot) {
    auto answer = slots.answer(slot, sealer_);
    if (!answer) return "damaged";
    return *answer ? (*answer)->text() : "nothing";
  }
  // One answer on disk; its slot.
  SlotId written() {
    AnswerSlots slots = open();
    const auto slot = slots.reserve("flat-me", 7);
    EXPECT_TRUE(slots.put(*slot, "the answer", sealer_) && slots.sync());
    return *slot;
  }

  TemporaryFolder folder_;
  const std::string path_ = folder_.path() + "/answers.slots";
  const Sealer sealer_{Key::from("0123456789abcdef0123456789abcdef")};
};

TEST_F(Slots, TheFileIsWholeAndOursFromTheStart) {
  EXPECT_TRUE(open().made());
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_EQ(status.st_size, 4096 + 4 * 8192);
  EXPECT_GE(status.st_blocks * 512, status.st_size) << "no holes: a full disk must not matter later";
  EXPECT_FALSE(open().made());
}

TEST_F(Slots, AnAnswerIsFoundAfterAReopen) {
  const SlotId slot = written();
  AnswerSlots slots = open();
  ASSERT_TRUE(slots.occupy(intent_of(slot)));
  EXPECT_EQ(answer_in(slots, slot), "the answer");
}

TEST_F(Slots, AnUnansweredSlotHoldsNothing) {
  AnswerSlots slots = open();
  const auto slot = slots.reserve("flat-me", 7);
  EXPECT_EQ(answer_in(slots, *slot), "nothing");
}

TEST_F(Slots, AnAnswerOfAnEarlierTurnDoesNotCount) {
  const SlotId slot = written();
  const SlotId later = slot + (1u << 8);
  AnswerSlots slots = open();
  ASSERT_TRUE(slots.occupy(intent_of(later)));
  EXPECT_EQ(answer_in(slots, later), "nothing");
}

TEST_F(Slots, AnAnswerOfAnotherAccountOrGenerationDoesNotOpen) {
  const SlotId slot = written();
  for (const auto& [account, generation] : {std::pair<const char*, Generation>{"flat-you", 7}, {"flat-me", 6}}) {
    AnswerSlots slots = open();
    ASSERT_TRUE(slots.occupy({account, "identity", generation, slot, {}, 0}));
    EXPECT_EQ(answer_in(slots, slot), "damaged");
  }
}

TEST_F(Slots, AChangedByteIsDamageAndKeptAside) {
  const SlotId slot = written();
  std::string content = read_all(path_);
  const std::size_t at = 4096 + (slot & 0xff) * 8192 + 60;
  content[at] = static_cast<char>(content[at] ^ 1);
  write_all(path_, content);
  AnswerSlots slots = open();
  ASSERT_TRUE(slots.occupy(intent_of(slot)));
  EXPECT_EQ(answer_in(slots, slot), "damaged");
  EXPECT_EQ(read_all(path_ + "." + std::to_string(slot & 0xff) + ".damaged"), content.substr(at - 60, 8192));
}

// One file a slot, and the newest is what somebody may still make something of.
TEST_F(Slots, WhatIsKeptAsideIsTheNewest) {
  const std::string names = path_ + ".0.damaged";
  std::string kept;
  for (int turn = 0; turn < 2; ++turn) {
    const SlotId slot = written();
    std::string content = read_all(path_);
    content[4096 + 60] = static_cast<char>(content[4096 + 60] ^ 1);
    write_all(path_, content);
    AnswerSlots slots = open();
    ASSERT_TRUE(slots.occupy(intent_of(slot)));
    EXPECT_EQ(answer_in(slots, slot), "damaged");
    EXPECT_TRUE(read_all(names) == content.substr(4096, 8192)) << turn;
    EXPECT_FALSE(read_all(names) == std::exchange(kept, read_all(names))) << "another answer";
    slots.release(slot);
  }
}

TEST_F(Slots, AReleasedSlotIsOverwrittenAndItsIdIsGone) {
  AnswerSlots slots = open();
  const auto slot = slots.reserve("flat-me", 7);
  ASSERT_TRUE(slots.put(*slot, "the answer", sealer_));
  EXPECT_EQ(slots.free(), 3u);
  slots.release(*slot);
  EXPECT_EQ(slots.free(), 4u);
  EXPECT_FALSE(slots.reserved(*slot));
  EXPECT_EQ(read_all(path_).substr(4096), std::string(4 * 8192, '\0'));
}

TEST_F(Slots, WhatNobodyOccupiesIsOverwritten) {
  written();
  AnswerSlots slots = open();
  slots.wipe_free();
  EXPECT_EQ(read_all(path_).substr(4096), std::string(4 * 8192, '\0'));
}

TEST_F(Slots, IdsDifferFromTurnToTurn) {
  AnswerSlots slots = open();
  std::set<SlotId> seen;
  for (int i = 0; i < 1000; ++i) {
    const auto slot = slots.reserve("flat-me", 7);
    ASSERT_TRUE(slot);
    EXPECT_NE(*slot, 0u);
    EXPECT_TRUE(seen.insert(*slot).second);
    slots.release(*slot);
  }
}

TEST_F(Slots, AnAnswerThatIsTooLargeIsRefusedAndNothingWritten) {
  AnswerSlots slots = open();
  const auto slot = slots.reserve("flat-me", 7);
  EXPECT_EQ(slots.put(*slot, std::string(8192, 'x'), sealer_).error().code(), ErrorCode::kExhausted);
  EXPECT_TRUE(slots.put(*slot, std::string(8192 - 32 - kSealOverhead, 'x'), sealer_));
}

TEST_F(Slots, AFileThatIsNoneIsSetAsideAndMadeAnew) {
  open();
  const std::string whole = read_all(path_);
  for (const std::string& damaged : {std::string(), whole.substr(0, 5000), "XX" + whole.substr(2)}) {
    write_all(path_, damaged);
    AnswerSlots slots = open();
    EXPECT_TRUE(slots.made());
    EXPECT_EQ(slots.free(), 4u);
    EXPECT_EQ(read_all(path_ + ".damaged"), damaged);
  }
}

TEST_F(Slots, AnExistingFileKeepsItsGeometry) {
  open();
  auto slots = AnswerSlots::open(path_, {8, 16384});
  ASSERT_TRUE(slots);
  EXPECT_EQ(slots->free(), 4u);
  EXPECT_FALSE(slots->occupy(intent_of((1u << 8) | 6))) << "no such slot here";
}

}  // namespace
}  // namespace credsync::store
