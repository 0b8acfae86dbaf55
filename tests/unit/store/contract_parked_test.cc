// What every TokenStore does with what belongs to a grant that leaves its account: the kept password, and an answer that comes
// late.
#include "tests/unit/store/contract_testing.h"

namespace credsync::store {
namespace {

using namespace credsync::store::testing;

// It would be sent with another's name, or to another provider.
TEST_P(Contract, AKeptPasswordIsErasedWithItsGrant) {
  const auto kept = [this] { return find(reopened(), "flume")->kept_password.clone(); };
  ASSERT_TRUE(apply(with_kept_password("flume", 1)));
  Install other = install("flume", 2);
  other.identity = "another";
  ASSERT_TRUE(apply(std::move(other)));
  EXPECT_TRUE(kept().empty()) << "its tokens were stored over";

  ASSERT_TRUE(apply(with_kept_password("flume", 3)));
  const auto first = apply(Park{parked("flume", 3)});
  ASSERT_TRUE(apply(RetireParked{first->at(0), {}}));
  EXPECT_TRUE(kept().empty()) << "what was parked is retired";

  ASSERT_TRUE(apply(with_kept_password("flume", 4)));
  const auto second = apply(Park{parked("flume", 4)});
  ASSERT_TRUE(apply(install("flume", 5)));
  ASSERT_TRUE(apply(RetireParked{second->at(0), {}}));
  EXPECT_EQ(kept().expose(), "kept") << "it is the account's own grant that it was given for";
}

TEST_P(Contract, AKeptPasswordIsOfItsGrantWhileThatIsParked) {
  ASSERT_TRUE(apply(with_kept_password("flume", 1)));
  const auto id = apply(Park{parked("flume", 1)});
  EXPECT_EQ(find(reopened(), "flume")->kept_identity, "identity-of-flume");
  Install other = install("flume", 2);
  other.identity = "another";
  ASSERT_TRUE(apply(std::move(other)));
  EXPECT_EQ(find(reopened(), "flume")->kept_identity, "identity-of-flume") << "not the one's that is in use";
  ParkedGrant leaving = parked("flume", 2);
  leaving.identity = "another";
  ASSERT_TRUE(apply(Park{std::move(leaving)}));
  ASSERT_TRUE(apply(Restore{id->at(0), standing()}));
  const Snapshot snapshot = reopened();
  EXPECT_EQ(find(snapshot, "flume")->identity, "identity-of-flume");
  EXPECT_EQ(find(snapshot, "flume")->kept_identity, "identity-of-flume");
  EXPECT_EQ(find(snapshot, "flume")->kept_password.expose(), "kept") << "it comes back with its grant";
}

// The disk did not take its parking: what came is the newest of the tokens that the row has, and is parked with them.
TEST_P(Contract, ALateAnswerIsStoredThoughItsGrantIsNotParkedYet) {
  ASSERT_TRUE(apply(install("flat-me", 1)));
  const auto slot = begin(intent("flat-me", 1));
  ParkedGrant grant = parked("flat-me", 1);
  const std::int64_t id = grant.id = house_->store().new_id();
  EXPECT_EQ(apply(UpdateParked{id, 2, tokens("late"), {}, {}}).error().code(), ErrorCode::kNotFound) << "whose is it?";
  ASSERT_TRUE(apply(UpdateParked{id, 2, tokens("late"), {}, *slot}));
  Snapshot snapshot = reopened();
  EXPECT_EQ(find(snapshot, "flat-me")->generation, 2u);
  EXPECT_EQ(find(snapshot, "flat-me")->identity, "identity-of-flat-me");
  EXPECT_EQ(describe(*find(snapshot, "flat-me")->tokens), describe(tokens("late")));
  EXPECT_TRUE(snapshot.intents.empty());
  EXPECT_TRUE(snapshot.damage.empty());
  ASSERT_TRUE(apply(Park{std::move(grant), true}));
  snapshot = reopened();
  EXPECT_FALSE(find(snapshot, "flat-me")->tokens);
  ASSERT_EQ(snapshot.parked.size(), 1u);
  EXPECT_EQ(snapshot.parked[0].generation, 2u);
  EXPECT_EQ(describe(snapshot.parked[0].tokens), describe(tokens("late")));
}

TEST_P(Contract, ALateAnswerIsStoredThoughAnotherGrantsTokensAreInTheRow) {
  ASSERT_TRUE(apply(install("flat-me", 1)));
  const auto slot = begin(intent("flat-me", 1));
  Install other = install("flat-me", 2);
  other.identity = "another";
  ASSERT_TRUE(apply(std::move(other)));
  ParkedGrant grant = parked("flat-me", 1);
  const std::int64_t id = grant.id = house_->store().new_id();
  ASSERT_TRUE(apply(UpdateParked{id, 3, tokens("late"), {}, *slot}));
  Snapshot snapshot = reopened();
  EXPECT_EQ(find(snapshot, "flat-me")->identity, "another");
  EXPECT_EQ(describe(*find(snapshot, "flat-me")->tokens), describe(tokens("flat-me-2")));
  ASSERT_EQ(snapshot.parked.size(), 1u);
  EXPECT_EQ(snapshot.parked[0].id, id);
  EXPECT_EQ(snapshot.parked[0].identity, "identity-of-flat-me");
  EXPECT_EQ(snapshot.parked[0].retire_at, tokens("late").obtained_at + kPutAsideFor) << "until more is known";
  EXPECT_TRUE(snapshot.intents.empty());
  ASSERT_TRUE(apply(Park{std::move(grant), true}));
  snapshot = reopened();
  ASSERT_EQ(snapshot.parked.size(), 1u);
  EXPECT_EQ(snapshot.parked[0].generation, 3u);
  EXPECT_EQ(describe(snapshot.parked[0].tokens), describe(tokens("late")));
  EXPECT_EQ(snapshot.parked[0].order.expose(), "order-flat-me");
  EXPECT_EQ(snapshot.parked[0].retire_at, parked("flat-me", 1).retire_at);
  EXPECT_EQ(describe(*find(snapshot, "flat-me")->tokens), describe(tokens("flat-me-2")));
}

TEST_P(Contract, ALateAnswerForAGrantThatWasSignedOutIsNotStoredWithIt) {
  ASSERT_TRUE(apply(install("flat-me", 1)));
  const auto slot = begin(intent("flat-me", 1));
  ASSERT_TRUE(apply(SignOut{"flat-me", {}, standing(State::kSignedOut), 1}));
  EXPECT_EQ(apply(UpdateParked{77, 2, tokens("late"), {}, *slot}).error().code(), ErrorCode::kNotFound);
  EXPECT_FALSE(find(reopened(), "flat-me")->tokens);
  EXPECT_EQ(reopened().intents.size(), 1u);
}

}  // namespace
}  // namespace credsync::store
