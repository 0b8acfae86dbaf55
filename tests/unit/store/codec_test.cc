#include <gtest/gtest.h>

#include "daemon/store/codec.h"
#include "tests/unit/store/store_testing.h"

namespace credsync::store {
namespace {

using namespace credsync::store::testing;

TEST(Codec, TokensComeBackAsTheyWent) {
  const account::TokenSet before = tokens("mark");
  const auto after = decode_tokens(encode_tokens(before).text());
  ASSERT_TRUE(after);
  EXPECT_EQ(describe(*after), describe(before));
  const auto bare = decode_tokens(encode_tokens(account::TokenSet{}).text());
  ASSERT_TRUE(bare);
  EXPECT_EQ(describe(*bare), describe(account::TokenSet{}));
}

TEST(Codec, TokensCutAnywhereOrWithMoreBehindAreRefused) {
  const WipedString whole = encode_tokens(tokens("mark"));
  for (std::size_t size = 0; size < whole.text().size(); ++size) {
    EXPECT_FALSE(decode_tokens(std::string_view(whole.text()).substr(0, size))) << size;
  }
  EXPECT_FALSE(decode_tokens(whole.text() + "x"));
}

TEST(Codec, AnotherVersionIsRefused) {
  WipedString bytes = encode_tokens(tokens("mark"));
  bytes.text()[0] = 2;
  EXPECT_EQ(decode_tokens(bytes.text()).error().code(), ErrorCode::kCorrupt);
}

TEST(Codec, DamagedLengthsDoNotReadPastTheEnd) {
  const WipedString whole = encode_tokens(tokens("mark"));
  for (std::size_t i = 0; i < whole.text().size(); ++i) {
    std::string damaged = whole.text();
    damaged[i] = static_cast<char>(~damaged[i]);
    [[maybe_unused]] const auto decoded = decode_tokens(damaged);  // any answer, under the sanitizers
  }
}

TEST(Codec, AnInstallWaitsInASlotWhole) {
  Install before = install("flat-me", 8, SlotId{77});
  before.retire[0].id = 42;
  before.retire[0].attempts = 3;
  before.retire[0].by_sign_out = true;
  before.standing = troubled();
  before.password_used = true;
  before.kept_password = Secret("kept");
  before.replace_kept_password = true;
  before.promised_until = wall_from_seconds(1'700'001'234);
  const Change change = std::move(before);
  const auto answer = decode_answer(encode_answer(change, 9).text());
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->sequence, 9u);
  const auto& after = std::get<Install>(answer->change);
  EXPECT_EQ(after.account, "flat-me");
  EXPECT_EQ(after.identity, "identity-of-flat-me");
  EXPECT_EQ(after.generation, 8u);
  EXPECT_EQ(describe(after.tokens), describe(tokens("flat-me-8")));
  ASSERT_EQ(after.retire.size(), 1u);
  EXPECT_EQ(after.retire[0].id, 42);
  EXPECT_EQ(after.retire[0].token.expose(), "retired-flat-me-7");
  EXPECT_EQ(after.retire[0].order.expose(), "order-flat-me-7");
  EXPECT_EQ(after.retire[0].attempts, 3u);
  EXPECT_TRUE(after.retire[0].by_sign_out);
  EXPECT_EQ(after.standing.state, State::kRetrying);
  EXPECT_EQ(after.standing.trouble->words, "the server is busy");
  EXPECT_TRUE(after.password_used);
  EXPECT_EQ(after.kept_password.expose(), "kept");
  EXPECT_TRUE(after.replace_kept_password);
  EXPECT_EQ(after.promised_until, wall_from_seconds(1'700'001'234));
}

// An answer may lie in its slot while credsyncd is replaced by a newer one.
TEST(Codec, AnAnswerOfTheFirstVersionIsRead) {
  const Change change = install("flat-me", 8, SlotId{77});
  std::string old = encode_answer(change, 9).text();
  ASSERT_EQ(old[0], 2);
  old[0] = 1;
  EXPECT_FALSE(decode_answer(old)) << "the first version ended earlier";
  old.resize(old.size() - sizeof(std::int64_t));
  const auto answer = decode_answer(old);
  ASSERT_TRUE(answer);
  EXPECT_EQ(describe(std::get<Install>(answer->change).tokens), describe(tokens("flat-me-8")));
  EXPECT_EQ(std::get<Install>(answer->change).promised_until, WallTime());
  old[0] = 3;
  EXPECT_FALSE(decode_answer(old)) << "from a newer one";
}

TEST(Codec, LateAnswersWaitInASlotWhole) {
  UpdateParked update{5, 3, tokens("late"), {}, SlotId{1}};
  update.retire.push_back(retirement("a", 2, "a2", RetiredKind::kAccess));
  const Change one = std::move(update);
  const auto parked_answer = decode_answer(encode_answer(one, 1).text());
  ASSERT_TRUE(parked_answer);
  EXPECT_EQ(std::get<UpdateParked>(parked_answer->change).parked_id, 5);
  EXPECT_EQ(std::get<UpdateParked>(parked_answer->change).generation, 3u);
  EXPECT_EQ(std::get<UpdateParked>(parked_answer->change).retire.at(0).kind, RetiredKind::kAccess);

  QueueRetirements queue;
  queue.retire.push_back(retirement("a", 2, "a2"));
  const Change other = std::move(queue);
  const auto queued = decode_answer(encode_answer(other, 2).text());
  ASSERT_TRUE(queued);
  EXPECT_EQ(std::get<QueueRetirements>(queued->change).retire.at(0).token.expose(), "retired-a2");
}

TEST(Codec, OnlyAnswersFitASlot) {
  EXPECT_TRUE(fits_a_slot(Change{Install{}}));
  EXPECT_TRUE(fits_a_slot(Change{UpdateParked{}}));
  EXPECT_TRUE(fits_a_slot(Change{QueueRetirements{}}));
  EXPECT_FALSE(fits_a_slot(Change{SignOut{}}));
  EXPECT_FALSE(fits_a_slot(Change{DropIntent{}}));
}

}  // namespace
}  // namespace credsync::store
