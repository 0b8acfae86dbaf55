// How what is parked ends: when, what of it is revoked, and that a disk which refuses that does not bring it back.
#include <string>
#include <vector>

#include "daemon/account/promise.h"
#include "daemon/oauth/token_request.h"
#include "tests/unit/reconcile/parked_testing.h"

namespace credsync {
namespace {

class RetiredTest : public ParkedTest {
 protected:
  RetiredTest() { world.endpoint.made_order = order(); }

  // With the rules of the profile as it is now.
  Secret order() {
    oauth::ClientCredentials client;
    client.client_id = "client";
    return oauth::serialise(*oauth::make_revocation_order(*profile, {}, client));
  }
  void cascade(provider::Cascade cascade) {
    profile->revoke.refresh_cascade = cascade;
    world.endpoint.made_order = order();
  }
  AccountConfig another() {
    auto made = make_account("flat-me", profile);
    made->refresh = config::RefreshMode::kOnDemand;
    return made;
  }
  // "flat" is renamed, and somebody signs in under the new name.
  void rename(account::TokenSet tokens) {
    const config::Config renamed = with({another()});
    change(here, renamed);
    account::Account& me = *world.accounts.find("flat-me");
    world.sign_in.with_refresh_token(me, Secret("imported"), false, [](login::Outcome) {});
    world.settle();
    world.endpoint.answer(std::move(tokens), Secret("order"));
    world.settle();
    ASSERT_NE(me.live(), nullptr);
    ASSERT_TRUE(is_parked("access-7"));
  }
  account::TokenSet of(const std::string& subject, const std::string& refresh = "refresh-me") {
    account::TokenSet tokens = make_tokens(world.clock, "access-me", refresh, 1h);
    tokens.subject = subject;
    return tokens;
  }
  std::vector<std::string> revoked() {
    std::vector<std::string> tokens;
    for (const auto& revocation : world.endpoint.revocations)
      tokens.emplace_back(revocation.call.token.expose());
    return tokens;
  }
  using Tokens = std::vector<std::string>;
};

TEST_F(RetiredTest, ARemovedAccountsGrantIsRevokedAfterItsTime) {
  cascade(provider::Cascade::kGrant);
  change(here, gone);
  world.advance(days(31));
  EXPECT_EQ(revoked(), Tokens{"refresh-7"}) << "nobody else's could be meant";
}

TEST_F(RetiredTest, AGrantThatMayBeTheSameUnderAnotherNameIsOnlyErased) {
  cascade(provider::Cascade::kGrant);
  rename(of(""));
  world.advance(days(31));
  EXPECT_TRUE(world.disk.parked.empty());
  EXPECT_EQ(revoked(), Tokens{}) << "a month after a renaming the account would be dead";
}

TEST_F(RetiredTest, AGrantOfSomebodyElseIsRevoked) {
  cascade(provider::Cascade::kGrant);
  refresh();
  world.endpoint.answer(of("ann", "refresh-8"), Secret("order"));
  world.settle();
  const config::Config both = with({account("identity one"), another()});
  change(here, both);
  world.sign_in.with_refresh_token(*world.accounts.find("flat-me"), Secret("imported"), false, [](login::Outcome) {});
  world.settle();
  world.endpoint.answer(of("bob"), Secret("order"));
  world.settle();
  change(both, with({another()}));
  world.advance(days(31));
  EXPECT_EQ(revoked().back(), "refresh-8");
}

TEST_F(RetiredTest, WhereTheCascadeIsUnknownSomebodyElsesMayDieToo) {
  cascade(provider::Cascade::kUnknown);
  rename(of("bob"));
  world.advance(days(31));
  EXPECT_EQ(revoked(), Tokens{});
}

TEST_F(RetiredTest, ATokenThatAnotherAccountHasIsOnlyErased) {
  rename(of("", "refresh-7"));
  world.advance(days(31));
  EXPECT_TRUE(world.disk.parked.empty());
  EXPECT_EQ(revoked(), Tokens{});
}

TEST_F(RetiredTest, TokensThatAnAccountGetsByItselfReplaceNobodysGrant) {
  const config::Config two = itself("identity two");
  change(here, two);
  answer("access-two", "");
  world.advance(days(2));
  EXPECT_TRUE(is_parked("access-7")) << "an edit that is taken back within a week signs nobody out";
  change(two, here);
  EXPECT_EQ(row(), "access-7");
}

TEST_F(RetiredTest, ADiskThatRefusesItIsAskedAgain) {
  change(here, gone);
  world.advance(days(29));
  world.store.fail_next(kDiskFails, 1);
  world.advance(days(2));
  ASSERT_EQ(world.store.waiting(), 0U);
  world.advance(1min);
  EXPECT_TRUE(world.disk.parked.empty()) << "the next start would bring it back";
  EXPECT_EQ(revoked(), Tokens{"refresh-7"});
}

// Nobody looks for the answer to a refresh of what is parked before it comes back.
TEST_F(RetiredTest, AnOutcomeThatIsUnknownHoldsNoRoom) {
  refresh();
  change(here, gone);
  world.endpoint.answer(fakes::make_failure(oauth::FailureClass::kAmbiguous));
  world.settle();
  ASSERT_EQ(world.disk.intents.size(), 1U);
  EXPECT_EQ(world.disk.without_room.size(), 1U);
}

TEST_F(RetiredTest, AnEditThatIsTakenBackLeavesTheRoomOfAResendUnderWay) {
  refresh();
  world.endpoint.answer(fakes::make_failure(oauth::FailureClass::kAmbiguous));
  world.settle();
  ASSERT_EQ(world.disk.without_room.size(), 1U);
  refresh();
  ASSERT_EQ(world.endpoint.calls_made, 2U) << "ordered";
  ASSERT_TRUE(world.disk.without_room.empty());
  change(here, gone);
  change(gone, here);
  EXPECT_TRUE(world.disk.without_room.empty()) << "a full disk would have no place for its answer";
  world.store.fill_disk();
  answer("access-8", "refresh-8");
  EXPECT_EQ(world.disk.answers.size(), 1U);
  EXPECT_EQ(world.ask("flat")->token, "access-8");
}

TEST_F(RetiredTest, WhatHasLeftAgainIsNotRestoredByALateWord) {
  world.store.fail_next(kDiskFails, 1);
  change(here, other);
  world.store.hold();
  change(other, here);
  change(here, other);
  world.advance(6s);
  world.store.fail_next(kDiskFails, 4);
  world.store.let_go();
  world.settle();
  world.advance(11s);
  EXPECT_TRUE(is_parked("access-7"));
  change(other, here);
  EXPECT_EQ(world.ask("flat")->token, "access-7");
  EXPECT_EQ(row(), "access-7");
}

// Only the memory has it: tokens of another grant were stored over it before it could be parked.
TEST_F(RetiredTest, WhatIsOnNoDiskIsParkedUntilItIsRestored) {
  const config::Config two = itself("identity two");
  replace_before_it_is_parked(two);
  world.store.fail_next(kDiskFails, 1);
  change(two, here);
  const auto given = world.ask("flat", 0s, 30s);
  EXPECT_FALSE(given->answered) << "it is on no disk";
  world.advance(11s);
  EXPECT_EQ(given->token, "access-7");
  EXPECT_EQ(row(), "access-7");
}

class AtAStart : public RetiredTest {
 protected:
  // What an earlier run left on the disk.
  void leave(const std::string& name, const std::string& identity, account::Generation generation) {
    store::ParkedGrant grant;
    grant.id = world.disk.next_id++;
    grant.account = name;
    grant.identity = identity;
    grant.generation = generation;
    const std::string number = std::to_string(generation);
    grant.tokens = make_tokens(world.clock, "access-" + number, "refresh-" + number, 1h);
    grant.order = order();
    grant.retire_at = world.clock.wall() + days(7);
    const std::int64_t id = grant.id;
    world.disk.parked.emplace(id, std::move(grant));
  }
  void start(const config::Config& config) {
    world.store.crash();
    next.disk = std::move(world.disk);
    reconciler.begin(*next.store.load(), config);
    next.settle();
  }

  CoreWorld next;
  Reconciler reconciler{next.accounts, next.refresher, next.parking, next.retirer, next.store, next.clock};
};

TEST_F(AtAStart, WhatTheRowHasNewerTokensOfIsRetired) {
  leave("flat", "identity one", 5);
  start(here);
  EXPECT_EQ(next.ask("flat")->token, "access-7");
  EXPECT_TRUE(next.disk.parked.empty()) << "it would come back over a newer sign-in";
  EXPECT_TRUE(next.endpoint.revocations.empty()) << "somebody may have been promised it";
  next.advance(account::kLongestPromise + account::kMostStep);
  ASSERT_FALSE(next.endpoint.revocations.empty());
  EXPECT_EQ(next.endpoint.revocations.front().call.token.expose(), "refresh-5");
}

TEST_F(AtAStart, OfTwoOfOneIdentityTheNewerComesBack) {
  leave("flat", "identity two", 5);
  leave("flat", "identity two", 6);
  start(other);
  EXPECT_EQ(next.ask("flat")->token, "access-6");
}

// Edited while the daemon was down, for longer than what is parked is kept.
TEST_F(AtAStart, WhatComesBackInTheMomentOfItsEndIsBack) {
  leave("flat", "identity two", 5);
  world.disk.parked.begin()->second.retire_at = world.clock.wall() - 1h;
  next.store.hold();  // its number is on its way to the disk when its time is looked at
  start(other);
  next.advance(1s);
  next.store.let_go();
  next.settle();
  EXPECT_EQ(next.ask("flat")->token, "access-5");
  EXPECT_FALSE(next.accounts.find("flat")->coming_back()) << "it would be so until the next start";
}

TEST_F(AtAStart, OutcomesThatAreUnknownOfWhatIsParkedHoldNoRoom) {
  constexpr store::SlotId kAll = 64;
  for (store::SlotId slot = 1; slot <= kAll; ++slot) {
    const std::string name = "gone-" + std::to_string(slot);
    leave(name, "identity of " + name, 5);
    store::Intent intent;
    intent.account = name;
    intent.identity = "identity of " + name;
    intent.generation = 5;
    intent.slot = slot;
    intent.sent_at = world.clock.wall();
    world.disk.intents.emplace(slot, std::move(intent));
  }
  world.disk.next_slot = kAll + 1;
  start(here);
  next.refresher.start(*next.accounts.find("flat"), refresh::Reason::kOrdered);
  next.settle();
  EXPECT_EQ(next.endpoint.calls_made, 1U) << "no grant that rotates could be renewed anywhere";
}

}  // namespace
}  // namespace credsync
