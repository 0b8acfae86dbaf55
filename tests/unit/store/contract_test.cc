// What every TokenStore does, held against the real one and the one in memory.
#include <gtest/gtest.h>

#include <set>

#include "tests/unit/store/contract_testing.h"

namespace credsync::store {
namespace {

using namespace credsync::store::testing;

TEST_P(Contract, ANewStoreIsEmpty) {
  EXPECT_EQ(describe(reopened()), "");
}

TEST_P(Contract, InstallKeepsEveryFieldAndQueuesWhatItReplaces) {
  Install change = install("flat-me", 1);
  change.standing = troubled();
  change.password_used = true;
  change.kept_password = Secret("kept");
  change.replace_kept_password = true;
  change.retire.push_back(retirement("flat-me", 0, "older", RetiredKind::kAccess));
  change.retire.push_back(retirement("flat-me", 0, "older"));
  change.retire[1].attempts = 3;
  change.retire[1].by_sign_out = true;
  const auto ids = apply(std::move(change));
  ASSERT_TRUE(ids);
  ASSERT_EQ(ids->size(), 2u);
  const Snapshot snapshot = reopened();
  ASSERT_EQ(snapshot.accounts.size(), 1u);
  const StoredAccount& account = snapshot.accounts[0];
  EXPECT_EQ(account.identity, "identity-of-flat-me");
  EXPECT_EQ(account.generation, 1u);
  ASSERT_TRUE(account.tokens);
  EXPECT_EQ(describe(*account.tokens), describe(tokens("flat-me-1")));
  EXPECT_EQ(account.standing.state, State::kRetrying);
  ASSERT_TRUE(account.standing.trouble);
  EXPECT_EQ(account.standing.trouble->words, "the server is busy");
  EXPECT_EQ(account.standing.trouble->code, "503");
  EXPECT_TRUE(account.password_used);
  EXPECT_EQ(account.kept_password.expose(), "kept");
  ASSERT_EQ(snapshot.retirements.size(), 2u);
  EXPECT_EQ(snapshot.retirements[0].id, (*ids)[0]);
  EXPECT_EQ(snapshot.retirements[0].kind, RetiredKind::kAccess);
  EXPECT_EQ(snapshot.retirements[0].token.expose(), "retired-older");
  EXPECT_EQ(snapshot.retirements[0].order.expose(), "order-older");
  EXPECT_EQ(snapshot.retirements[1].kind, RetiredKind::kRefresh);
  EXPECT_EQ(snapshot.retirements[1].attempts, 3u);
  EXPECT_TRUE(snapshot.retirements[1].by_sign_out);
}

TEST_P(Contract, FieldsThatAreUnknownStayUnknown) {
  Install change;
  change.account = "bare";
  change.generation = 7;
  change.tokens.access_token = Secret("a");
  ASSERT_TRUE(apply(std::move(change)));
  const Snapshot snapshot = reopened();
  const auto& t = snapshot.accounts.at(0).tokens;
  ASSERT_TRUE(t);
  EXPECT_TRUE(t->refresh_token.empty());
  EXPECT_FALSE(t->expires_at);
  EXPECT_FALSE(t->refresh_in);
  EXPECT_FALSE(t->refresh_expires_at);
  EXPECT_TRUE(t->scope.empty());
  EXPECT_TRUE(t->extra.empty());
  EXPECT_FALSE(snapshot.accounts[0].last_used);
  EXPECT_FALSE(snapshot.accounts[0].standing.trouble);
}

TEST_P(Contract, TokensMayBeLargeAndHoldAnyByte) {
  Install change = install("flat-me", 1);
  std::string any(60'000, '\0');
  for (std::size_t i = 0; i < any.size(); ++i)
    any[i] = static_cast<char>(i * 131 % 256);
  change.tokens.access_token = Secret(any);
  ASSERT_TRUE(apply(std::move(change)));
  EXPECT_EQ(reopened().accounts.at(0).tokens->access_token.expose(), any);
}

TEST_P(Contract, KeptPasswordStaysUntilItIsReplaced) {
  Install first = install("flume", 1);
  first.kept_password = Secret("kept");
  first.replace_kept_password = true;
  ASSERT_TRUE(apply(std::move(first)));
  ASSERT_TRUE(apply(install("flume", 2)));
  EXPECT_EQ(find(reopened(), "flume")->kept_password.expose(), "kept");
  Install third = install("flume", 3);
  third.replace_kept_password = true;
  ASSERT_TRUE(apply(std::move(third)));
  EXPECT_TRUE(find(reopened(), "flume")->kept_password.empty());
}

TEST_P(Contract, StandingChangesWithoutTheTokens) {
  ASSERT_TRUE(apply(install("flat-me", 1)));
  ASSERT_TRUE(apply(SetStanding{"flat-me", troubled()}));
  const Snapshot snapshot = reopened();
  EXPECT_EQ(find(snapshot, "flat-me")->standing.state, State::kRetrying);
  EXPECT_TRUE(find(snapshot, "flat-me")->tokens);
  ASSERT_TRUE(apply(SetStanding{"flat-me", standing(State::kOk)}));
  EXPECT_FALSE(find(reopened(), "flat-me")->standing.trouble);
}

TEST_P(Contract, StandingOfANewAccountMakesItsRow) {
  ASSERT_TRUE(apply(SetStanding{"new", standing(State::kSuspended)}));
  const Snapshot snapshot = reopened();
  ASSERT_NE(find(snapshot, "new"), nullptr);
  EXPECT_EQ(find(snapshot, "new")->standing.state, State::kSuspended);
  EXPECT_EQ(find(snapshot, "new")->generation, 0u);
}

TEST_P(Contract, ForgetLeavesNameAndGenerationOnly) {
  const auto slot = begin(intent("flat-me", 1));
  ASSERT_TRUE(slot);
  Install change = install("flat-me", 5);
  change.kept_password = Secret("kept");
  change.replace_kept_password = true;
  ASSERT_TRUE(apply(std::move(change)));
  ASSERT_TRUE(apply(SetLastUsed{"flat-me", wall_from_seconds(1'700'000'000)}));
  ASSERT_TRUE(apply(Forget{"flat-me"}));
  const Snapshot snapshot = reopened();
  const StoredAccount* account = find(snapshot, "flat-me");
  ASSERT_NE(account, nullptr);
  EXPECT_EQ(account->generation, 5u);
  EXPECT_FALSE(account->tokens);
  EXPECT_TRUE(account->kept_password.empty());
  EXPECT_FALSE(account->last_used);
  EXPECT_EQ(account->identity, "");
  EXPECT_TRUE(snapshot.intents.empty());
  EXPECT_EQ(snapshot.retirements.size(), 1u) << "what is queued is still to be revoked";
}

TEST_P(Contract, GenerationNeverGoesBack) {
  ASSERT_TRUE(apply(install("flat-me", 5)));
  ASSERT_TRUE(apply(SignOut{"flat-me", {}, standing(State::kSignedOut), 100}));
  EXPECT_EQ(find(reopened(), "flat-me")->generation, 5u);
  ASSERT_TRUE(apply(Forget{"flat-me"}));
  EXPECT_EQ(find(reopened(), "flat-me")->generation, 5u);
  ASSERT_TRUE(apply(install("flat-me", 6)));
  EXPECT_EQ(find(reopened(), "flat-me")->generation, 6u);
}

TEST_P(Contract, AUsedGenerationCostsNoToken) {
  ASSERT_TRUE(apply(install("flat-me", 5)));
  ASSERT_TRUE(apply(install("flat-me", 5)));
  EXPECT_EQ(find(reopened(), "flat-me")->generation, 6u);
  const auto slot = begin(intent("flat-me", 6));
  ASSERT_TRUE(apply(install("flat-me", 2, *slot)));
  const Snapshot snapshot = reopened();
  EXPECT_EQ(find(snapshot, "flat-me")->generation, 7u);
  EXPECT_EQ(describe(*find(snapshot, "flat-me")->tokens), describe(tokens("flat-me-2")));
  EXPECT_TRUE(snapshot.intents.empty());
}

TEST_P(Contract, SignOutQueuesTheTokensAndForgetsThePassword) {
  Install change = install("flume", 1);
  change.kept_password = Secret("kept");
  change.replace_kept_password = true;
  ASSERT_TRUE(apply(std::move(change)));
  SignOut out{"flume", {}, standing(State::kSignedOut), 100};
  out.retire.push_back(retirement("flume", 1, "flume-1"));
  out.retire[0].by_sign_out = true;
  const auto ids = apply(std::move(out));
  ASSERT_TRUE(ids);
  EXPECT_EQ(ids->size(), 1u);
  const Snapshot snapshot = reopened();
  EXPECT_FALSE(find(snapshot, "flume")->tokens);
  EXPECT_TRUE(find(snapshot, "flume")->kept_password.empty());
  EXPECT_EQ(find(snapshot, "flume")->standing.state, State::kSignedOut);
  ASSERT_EQ(snapshot.retirements.size(), 1u);
  EXPECT_TRUE(snapshot.retirements[0].by_sign_out);
}

TEST_P(Contract, SignOutErasesNoTokensThatItsPlanDidNotKnow) {
  ASSERT_TRUE(apply(install("flat-me", 4)));
  SignOut out{"flat-me", {}, standing(State::kSignedOut), 3};
  out.retire.push_back(retirement("flat-me", 3, "flat-me-3"));
  const auto refused = apply(std::move(out));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kInvalid);
  const Snapshot snapshot = reopened();
  EXPECT_TRUE(find(snapshot, "flat-me")->tokens);
  EXPECT_EQ(find(snapshot, "flat-me")->standing.state, State::kOk);
  ASSERT_TRUE(apply(SignOut{"flat-me", {}, standing(State::kSignedOut), 4}));
  EXPECT_FALSE(find(reopened(), "flat-me")->tokens);
}

// An answer came to the disk between the decision to park and the change.
TEST_P(Contract, ParkingKeepsTheNewestTokens) {
  ASSERT_TRUE(apply(install("flat-me", 4)));
  ParkedGrant grant = parked("flat-me", 3);
  grant.order = Secret("order");
  ASSERT_TRUE(apply(Park{std::move(grant)}));
  const Snapshot snapshot = reopened();
  ASSERT_EQ(snapshot.parked.size(), 1u);
  EXPECT_EQ(snapshot.parked[0].generation, 4u);
  EXPECT_EQ(describe(snapshot.parked[0].tokens), describe(tokens("flat-me-4")));
  EXPECT_EQ(snapshot.parked[0].order.expose(), "order");
  EXPECT_TRUE(snapshot.damage.empty());
}

TEST_P(Contract, ParkingTakesNoTokensOfAnotherGrant) {
  ASSERT_TRUE(apply(install("flat-me", 4)));
  ParkedGrant grant = parked("flat-me", 3);
  grant.identity = "another";
  ASSERT_TRUE(apply(Park{std::move(grant)}));
  const Snapshot snapshot = reopened();
  ASSERT_EQ(snapshot.parked.size(), 1u);
  EXPECT_EQ(describe(snapshot.parked[0].tokens), describe(tokens("flat-me-3")));
  ASSERT_TRUE(find(snapshot, "flat-me")->tokens);
  EXPECT_EQ(find(snapshot, "flat-me")->generation, 4u);
}

TEST_P(Contract, WhatOthersTookThePlaceOfIsParkedWhenTheDiskWorksAgain) {
  ASSERT_TRUE(apply(install("flat-me", 4)));
  ASSERT_TRUE(apply(Park{parked("flat-me", 4)}));
  EXPECT_EQ(apply(Park{parked("flat-me", 3)}).error().code(), ErrorCode::kNotFound) << "signed out, for all it knows";
  ASSERT_TRUE(apply(Park{parked("flat-me", 3), true}));
  const Snapshot snapshot = reopened();
  ASSERT_EQ(snapshot.parked.size(), 2u);
  EXPECT_EQ(describe(snapshot.parked[1].tokens), describe(tokens("flat-me-3")));
}

TEST_P(Contract, ParkedTokensComeBackWithTheirGeneration) {
  ASSERT_TRUE(apply(install("flat-me", 3)));
  const auto ids = apply(Park{parked("flat-me", 3)});
  ASSERT_TRUE(ids);
  ASSERT_EQ(ids->size(), 1u);
  Snapshot snapshot = reopened();
  EXPECT_FALSE(find(snapshot, "flat-me")->tokens);
  ASSERT_EQ(snapshot.parked.size(), 1u);
  EXPECT_EQ(snapshot.parked[0].id, (*ids)[0]);
  EXPECT_EQ(describe(snapshot.parked[0].tokens), describe(tokens("flat-me-3")));
  EXPECT_EQ(snapshot.parked[0].order.expose(), "order-flat-me");
  const auto restored = apply(Restore{(*ids)[0], standing()});
  ASSERT_TRUE(restored);
  EXPECT_EQ(*restored, Ids{3});
  snapshot = reopened();
  EXPECT_TRUE(snapshot.parked.empty());
  EXPECT_EQ(find(snapshot, "flat-me")->generation, 3u);
  ASSERT_TRUE(find(snapshot, "flat-me")->tokens);
  EXPECT_EQ(describe(*find(snapshot, "flat-me")->tokens), describe(tokens("flat-me-3")));
}

TEST_P(Contract, AnIntentIsOfTheNumberUnderWhichItsGrantCameBack) {
  ASSERT_TRUE(apply(install("flat-me", 3)));
  ASSERT_TRUE(begin(intent("flat-me", 3)));
  ASSERT_TRUE(begin(intent("flat-me", 0)));
  ASSERT_TRUE(begin(intent("flat-me", 2)));
  Intent another = intent("flat-me", 3);
  another.identity = "another";
  ASSERT_TRUE(begin(another));
  const auto id = apply(Park{parked("flat-me", 3)});
  ASSERT_EQ(*apply(Restore{id->at(0), standing(), 6}), Ids{6});
  ASSERT_EQ(*apply(Park{parked("flat-me", 6)}), Ids{id->at(0) + 1});
  ASSERT_EQ(*apply(Restore{id->at(0) + 1, standing(), 8}), Ids{8});
  std::multiset<Generation> numbers;
  for (const Intent& found : reopened().intents)
    numbers.insert(found.grant_number());
  EXPECT_EQ(numbers, (std::multiset<Generation>{0, 2, 3, 8}))
      << "a sign-in's, an earlier one's and another grant's are not";
}

// It was ordered while a sign-in, or a sign-out, was on its way.
TEST_P(Contract, AStandingOfAGrantSaysNothingOfTheNext) {
  ASSERT_TRUE(apply(install("flat-me", 3)));
  ASSERT_TRUE(apply(SetStanding{"flat-me", troubled(), 2}));
  EXPECT_EQ(find(reopened(), "flat-me")->standing.state, install("flat-me", 3).standing.state);
  ASSERT_TRUE(apply(SetStanding{"flat-me", troubled(), 3}));
  EXPECT_EQ(find(reopened(), "flat-me")->standing.state, troubled().state);
  ASSERT_TRUE(apply(SignOut{"flat-me", {}, standing(State::kSignedOut), 3}));
  ASSERT_TRUE(apply(SetStanding{"flat-me", troubled(), 3}));
  EXPECT_EQ(find(reopened(), "flat-me")->standing.state, State::kSignedOut);
  ASSERT_TRUE(apply(SetStanding{"flat-me", troubled()}));
  EXPECT_EQ(find(reopened(), "flat-me")->standing.state, troubled().state) << "whatever it has";
}

TEST_P(Contract, RestoredAfterAnotherGrantItsGenerationDoesNotGoBack) {
  ASSERT_TRUE(apply(install("flat-me", 3)));
  const auto first = apply(Park{parked("flat-me", 3)});
  Install other = install("flat-me", 4);
  other.identity = "another";
  ASSERT_TRUE(apply(std::move(other)));
  EXPECT_EQ(apply(Restore{first->at(0), standing()}).error().code(), ErrorCode::kInvalid) << "it has tokens";
  ParkedGrant second = parked("flat-me", 4);
  second.identity = "another";
  const auto again = apply(Park{std::move(second)});
  EXPECT_EQ(*apply(Restore{first->at(0), standing()}), Ids{4});
  const Snapshot snapshot = reopened();
  EXPECT_EQ(find(snapshot, "flat-me")->generation, 4u);
  EXPECT_EQ(find(snapshot, "flat-me")->identity, "identity-of-flat-me");
  EXPECT_EQ(describe(*find(snapshot, "flat-me")->tokens), describe(tokens("flat-me-3")));
  ASSERT_TRUE(apply(Park{parked("flat-me", 4)}));
  EXPECT_EQ(*apply(Restore{again->at(0), standing(), 9}), Ids{9}) << "as the caller says";
  EXPECT_EQ(find(reopened(), "flat-me")->generation, 9u);
}

TEST_P(Contract, TheOrderOfAParkedGrantMayComeLater) {
  ASSERT_TRUE(apply(install("flat-me", 1)));
  ParkedGrant grant = parked("flat-me", 1);
  grant.order.wipe();
  const auto id = apply(Park{std::move(grant)});
  ASSERT_TRUE(apply(SetParkedOrder{id->at(0), Secret("later")}));
  const Snapshot snapshot = reopened();
  EXPECT_EQ(snapshot.parked.at(0).order.expose(), "later");
  EXPECT_EQ(describe(snapshot.parked[0].tokens), describe(tokens("flat-me-1")));
  EXPECT_EQ(apply(SetParkedOrder{12345, Secret("x")}).error().code(), ErrorCode::kNotFound);
}

TEST_P(Contract, AParkedGrantCanBeNamedBeforeItIsDurable) {
  ASSERT_TRUE(apply(install("flat-me", 1)));
  ParkedGrant grant = parked("flat-me", 1);
  const std::int64_t id = grant.id = house_->store().new_id();
  house_->store().apply(Park{std::move(grant)}, {});
  EXPECT_TRUE(apply(Restore{id, standing()}));
  EXPECT_TRUE(find(reopened(), "flat-me")->tokens);
}

TEST_P(Contract, RetiringAParkedGrantQueuesIt) {
  ASSERT_TRUE(apply(install("flat-me", 1)));
  const auto id = apply(Park{parked("flat-me", 1)});
  RetireParked change{id->at(0), {}};
  change.retire.push_back(retirement("flat-me", 1, "flat-me-1"));
  ASSERT_TRUE(apply(std::move(change)));
  const Snapshot snapshot = reopened();
  EXPECT_TRUE(snapshot.parked.empty());
  EXPECT_EQ(snapshot.retirements.size(), 1u);
  EXPECT_EQ(apply(RetireParked{id->at(0), {}}).error().code(), ErrorCode::kNotFound);
}

TEST_P(Contract, ALateAnswerIsStoredWithItsParkedGrant) {
  ASSERT_TRUE(apply(install("flat-me", 1)));
  const auto slot = begin(intent("flat-me", 1));
  const auto id = apply(Park{parked("flat-me", 1)});
  UpdateParked late{id->at(0), 2, tokens("late"), {}, *slot};
  late.retire.push_back(retirement("flat-me", 1, "flat-me-1"));
  ASSERT_TRUE(apply(std::move(late)));
  Snapshot snapshot = reopened();
  ASSERT_EQ(snapshot.parked.size(), 1u);
  EXPECT_EQ(snapshot.parked[0].generation, 2u);
  EXPECT_EQ(describe(snapshot.parked[0].tokens), describe(tokens("late")));
  EXPECT_EQ(snapshot.parked[0].order.expose(), "order-flat-me");
  EXPECT_EQ(snapshot.retirements.size(), 1u);
  EXPECT_TRUE(snapshot.intents.empty());
  EXPECT_EQ(*apply(Restore{id->at(0), standing()}), Ids{2});
}

TEST_P(Contract, RetirementsAreTriedAndEnd) {
  QueueRetirements queue;
  queue.retire.push_back(retirement("a", 1, "a1"));
  queue.retire.push_back(retirement("b", 1, "b1"));
  const auto ids = apply(std::move(queue));
  ASSERT_TRUE(ids);
  ASSERT_TRUE(apply(RetirementTried{ids->at(0), 2, wall_from_seconds(1'700'009'000)}));
  ASSERT_TRUE(apply(RetirementOver{ids->at(1)}));
  ASSERT_TRUE(apply(RetirementOver{ids->at(1)})) << "over is over";
  EXPECT_EQ(apply(RetirementTried{ids->at(1), 1, {}}).error().code(), ErrorCode::kNotFound);
  const Snapshot snapshot = reopened();
  ASSERT_EQ(snapshot.retirements.size(), 1u);
  EXPECT_EQ(snapshot.retirements[0].attempts, 2u);
  EXPECT_EQ(snapshot.retirements[0].not_before, wall_from_seconds(1'700'009'000));
  EXPECT_EQ(snapshot.retirements[0].token.expose(), "retired-a1");
}

TEST_P(Contract, AnIntentIsFoundAgainUntilItsAnswerIsInstalled) {
  ASSERT_TRUE(apply(install("flat-me", 1)));
  const auto slot = begin(intent("flat-me", 1));
  ASSERT_TRUE(slot);
  Snapshot snapshot = reopened();
  ASSERT_EQ(snapshot.intents.size(), 1u);
  EXPECT_EQ(snapshot.intents[0].slot, *slot);
  EXPECT_EQ(snapshot.intents[0].generation, 1u);
  EXPECT_EQ(snapshot.intents[0].identity, "identity-of-flat-me");
  EXPECT_EQ(snapshot.intents[0].sent_at, wall_from_seconds(1'700'000'500));
  ASSERT_TRUE(apply(install("flat-me", 2, *slot)));
  snapshot = reopened();
  EXPECT_TRUE(snapshot.intents.empty());
  EXPECT_EQ(find(snapshot, "flat-me")->generation, 2u);
}

TEST_P(Contract, AResendIsCounted) {
  const auto slot = begin(intent("flat-me", 1));
  ASSERT_TRUE(apply(CountResend{"flat-me", *slot, 1}));
  const Snapshot snapshot = reopened();
  ASSERT_EQ(snapshot.intents.size(), 1u);
  EXPECT_EQ(snapshot.intents[0].resends, 1u);
  EXPECT_EQ(snapshot.intents[0].sent_at, wall_from_seconds(1'700'000'500)) << "its overlap counts from then";
  ASSERT_TRUE(apply(DropIntent{"flat-me", *slot}));
  EXPECT_EQ(apply(CountResend{"flat-me", *slot, 1}).error().code(), ErrorCode::kNotFound) << "then nothing may be sent";
}

TEST_P(Contract, SlotsAreReservedUntilTheyAreFreed) {
  std::vector<SlotId> slots;
  for (std::size_t i = 0; i < kSlots; ++i) {
    const auto slot = begin(intent("account-" + std::to_string(i), 1));
    ASSERT_TRUE(slot);
    slots.push_back(*slot);
  }
  EXPECT_EQ(std::set<SlotId>(slots.begin(), slots.end()).size(), kSlots);
  EXPECT_EQ(begin(intent("one-more", 1)).error().code(), ErrorCode::kExhausted);
  ASSERT_EQ(reopened().intents.size(), kSlots) << "reserved across a restart";
  EXPECT_EQ(begin(intent("one-more", 1)).error().code(), ErrorCode::kExhausted);
  ASSERT_TRUE(apply(DropIntent{"account-0", slots[0]}));
  EXPECT_TRUE(begin(intent("one-more", 1)));
  EXPECT_EQ(begin(intent("two-more", 1)).error().code(), ErrorCode::kExhausted);
  ASSERT_TRUE(apply(install("account-1", 2, slots[1])));
  EXPECT_TRUE(begin(intent("two-more", 1)));
  ASSERT_TRUE(apply(Forget{"account-2"}));
  EXPECT_TRUE(begin(intent("three-more", 1)));
  QueueRetirements late{{}, slots[3]};
  ASSERT_TRUE(apply(std::move(late)));
  EXPECT_TRUE(begin(intent("four-more", 1)));
}

TEST_P(Contract, AnIntentWithoutRoomIsKeptAndGetsRoomBeforeItsResend) {
  std::vector<SlotId> slots;
  for (std::size_t i = 0; i < kSlots; ++i) {
    const auto slot = begin(intent("account-" + std::to_string(i), 1));
    ASSERT_TRUE(slot);
    slots.push_back(*slot);
  }
  ASSERT_TRUE(apply(FreeRoom{"account-0", slots[0]}));
  const auto other = begin(intent("one-more", 1));
  ASSERT_TRUE(other) << "its room is others'";
  EXPECT_EQ(apply(CountResend{"account-0", slots[0], 1}).error().code(), ErrorCode::kExhausted)
      << "while another answer is expected there";
  ASSERT_TRUE(apply(install("one-more", 2, *other)));
  ASSERT_TRUE(apply(CountResend{"account-0", slots[0], 1}));
  EXPECT_EQ(begin(intent("two-more", 1)).error().code(), ErrorCode::kExhausted) << "it has its room again";
  ASSERT_TRUE(apply(install("account-0", 2, slots[0])));
  EXPECT_TRUE(begin(intent("two-more", 1)));
  ASSERT_TRUE(apply(FreeRoom{"account-1", slots[1]}));
  ASSERT_TRUE(apply(DropIntent{"account-1", slots[1]}));
  EXPECT_EQ(apply(CountResend{"account-1", slots[1], 1}).error().code(), ErrorCode::kNotFound) << "and takes no room";
  EXPECT_TRUE(begin(intent("three-more", 1)));
  EXPECT_EQ(begin(intent("four-more", 1)).error().code(), ErrorCode::kExhausted) << "it was freed once, not twice";
}

TEST_P(Contract, ALateAnswerDoesNotTakeAnothersSlot) {
  std::vector<SlotId> slots;
  for (std::size_t i = 0; i < kSlots; ++i)
    slots.push_back(*begin(intent("account-" + std::to_string(i), 1)));
  ASSERT_TRUE(apply(Forget{"account-0"}));
  const auto reused = begin(intent("heir", 1));
  ASSERT_TRUE(reused);
  EXPECT_NE(*reused, slots[0]);
  QueueRetirements late{{}, slots[0]};
  late.retire.push_back(retirement("account-0", 2, "late"));
  ASSERT_TRUE(apply(std::move(late)));
  const Snapshot snapshot = reopened();
  EXPECT_EQ(snapshot.retirements.size(), 1u);
  EXPECT_EQ(snapshot.intents.size(), kSlots) << "the heir still has its intent";
}

TEST_P(Contract, LastUseIsKept) {
  ASSERT_TRUE(apply(install("flat-me", 1)));
  ASSERT_TRUE(apply(SetLastUsed{"flat-me", wall_from_seconds(1'700'000'040)}));
  ASSERT_TRUE(apply(install("flat-me", 2)));
  EXPECT_EQ(find(reopened(), "flat-me")->last_used, wall_from_seconds(1'700'000'040));
}

TEST_P(Contract, WhatWasPromisedBelongsToItsGeneration) {
  const auto promised = [this](const Snapshot& in) { return find(in, "flat-me")->promised_until; };
  const WallTime early = wall_from_seconds(1'700'001'000), late = wall_from_seconds(1'700'002'000);
  ASSERT_TRUE(apply(install("flat-me", 3)));
  EXPECT_EQ(promised(reopened()), WallTime());
  ASSERT_TRUE(apply(SetPromised{"flat-me", 3, late}));
  ASSERT_TRUE(apply(SetPromised{"flat-me", 3, early}));
  EXPECT_EQ(promised(reopened()), late) << "a promise is not taken back";
  ASSERT_TRUE(apply(SetPromised{"flat-me", 2, late + 1h})) << "of tokens that are gone";
  ASSERT_TRUE(apply(SetPromised{"nobody", 1, late}));
  EXPECT_EQ(promised(reopened()), late);
  EXPECT_EQ(reopened().accounts.size(), 1u) << "nobody comes into being by it";
  Install next = install("flat-me", 4);
  next.promised_until = early;
  ASSERT_TRUE(apply(std::move(next)));
  EXPECT_EQ(promised(reopened()), early) << "other tokens, other promises";
}

TEST_P(Contract, WhatWasPromisedGoesWithTheTokensIntoParkingAndBack) {
  const WallTime early = wall_from_seconds(1'700'001'000), late = wall_from_seconds(1'700'002'000);
  ASSERT_TRUE(apply(install("flat-me", 3)));
  ASSERT_TRUE(apply(SetPromised{"flat-me", 3, late}));
  ParkedGrant grant = parked("flat-me", 3);
  grant.promised_until = early;
  const auto id = apply(Park{std::move(grant)});
  Snapshot snapshot = reopened();
  EXPECT_EQ(snapshot.parked.at(0).promised_until, late);
  EXPECT_EQ(find(snapshot, "flat-me")->promised_until, WallTime());
  ASSERT_TRUE(apply(SetPromised{"flat-me", 3, late + 1min})) << "on its way when the grant was parked";
  EXPECT_EQ(reopened().parked.at(0).promised_until, late + 1min);
  ASSERT_TRUE(apply(Restore{id->at(0), standing()}));
  EXPECT_EQ(find(reopened(), "flat-me")->promised_until, late + 1min);
  ASSERT_TRUE(apply(SignOut{"flat-me", {}, standing(State::kSignedOut), 3}));
  EXPECT_EQ(find(reopened(), "flat-me")->promised_until, WallTime());
}

TEST_P(Contract, WhatWasPromisedReachesATokenThatIsReplacedMeanwhile) {
  Install first = install("flat-me", 3);
  first.retire.clear();
  ASSERT_TRUE(apply(std::move(first)));
  Install next = install("flat-me", 4);
  next.retire.clear();
  next.retire.push_back(retirement("flat-me", 3, "access", RetiredKind::kAccess));
  next.retire.push_back(retirement("flat-me", 3, "refresh"));
  next.retire.push_back(retirement("flat-me", 3, "by order", RetiredKind::kAccess));
  next.retire[2].by_sign_out = true;
  const WallTime planned = next.retire[0].not_before;
  ASSERT_TRUE(apply(std::move(next)));
  ASSERT_TRUE(apply(SetPromised{"flat-me", 3, planned + 5min}));
  ASSERT_TRUE(apply(SetPromised{"flat-me", 3, planned + 4min}));
  const Snapshot snapshot = reopened();
  EXPECT_EQ(snapshot.retirements.at(0).not_before, planned + 5min);
  EXPECT_EQ(snapshot.retirements.at(1).not_before, planned) << "nobody was promised a refresh token";
  EXPECT_EQ(snapshot.retirements.at(2).not_before, planned) << "its end was ordered";
  EXPECT_EQ(find(snapshot, "flat-me")->promised_until, WallTime()) << "nothing of the new one";
}

TEST_P(Contract, NumbersThatAreAboutToBeSeenAreKept) {
  EXPECT_EQ(apply(SetSpent{"flat-me", 9}).error().code(), ErrorCode::kNotFound);
  ASSERT_TRUE(apply(install("flat-me", 3)));
  ASSERT_TRUE(apply(SetSpent{"flat-me", 9}));
  ASSERT_TRUE(apply(SetSpent{"flat-me", 5}));
  ASSERT_TRUE(apply(Forget{"flat-me"}));
  const Snapshot snapshot = reopened();
  EXPECT_EQ(find(snapshot, "flat-me")->spent, 9U);
  EXPECT_EQ(find(snapshot, "flat-me")->generation, 3U) << "its own number";
}

TEST_P(Contract, HowFarPeopleWereForewarnedIsKept) {
  EXPECT_EQ(reopened().forewarned_until, WallTime{}) << "never";
  ASSERT_TRUE(apply(SetForewarned{wall_from_seconds(1'700'000'000)}));
  ASSERT_TRUE(apply(SetForewarned{wall_from_seconds(1'700'000'060)}));
  EXPECT_EQ(reopened().forewarned_until, wall_from_seconds(1'700'000'060));
}

TEST_P(Contract, IdsAreNeverGivenTwice) {
  std::set<std::int64_t> seen;
  for (int run = 0; run < 3; ++run) {
    for (int i = 0; i < 10; ++i)
      EXPECT_TRUE(seen.insert(house_->store().new_id()).second);
    QueueRetirements queue;
    queue.retire.push_back(retirement("a", 1, "a1"));
    EXPECT_TRUE(seen.insert(apply(std::move(queue))->at(0)).second);
    QueueRetirements named;
    named.retire.push_back(retirement("a", 1, "a1"));
    const std::int64_t own = named.retire[0].id = house_->store().new_id();
    EXPECT_EQ(*apply(std::move(named)), Ids{own});
    reopened();
  }
}

TEST_P(Contract, ChangesAreAppliedAndAnsweredInOrder) {
  std::vector<int> answered;
  for (int i = 1; i <= 500; ++i) {
    house_->store().apply(install("flat-me", static_cast<Generation>(i)), [&answered, i](Result<Ids> result) {
      EXPECT_TRUE(result);
      answered.push_back(i);
    });
  }
  ASSERT_TRUE(house_->loop.run_until([&] { return answered.size() == 500; }));
  EXPECT_TRUE(std::is_sorted(answered.begin(), answered.end()));
  const Snapshot snapshot = reopened();
  EXPECT_EQ(find(snapshot, "flat-me")->generation, 500u);
  EXPECT_EQ(snapshot.retirements.size(), 499u);
}

TEST_P(Contract, ABadChangeIsUndoneWholeAndSpoilsNoOther) {
  constexpr std::size_t kTimes = 20;
  std::size_t good = 0, bad = 0;
  const std::int64_t taken = apply_queue_of_one();
  for (std::size_t i = 1; i <= kTimes; ++i) {
    house_->store().apply(install("a", i), [&](Result<Ids> result) { good += result ? 1u : 0u; });
    Install half = install("b", i);
    half.retire.clear();
    half.retire.push_back(retirement("b", 0, "half"));
    half.retire.push_back(retirement("b", 0, "half"));
    half.retire[1].id = taken;
    house_->store().apply(std::move(half), [&](Result<Ids> result) { bad += result ? 0u : 1u; });
  }
  ASSERT_TRUE(house_->loop.run_until([&] { return good + bad == 2 * kTimes; }));
  EXPECT_EQ(good, kTimes);
  const Snapshot snapshot = reopened();
  EXPECT_EQ(find(snapshot, "b"), nullptr);
  EXPECT_EQ(find(snapshot, "a")->generation, kTimes);
  EXPECT_EQ(snapshot.retirements.size(), kTimes) << "nothing half done";
}

TEST_P(Contract, CallbacksRunOnTheLoopOnly) {
  bool called = false;
  house_->store().apply(install("a", 1), [&](Result<Ids>) { called = true; });
  house_->store().drain();
  EXPECT_FALSE(called);
  house_->loop.run_posted();
  EXPECT_TRUE(called);
}

TEST_P(Contract, ClosingMakesEverythingDurable) {
  int answered = 0;
  for (int i = 0; i < 300; ++i) {
    house_->store().apply(install("account-" + std::to_string(i), 1),
                          [&](Result<Ids> result) { answered += result ? 1 : 0; });
  }
  const Snapshot snapshot = reopened();
  EXPECT_EQ(snapshot.accounts.size(), 300u);
  house_->loop.run_posted();
  EXPECT_EQ(answered, 300);
}

INSTANTIATE_TEST_SUITE_P(Stores, Contract, ::testing::Values("sqlite", "memory"),
                         [](const auto& one) { return std::string(one.param); });

}  // namespace
}  // namespace credsync::store
