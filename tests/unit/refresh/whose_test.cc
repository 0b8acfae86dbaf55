// Whose a grant is: a refresh keeps what the sign-in learned, and never swaps the person (OpenID Connect Core, 12.2).
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "tests/fakes/core_world.h"

namespace credsync::refresh {
namespace {

using account::State;
using fakes::CoreWorld;
using fakes::make_account;
using fakes::make_profile;
using fakes::make_tokens;

Secret id_token(const std::string& sub, const std::string& iss = "https://as.example") {
  return Secret(encode_base64url(R"({"alg":"RS256"})") + "." +
                encode_base64url("{\"iss\":\"" + iss + "\",\"sub\":\"" + sub + "\"}") + ".c2ln");
}

class WhoseTest : public testing::Test {
 protected:
  account::Account& add_live() {
    account::TokenSet tokens = make_tokens(world.clock, "access-1", "refresh-1", 1h);
    tokens.id_token = id_token("me");
    tokens.subject = "me";
    tokens.extra = {{"realmId", "12"}, {"instance_url", "https://one.example"}};
    return world.add(make_account("flat", profile), std::move(tokens), 1);
  }
  account::TokenSet fresh() { return make_tokens(world.clock, "access-2", "refresh-2", 1h); }
  void answer(account::TokenSet tokens) {
    world.advance(45min);
    ASSERT_EQ(world.endpoint.calls.size(), 1U);
    world.endpoint.answer(std::move(tokens), Secret("order"));
    world.settle();
  }

  CoreWorld world;
  std::shared_ptr<provider::Profile> profile = make_profile();
};

TEST_F(WhoseTest, WhatTheSignInLearnedOutlivesARefreshThatIsSilent) {
  account::Account& account = add_live();
  account::TokenSet tokens = fresh();
  tokens.extra = {{"instance_url", "https://two.example"}};
  answer(std::move(tokens));
  ASSERT_EQ(account.generation(), 2U);
  const account::TokenSet& now = account.live()->tokens;
  EXPECT_EQ(now.subject, "me");
  EXPECT_EQ(now.id_token.expose(), id_token("me").expose());
  EXPECT_EQ(now.extra.at("realmId"), "12");
  EXPECT_EQ(now.extra.at("instance_url"), "https://two.example");
}

TEST_F(WhoseTest, ASubjectOfAnotherSourceDoesNotReplaceTheOneThatIsKnown) {
  account::Account& account = add_live();
  account::TokenSet tokens = fresh();
  tokens.subject = "4711";  // a user_id in the answer, where the sign-in had an ID token
  answer(std::move(tokens));
  ASSERT_EQ(account.generation(), 2U);
  EXPECT_EQ(account.live()->tokens.subject, "me");
}

TEST_F(WhoseTest, TheSamePersonsNewIdTokenIsKept) {
  account::Account& account = add_live();
  account::TokenSet tokens = fresh();
  tokens.id_token = Secret(std::string(id_token("me").expose()) + "2");
  answer(std::move(tokens));
  ASSERT_EQ(account.generation(), 2U);
  EXPECT_EQ(account.live()->tokens.id_token.expose(), std::string(id_token("me").expose()) + "2");
}

TEST_F(WhoseTest, AnIdTokenThatSaysNothingDoesNotEndTheComparison) {
  account::Account& account = add_live();
  account::TokenSet tokens = fresh();
  tokens.id_token = Secret("this.is.not-a-token");
  answer(std::move(tokens));
  ASSERT_EQ(account.generation(), 2U);
  EXPECT_EQ(account.live()->tokens.id_token.expose(), id_token("me").expose());
}

TEST_F(WhoseTest, SomebodyElsesTokensAreNeverInstalled) {
  for (const auto& [sub, iss] : {std::pair{"you", "https://as.example"}, std::pair{"me", "https://other.example"}}) {
    SCOPED_TRACE(sub);
    CoreWorld fresh_world;
    account::TokenSet mine = make_tokens(fresh_world.clock, "access-1", "refresh-1", 1h);
    mine.id_token = id_token("me");
    mine.subject = "me";
    account::Account& account = fresh_world.add(make_account("flat", profile), std::move(mine), 1);
    fresh_world.advance(45min);
    account::TokenSet theirs = make_tokens(fresh_world.clock, "access-2", "refresh-2", 1h);
    theirs.id_token = id_token(sub, iss);
    fresh_world.endpoint.answer(std::move(theirs), Secret("order"));
    fresh_world.settle();

    EXPECT_EQ(account.generation(), 1U);
    EXPECT_EQ(account.standing().state, State::kNeedsLogin);
    ASSERT_TRUE(account.standing().trouble);
    EXPECT_EQ(account.standing().trouble->code, "other-subject");
    EXPECT_EQ(account.live()->tokens.refresh_token.expose(), "refresh-1");
    const auto given = fresh_world.ask("flat");
    EXPECT_EQ(given->token, "access-1") << "what is still good is handed out";
    EXPECT_EQ(given->state, "needs-login");
    EXPECT_TRUE(fresh_world.disk.intents.empty()) << "the slot is free again";
    EXPECT_EQ(fresh_world.disk.accounts.at("flat").tokens->access_token.expose(), "access-1");
    EXPECT_EQ(fresh_world.retirer.pending("flat").count, 2U) << "theirs are revoked, where that kills nothing else";
    fresh_world.advance(20min);
    EXPECT_EQ(fresh_world.endpoint.calls_made, 1U) << "and nothing is sent again";
  }
}

TEST_F(WhoseTest, WhatCouldNotEvenBeQueuedGivesItsSlotBack) {
  account::Account& account = add_live();
  account::TokenSet theirs = fresh();
  theirs.id_token = id_token("you");
  world.advance(45min);
  world.store.fail_next(Error(ErrorCode::kIo, "the disk is broken"), 3);  // the state, their tokens, and the slot
  world.endpoint.answer(std::move(theirs), Secret("order"));
  world.settle();
  EXPECT_EQ(account.standing().state, State::kNeedsLogin);
  EXPECT_EQ(account.standing().trouble->code, "other-subject");
  EXPECT_EQ(world.disk.intents.size(), 1U);
  world.advance(1min);
  EXPECT_TRUE(world.disk.intents.empty());
  EXPECT_EQ(world.endpoint.calls_made, 1U) << "and nothing is sent again";
}

TEST_F(WhoseTest, WhereRevokingMightKillTheirGrantTheirTokensAreOnlyErased) {
  profile->revoke.access_cascade = provider::Cascade::kUnknown;
  profile->revoke.refresh_cascade = provider::Cascade::kGrant;
  add_live();
  account::TokenSet theirs = fresh();
  theirs.id_token = id_token("you");
  answer(std::move(theirs));
  EXPECT_EQ(world.retirer.pending("flat").count, 0U);
  EXPECT_TRUE(world.disk.intents.empty());
  EXPECT_TRUE(world.disk.retirements.empty());
}

TEST_F(WhoseTest, AfterASignOutTheirGrantIsNotSignedOutToo) {
  profile->revoke.access_cascade = provider::Cascade::kUnknown;
  profile->revoke.refresh_cascade = provider::Cascade::kGrant;
  account::Account& account = add_live();
  world.advance(45min);
  world.sign_out.run(account, [](Result<unsigned> pending) { ASSERT_TRUE(pending.has_value()); });
  world.settle();
  account::TokenSet theirs = fresh();
  theirs.id_token = id_token("you");
  world.endpoint.answer(std::move(theirs), Secret("order"));
  world.settle();
  EXPECT_EQ(account.live(), nullptr);
  ASSERT_FALSE(world.disk.retirements.empty()) << "ours are";
  for (const auto& [id, r] : world.disk.retirements)
    EXPECT_NE(r.token.expose(), "refresh-2");
}

TEST_F(WhoseTest, AStrangersAnswerToAnEarlierSignInSaysNothingOfThisOne) {
  account::Account& account = add_live();
  world.advance(45min);
  world.accounts.begin_sign_in(account);  // another sign-in began meanwhile
  account::TokenSet theirs = fresh();
  theirs.id_token = id_token("you");
  world.endpoint.answer(std::move(theirs), Secret("order"));
  world.settle();
  EXPECT_EQ(account.generation(), 1U);
  EXPECT_NE(account.standing().state, State::kNeedsLogin) << "it says nothing about the grant there is now";
  EXPECT_EQ(world.disk.intents.size(), world.endpoint.calls.size()) << "only what is under way holds a slot";
}

}  // namespace
}  // namespace credsync::refresh
