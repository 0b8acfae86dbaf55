// A sign-in or a sign-out on its way to the disk: until the store has spoken, an answer for the grant there was is neither
// late nor current, and whatever the store says, no rotation is lost.
#include <gtest/gtest.h>

#include "tests/fakes/core_world.h"

namespace credsync::refresh {
namespace {

using account::State;
using fakes::CoreWorld;
using fakes::make_account;
using fakes::make_profile;
using fakes::make_tokens;

class HeldAnswersTest : public testing::Test {
 protected:
  // A refresh is under way, and so is a sign-in with an imported refresh token.
  void SetUp() override {
    account = &world.add(make_account("flat", make_profile()), tokens("access-1", "refresh-1"), 1);
    world.advance(45min);
    world.sign_in.with_refresh_token(*account, Secret("imported"), false,
                                     [this](login::Outcome outcome) { first = std::move(outcome); });
    world.settle();
    ASSERT_EQ(world.endpoint.calls.size(), 2U);
  }
  account::TokenSet tokens(const std::string& access, const std::string& refresh) {
    return make_tokens(world.clock, access, refresh, 1h);
  }
  void answer(std::size_t call, const std::string& access, const std::string& refresh) {
    auto asked = std::move(world.endpoint.calls.at(call));
    world.endpoint.calls.erase(world.endpoint.calls.begin() + static_cast<std::ptrdiff_t>(call));
    asked.done({tokens(access, refresh), Secret("order")});
    world.settle();
  }
  void answer_refresh() { answer(0, "access-2", "refresh-2"); }
  void answer_sign_in() { answer(world.endpoint.calls.size() - 1, "access-new", "refresh-new"); }
  void let_go() {
    world.store.let_go();
    world.settle();
  }
  void fail_next(unsigned times = 1) { world.store.fail_next(Error(ErrorCode::kIo, "the disk is broken"), times); }
  void expect_grant(const std::string& access, const std::string& refresh) {
    ASSERT_NE(account->live(), nullptr);
    EXPECT_EQ(account->live()->tokens.access_token.expose(), access);
    EXPECT_EQ(account->live()->tokens.refresh_token.expose(), refresh);
    const auto& row = world.disk.accounts.at("flat");
    ASSERT_TRUE(row.tokens);
    EXPECT_EQ(row.tokens->refresh_token.expose(), refresh) << "the disk has what is shown";
    EXPECT_EQ(row.generation, account->generation());
    EXPECT_FALSE(is_retired(refresh));
    EXPECT_TRUE(world.disk.intents.empty()) << "all slots are free";
  }
  bool is_retired(const std::string& token) {
    for (const auto& [id, r] : world.disk.retirements) {
      if (r.token.expose() == token) return true;
    }
    return false;
  }
  static bool signed_in(const std::optional<login::Outcome>& outcome) {
    return outcome && std::holds_alternative<login::SignedIn>(*outcome);
  }
  static bool not_stored(const std::optional<login::Outcome>& outcome) {
    const auto* refused = outcome ? std::get_if<login::Refused>(&*outcome) : nullptr;
    return refused != nullptr && refused->refusal == login::Refusal::kStorage;
  }

  CoreWorld world;
  account::Account* account = nullptr;
  std::optional<login::Outcome> first;
};

TEST_F(HeldAnswersTest, AfterASignInThatCouldNotBeStoredARefreshIsStillCurrent) {
  fail_next();
  answer_sign_in();
  EXPECT_TRUE(not_stored(first));
  answer_refresh();
  expect_grant("access-2", "refresh-2");
  EXPECT_EQ(account->standing().state, State::kOk);
}

TEST_F(HeldAnswersTest, AnAnswerThatComesWhileASignInIsOnItsWayOutlivesItsFailure) {
  world.store.hold();
  answer_sign_in();
  answer_refresh();
  EXPECT_EQ(account->live()->tokens.access_token.expose(), "access-1");
  fail_next();
  let_go();
  EXPECT_TRUE(not_stored(first));
  let_go();
  expect_grant("access-2", "refresh-2");
}

TEST_F(HeldAnswersTest, AnAnswerThatComesWhileASignInIsOnItsWayIsRetiredBehindIt) {
  world.store.hold();
  answer_sign_in();
  answer_refresh();
  let_go();
  EXPECT_TRUE(signed_in(first));
  expect_grant("access-new", "refresh-new");
  EXPECT_TRUE(is_retired("refresh-2"));
}

TEST_F(HeldAnswersTest, ARefreshOnItsWayWhenASignInIsOrderedOutlivesItsFailure) {
  world.store.hold();
  answer_refresh();
  answer_sign_in();
  world.store.let_go_of(1);  // the refresh is durable, and the word comes while the sign-in is on its way
  world.settle();
  fail_next();
  let_go();
  EXPECT_TRUE(not_stored(first));
  expect_grant("access-2", "refresh-2");
  EXPECT_EQ(world.refresher.under_way(), 0U);
}

TEST_F(HeldAnswersTest, ARefreshOnItsWayWhenASignInIsOrderedIsRetiredBehindIt) {
  world.store.hold();
  answer_refresh();
  answer_sign_in();
  let_go();
  EXPECT_TRUE(signed_in(first));
  expect_grant("access-new", "refresh-new");
  EXPECT_TRUE(is_retired("refresh-1"));
  EXPECT_TRUE(is_retired("refresh-2"));
}

// Two sign-ins at once come from two doors: a session, and an import.
TEST_F(HeldAnswersTest, OfTwoSignInsOnTheirWayTheSecondTakesThePlaceThatTheFirstCouldNot) {
  for (const bool first_fails : {true, false}) {
    SCOPED_TRACE(first_fails);
    CoreWorld fresh;
    account::Account& flat =
        fresh.add(make_account("flat", make_profile()), make_tokens(fresh.clock, "access-1", "refresh-1", 1h), 1);
    const auto place = [&](const std::string& name) {
      Candidate candidate;
      candidate.config = flat.shared_config();
      candidate.sign_in = flat.sign_in();
      candidate.new_sign_in = true;
      candidate.tokens = make_tokens(fresh.clock, "access-" + name, "refresh-" + name, 1h);
      candidate.order = Secret("order");
      auto placed = std::make_shared<std::optional<Placed>>();
      fresh.installer.place(std::move(candidate), [placed](Placed where, std::string) { *placed = where; });
      return placed;
    };
    fresh.store.hold();
    const auto one = place("one");
    const auto two = place("two");
    if (first_fails) fresh.store.fail_next(Error(ErrorCode::kIo, "the disk is broken"));
    fresh.store.let_go();
    fresh.settle();
    EXPECT_EQ(*one, first_fails ? Placed::kNotStored : Placed::kInstalled);
    EXPECT_EQ(*two, first_fails ? Placed::kInstalled : Placed::kRetired);
    const std::string winner = first_fails ? "access-two" : "access-one";
    EXPECT_EQ(flat.live()->tokens.access_token.expose(), winner);
    EXPECT_EQ(fresh.disk.accounts.at("flat").tokens->access_token.expose(), winner);
    EXPECT_EQ(fresh.disk.accounts.at("flat").generation, flat.generation());
  }
}

TEST_F(HeldAnswersTest, ASignOutThatCouldNotBeStoredCostsNoRotation) {
  world.store.hold();
  std::optional<bool> signed_out;
  world.sign_out.run(*account, [&](Result<unsigned> pending) { signed_out = pending.has_value(); });
  world.settle();
  answer_refresh();
  fail_next();
  let_go();
  EXPECT_EQ(signed_out, std::optional(false));
  let_go();
  ASSERT_NE(account->live(), nullptr);
  EXPECT_EQ(account->live()->tokens.refresh_token.expose(), "refresh-2");
  EXPECT_FALSE(is_retired("refresh-2"));
  answer_sign_in();
  EXPECT_TRUE(signed_in(first)) << "nor the sign-in under way";
}

// The slot of a code or an import that is spent says nothing of the grant in use, and a full store may not want to hear it.
TEST_F(HeldAnswersTest, TheSlotOfASignInThatCouldNotBeStoredIsFreedInTheEnd) {
  fail_next(2);
  answer_sign_in();
  EXPECT_TRUE(not_stored(first));
  EXPECT_EQ(world.disk.intents.size(), 2U);
  world.advance(1min);
  EXPECT_EQ(world.disk.intents.size(), 1U) << "the refresh under way needs its own";
  answer_refresh();
  expect_grant("access-2", "refresh-2");
}

// A refresh whose answer is lost keeps its slot for the resend, which the grant that ends will not need.
TEST_F(HeldAnswersTest, WhatEndsAGrantEndsItsUnknownOutcomeToo) {
  for (const bool by_sign_in : {true, false}) {
    SCOPED_TRACE(by_sign_in);
    CoreWorld fresh;
    account::Account& flat =
        fresh.add(make_account("flat", make_profile()), make_tokens(fresh.clock, "access-1", "refresh-1", 1h), 1);
    fresh.advance(45min);
    fresh.endpoint.answer(fakes::make_failure(oauth::FailureClass::kAmbiguous));
    fresh.settle();
    ASSERT_TRUE(flat.unknown());
    if (by_sign_in) {
      fresh.sign_in.with_refresh_token(flat, Secret("imported"), false, [](login::Outcome) {});
      fresh.settle();
      fresh.endpoint.answer(make_tokens(fresh.clock, "access-new", "refresh-new", 1h), Secret("order"));
    } else {
      fresh.sign_out.run(flat, [](Result<unsigned>) {});
    }
    fresh.settle();
    EXPECT_FALSE(flat.unknown());
    EXPECT_TRUE(fresh.disk.intents.empty()) << "all slots are free";
  }
}

TEST_F(HeldAnswersTest, OfTwoSignOutsOneEndsTheGrant) {
  world.store.hold();
  answer_refresh();  // both wait for it
  std::vector<bool> ended;
  for (int i = 0; i < 2; ++i)
    world.sign_out.run(*account, [&](Result<unsigned> pending) { ended.push_back(pending.has_value()); });
  world.settle();
  let_go();
  ASSERT_EQ(ended.size(), 2U);
  EXPECT_NE(ended[0], ended[1]);
  EXPECT_EQ(account->live(), nullptr);
  EXPECT_TRUE(is_retired("refresh-2"));
}

// The store takes changes in order: what is said of the old grant behind the change that ends it would be said of that.
TEST_F(HeldAnswersTest, AFailureOfAGrantThatIsSignedOutJustNowDoesNotUndoThat) {
  world.store.hold();
  world.sign_out.run(*account, [](Result<unsigned>) {});
  world.settle();
  world.endpoint.answer(fakes::make_failure(oauth::FailureClass::kTransient));
  world.settle();
  let_go();
  let_go();
  EXPECT_EQ(account->standing().state, State::kSignedOut);
  EXPECT_EQ(world.disk.accounts.at("flat").standing.state, State::kSignedOut) << "a start would sign in by itself";
  EXPECT_EQ(world.refresher.under_way(), 0U);
}

TEST_F(HeldAnswersTest, AFailureOfAGrantThatIsReplacedJustNowSaysNothingOfTheNewOne) {
  world.store.hold();
  answer_sign_in();
  world.endpoint.answer(fakes::make_failure(oauth::FailureClass::kNeedsLogin));
  world.settle();
  let_go();
  let_go();
  EXPECT_TRUE(signed_in(first));
  EXPECT_EQ(account->standing().state, State::kOk);
  EXPECT_EQ(world.disk.accounts.at("flat").standing.state, State::kOk) << "a start would ask for a sign-in";
  EXPECT_TRUE(world.disk.intents.empty()) << "all slots are free";
}

TEST_F(HeldAnswersTest, AFailureIsMindedWhenTheSignOutCouldNotBeStored) {
  world.store.hold();
  world.sign_out.run(*account, [](Result<unsigned>) {});
  world.settle();
  world.endpoint.answer(fakes::make_failure(oauth::FailureClass::kNeedsLogin));
  world.settle();
  fail_next();
  let_go();
  let_go();
  EXPECT_EQ(account->standing().state, State::kNeedsLogin);
  EXPECT_EQ(world.disk.accounts.at("flat").standing.state, State::kNeedsLogin);
}

}  // namespace
}  // namespace credsync::refresh
