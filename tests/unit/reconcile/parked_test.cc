// What is parked while a disk fails, a clock is set, or something of it is on its way to the disk. Found by tests/simulation.
#include "tests/unit/reconcile/parked_testing.h"

namespace credsync {
namespace {

TEST_F(ParkedTest, WhatADiskThatFailsDidNotTakeIsParkedWhenItWorks) {
  world.store.fail_next(kDiskFails, 2);
  change(here, gone);
  ASSERT_TRUE(world.disk.parked.empty());
  world.advance(6s);
  EXPECT_TRUE(is_parked("access-7")) << "the next start would serve a removed account";
  change(gone, here);
  EXPECT_EQ(world.ask("flat")->token, "access-7");
  EXPECT_EQ(row(), "access-7");
  EXPECT_TRUE(world.disk.parked.empty());
}

// The row holds nothing but that grant, and the next one's first tokens would be stored over it.
TEST_F(ParkedTest, WhatIsNotParkedYetIsSoBeforeAnotherGrantComesIntoItsRow) {
  world.store.fail_next(kDiskFails, 2);
  change(here, other);
  ASSERT_TRUE(world.disk.parked.empty());
  world.sign_in.with_refresh_token(flat(), Secret("imported"), false, [](login::Outcome) {});
  world.settle();
  auto asked = std::move(world.endpoint.calls.front());
  world.endpoint.calls.clear();
  world.store.hold();  // until all that comes of the answer is ordered
  asked.done({make_tokens(world.clock, "access-two", "refresh-two", 1h), Secret("order")});
  world.settle();
  world.store.let_go_of(2);
  EXPECT_TRUE(is_parked("access-7")) << "a crash would lose its refresh token";
  EXPECT_EQ(row(), "access-two");
}

// Only the memory has it: another grant's tokens were stored over it, and leave the row before it can be parked.
TEST_F(ParkedTest, WhatComesBackBeforeItCouldBeParkedIsInItsRowInTheEnd) {
  const config::Config two = itself("identity two");
  replace_before_it_is_parked(two);
  world.store.fail_next(kDiskFails, 4);
  change(two, here);
  const auto given = world.ask("flat", 0s, 30s);
  EXPECT_FALSE(given->answered) << "it is on no disk";
  world.store.fail_next(kDiskFails, 0);
  world.advance(11s);
  EXPECT_EQ(given->token, "access-7");
  EXPECT_EQ(row(), "access-7");
  EXPECT_FALSE(is_parked("access-7"));
  EXPECT_TRUE(is_parked("access-two"));
}

TEST_F(ParkedTest, WhatCouldNotBeParkedIsSoThoughAnotherGrantIsSignedOut) {
  world.store.fail_next(kDiskFails, 2);
  change(here, other);
  world.sign_out.run(flat(), [](Result<unsigned> done) { EXPECT_TRUE(done); });
  world.settle();
  EXPECT_TRUE(is_parked("access-7")) << "nobody signed out of it";
}

// Its refresh waits for its turn, and is sent when that comes.
TEST_F(ParkedTest, ASignOutOfAnotherGrantDoesNotMakeARefreshUnderWayForeign) {
  refresh();
  change(here, other);
  world.sign_out.run(flat(), [](Result<unsigned>) {});
  world.settle();
  change(other, here);
  ASSERT_EQ(world.ask("flat", 0s, 0s)->token, "access-7");
  refresh();
  EXPECT_EQ(world.endpoint.calls_made, 1U) << "a reuse detector would end the grant";
  answer("access-8", "refresh-8");
  EXPECT_EQ(world.ask("flat")->token, "access-8");
}

TEST_F(ParkedTest, ALateAnswerIsNotShownBeforeItIsDurable) {
  refresh();
  change(here, gone);
  world.store.hold();
  answer("access-8", "refresh-8");
  change(gone, here);
  EXPECT_NE(world.ask("flat", 0s, 0s)->token, "access-8") << "a crash would lose it";
  world.store.let_go();
  world.settle();
  EXPECT_EQ(world.ask("flat")->token, "access-8");
  EXPECT_EQ(row(), "access-8");
  EXPECT_EQ(world.endpoint.calls_made, 1U);
}

TEST_F(ParkedTest, WhatAnotherGrantWasStoredOverIsStoredAgainBeforeItIsShown) {
  const config::Config one = itself("identity one"), two = itself("identity two");
  change(here, one);
  refresh();
  world.store.hold();
  answer("access-8", "");
  change(one, two);
  answer("access-two", "");
  change(two, one);
  world.store.let_go();
  world.settle();
  EXPECT_EQ(world.ask("flat", 0s, 0s)->token, "access-8");
  EXPECT_EQ(row(), "access-8");
  EXPECT_TRUE(is_parked("access-two"));
  world.advance(6s);
  EXPECT_EQ(row(), "access-8");
}

// A program's own grant could get tokens by itself while its parked ones wait for the store's word. It cannot have both.
TEST_F(ParkedTest, WhatIsAboutToComeBackGetsNothingElseByItself) {
  const config::Config one = itself("identity one"), two = itself("identity two");
  change(here, one);
  refresh();
  world.store.hold();
  answer("access-8", "");
  change(one, two);
  answer("access-two", "");
  world.store.let_go_of(world.store.waiting());
  world.settle();
  ASSERT_EQ(world.ask("flat", 0s, 0s)->token, "access-two");
  change(two, one);  // the late answer for what is parked is on its way to the disk
  EXPECT_TRUE(world.endpoint.calls.empty());
  world.store.let_go();
  world.settle();
  EXPECT_EQ(world.ask("flat")->token, "access-8");
  EXPECT_EQ(row(), "access-8");
  EXPECT_TRUE(world.endpoint.calls.empty());
}

TEST_F(ParkedTest, AResendWithinTheOverlapThatIsLostAfterAnEditGivesNothingUp) {
  profile->refresh.overlap = 10min;
  const auto lost = [&] {
    world.endpoint.answer(fakes::make_failure(oauth::FailureClass::kAmbiguous));
    world.settle();
  };
  refresh();
  lost();
  ASSERT_EQ(world.endpoint.calls_made, 2U) << "within the overlap at once";
  change(here, other);
  lost();
  change(other, here);
  EXPECT_EQ(flat().standing().state, account::State::kOk) << "it works, as its provider declares";
  world.advance(59min);
  EXPECT_EQ(world.endpoint.refresh_token_sent(), "refresh-7");
}

TEST_F(ParkedTest, ALateAnswerThatCannotBeStoredIsNotShown) {
  profile->refresh.rotation = provider::Rotation::kNone;
  refresh();
  change(here, gone);
  world.store.fail_next(kDiskFails);
  answer("access-8", "refresh-7");
  change(gone, here);
  EXPECT_EQ(world.ask("flat")->token, "access-7");
  EXPECT_EQ(row(), "access-7");
}

TEST_F(ParkedTest, ALateAnswerOfAGrantThatCouldNotBeParkedIsKept) {
  refresh();
  world.store.fill_disk();
  change(here, other);
  ASSERT_TRUE(world.disk.parked.empty());
  answer("access-8", "refresh-8");
  change(other, here);
  EXPECT_EQ(world.ask("flat", 0s, 0s)->token, "access-8");
  world.store.make_room();
  world.advance(11s);
  EXPECT_EQ(row(), "access-8");
  EXPECT_TRUE(world.disk.parked.empty());
  EXPECT_TRUE(world.disk.intents.empty());
  EXPECT_EQ(flat().generation(), world.disk.accounts.at("flat").generation);
}

// The old one may have been replaced at the provider, or not: its intent is what a resend is counted in.
TEST_F(ParkedTest, ALateAnswerThatTheDiskRefusesLeavesItsIntent) {
  refresh();
  change(here, other);
  world.store.fail_next(kDiskFails);
  answer("access-8", "refresh-8");
  change(other, here);
  ASSERT_EQ(world.ask("flat", 0s, 0s)->token, "access-7");
  EXPECT_TRUE(flat().unknown());
  refresh();
  EXPECT_EQ(world.endpoint.calls_made, 2U) << "uncounted it may not be sent, and nothing is there to count it in";
}

// The edit came while it was on its way to its row, and the disk fails after that.
TEST_F(ParkedTest, AnAnswerThatReachedItsRowIsNotLostThoughThatIsNotParked) {
  refresh();
  world.store.hold();
  answer("access-8", "refresh-8");
  change(here, other);
  world.store.let_go_of(1);
  world.store.fail_next(kDiskFails);
  world.store.let_go();
  world.settle();
  ASSERT_EQ(row(), "access-8");
  change(other, here);
  ASSERT_EQ(world.ask("flat", 0s, 0s)->token, "access-8");
  EXPECT_FALSE(flat().unknown());
  refresh();
  ASSERT_EQ(world.endpoint.calls_made, 2U);
  EXPECT_EQ(world.endpoint.refresh_token_sent(), "refresh-8");
}

TEST_F(ParkedTest, WhatIsRetiredWhileALateAnswerIsOnItsWayIsRetiredWithIt) {
  refresh();
  change(here, gone);
  world.store.hold();
  answer("access-8", "refresh-8");
  world.advance(retire::kKeptAfterRemoval + days(1));
  EXPECT_EQ(world.parking.size(), 1U) << "its old tokens would be revoked, and the newest erased";
  world.store.let_go();
  world.settle();
  EXPECT_EQ(world.parking.size(), 0U);
  EXPECT_TRUE(world.disk.parked.empty());
}

TEST_F(ParkedTest, AClockSetBackMakesNoParkedTokenLiveLonger) {
  world.advance(10min);
  change(here, gone);
  world.clock.set_wall(world.clock.wall() - 5h);
  world.advance(49min);
  change(gone, here);
  EXPECT_TRUE(flat().usable(world.clock.wall(), world.clock.boot()));
  world.clock.advance(2min);
  EXPECT_FALSE(flat().usable(world.clock.wall(), world.clock.boot())) << "it ended an hour after its request";
}

TEST_F(ParkedTest, APromiseMadeWhileTheNextTokenIsOnItsWayIsKeptThoughTheGrantIsParked) {
  refresh();
  world.store.hold();
  answer("access-8", "refresh-8");
  ASSERT_EQ(world.ask("flat", 20min)->token, "access-7");
  reconciler.change(here, gone);
  world.store.let_go();
  world.settle();
  world.advance(19min);
  const auto asked_for = [&](const std::string& token) {
    return std::any_of(world.endpoint.revocations.begin(), world.endpoint.revocations.end(),
                       [&](const auto& revocation) { return revocation.call.token.expose() == token; });
  };
  EXPECT_FALSE(asked_for("access-7")) << "a caller was told that it is good";
  world.advance(2min);
  EXPECT_TRUE(asked_for("access-7"));
}

// Of what was signed out nothing is in the row that could be parked: only the memory had it, and would show it again.
class SignedOutWhileItLeaves : public ParkedTest, public testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(, SignedOutWhileItLeaves, testing::Bool(),
                         [](const auto& of) { return of.param ? "RemovedByAnEdit" : "AnothersByAnEdit"; });

TEST_P(SignedOutWhileItLeaves, DoesNotComeBack) {
  const config::Config& meanwhile = GetParam() ? gone : other;
  world.store.hold();
  world.sign_out.run(flat(), [](Result<unsigned> done) { EXPECT_TRUE(done); });
  world.settle();
  change(here, meanwhile);
  ASSERT_EQ(world.parking.size(), 1U);
  world.store.let_go();
  world.settle();
  EXPECT_EQ(world.parking.size(), 0U);
  change(meanwhile, here);
  EXPECT_NE(world.ask("flat", 0s, 0s)->token, "access-7") << "it is on no disk, and revoked";
}

TEST_F(ParkedTest, ALateAnswerOfWhatIsSignedOutWhileItLeavesIsNobodysWhenTheAccountIsBack) {
  refresh();
  world.store.hold();
  world.sign_out.run(flat(), [](Result<unsigned>) {});
  world.settle();
  change(here, gone);
  world.store.let_go();
  world.settle();
  change(gone, here);
  answer("access-8", "refresh-8");
  EXPECT_NE(world.ask("flat", 0s, 0s)->token, "access-8");
  EXPECT_EQ(row(), "");
}

TEST_F(ParkedTest, AnotherGrantThatComesBackDuringASignOutStays) {
  const config::Config two = itself("identity two");
  change(here, two);
  answer("access-two", "");
  change(two, here);
  ASSERT_TRUE(is_parked("access-two"));
  world.store.hold();
  world.sign_out.run(flat(), [](Result<unsigned>) {});
  world.settle();
  change(here, two);
  world.store.let_go();
  world.settle();
  EXPECT_EQ(world.ask("flat", 0s, 0s)->token, "access-two");
  EXPECT_EQ(row(), "access-two");
  change(two, here);
  EXPECT_NE(world.ask("flat", 0s, 0s)->token, "access-7");
}

// The wall clock is ahead just when a token comes, and is set back then.
TEST_F(ParkedTest, AClockThatWasAheadForAMomentTakesNothingFromAToken) {
  const auto answer_ahead = [&](const std::string& access, const std::string& refresh) {
    account::TokenSet tokens = make_tokens(world.clock, access, refresh, 1h);
    world.clock.set_wall(world.clock.wall() + 50min);
    world.endpoint.answer(std::move(tokens), Secret("order"));
    world.settle();
  };
  refresh();
  answer_ahead("access-8", "refresh-8");
  world.clock.set_wall(world.clock.wall() - 50min);
  EXPECT_EQ(flat().remaining(world.clock.wall(), world.clock.boot()), 1h);
  refresh();
  change(here, gone);
  answer_ahead("access-9", "refresh-9");
  change(gone, here);
  world.clock.set_wall(world.clock.wall() - 50min);
  ASSERT_EQ(world.ask("flat", 0s, 0s)->token, "access-9");
  EXPECT_EQ(flat().remaining(world.clock.wall(), world.clock.boot()), 1h);
}

// Within the overlap they were no risk; after it there is one more, at the floor.
TEST_F(ParkedTest, ResendsThatWereLostWithinTheOverlapGiveNothingUpAfterIt) {
  profile->refresh.overlap = 10min;
  refresh();
  for (unsigned i = 1; i <= 2; ++i) {
    ASSERT_EQ(world.endpoint.calls_made, i);
    world.endpoint.answer(fakes::make_failure(oauth::FailureClass::kAmbiguous));
    world.settle();
  }
  change(here, gone);
  world.endpoint.calls.clear();
  world.advance(20min);
  change(gone, here);
  EXPECT_EQ(flat().standing().state, account::State::kOk);
  world.advance(20min);
  EXPECT_TRUE(world.endpoint.calls.empty()) << "not before the floor";
  world.advance(20min);
  (void)world.ask("flat");
  ASSERT_FALSE(world.endpoint.calls.empty());
  EXPECT_EQ(world.endpoint.refresh_token_sent(), "refresh-7");
}

// As a crash leaves the disk, and what the next start makes of it.
class AfterACrash : public ParkedTest {
 protected:
  void crash() { crash(here); }
  void crash(const config::Config& config_then) {
    world.store.crash();
    next.disk = std::move(world.disk);
    next.clock.advance(10min);
    at_start.begin(*next.store.load(), config_then);
    next.settle();
  }
  // The program's own grant gets tokens while the refresh of the first one is on its way, and the edit is taken back.
  void another_grant_meanwhile() {
    refresh();
    change(here, two);
    auto asked = std::move(world.endpoint.calls.at(1));
    world.endpoint.calls.pop_back();
    asked.done({make_tokens(world.clock, "access-two", "", 1h), Secret("order")});
    world.settle();
    ASSERT_EQ(row(), "access-two");
  }

  const config::Config two = itself("identity two");
  CoreWorld next;
  Reconciler at_start{next.accounts, next.refresher, next.parking, next.retirer, next.store, next.clock};
};

// The account is another user's now, or at another provider, where the next renewal would send it.
class KeptPassword : public AfterACrash {
 protected:
  KeptPassword() {
    store::Install install;
    install.account = "flat";
    install.identity = "identity one";
    install.generation = 8;
    install.tokens = make_tokens(world.clock, "access-8", "refresh-8", 1h);
    install.standing = {account::State::kOk, world.clock.wall(), std::nullopt};
    install.kept_password = Secret("the first user's");
    install.replace_kept_password = true;
    world.store.apply(std::move(install), [](Result<store::Ids>) {});
    world.settle();
    change(here, two);
    answer("access-two", "");
    EXPECT_EQ(row(), "access-two");
  }
  std::string_view after_the_start() { return next.accounts.find("flat")->kept_password().expose(); }
};

TEST_F(KeptPassword, IsNotAnotherGrants) {
  crash(two);
  EXPECT_EQ(after_the_start(), "");
}

TEST_F(KeptPassword, ComesBackWithItsGrant) {
  change(two, here);
  ASSERT_EQ(row(), "access-8");
  crash(here);
  EXPECT_EQ(after_the_start(), "the first user's");
}

TEST_F(KeptPassword, ComesBackWithItsGrantAtTheStart) {
  crash(here);
  EXPECT_EQ(after_the_start(), "the first user's");
}

TEST_F(AfterACrash, AnIntentIsOfItsGrantWhateverNumberThatHasNow) {
  another_grant_meanwhile();
  change(two, here);
  ASSERT_EQ(world.ask("flat", 0s, 0s)->token, "access-7");
  ASSERT_GT(flat().generation(), 8U);
  crash();
  const account::Account& account = *next.accounts.find("flat");
  ASSERT_EQ(next.ask("flat", 0s, 0s)->token, "access-7");
  EXPECT_TRUE(account.unknown()) << "its refresh token would be sent once more, uncounted";
  EXPECT_EQ(next.endpoint.calls_made, 0U);
}

TEST_F(AfterACrash, AnIntentIsOfAGrantThatComesBackWithTheStart) {
  another_grant_meanwhile();
  crash();
  ASSERT_EQ(next.ask("flat", 0s, 0s)->token, "access-7");
  EXPECT_TRUE(next.accounts.find("flat")->unknown());
  EXPECT_EQ(next.endpoint.calls_made, 0U);
}

// The disk fails when it comes back, and not when its refresh is begun: the intent is of a number that nothing else has.
TEST_F(AfterACrash, AnIntentOfANumberThatTheDiskDoesNotKnowIsOfItsGrant) {
  another_grant_meanwhile();
  answer("access-8", "refresh-8");
  ASSERT_TRUE(is_parked("access-8"));
  refresh();
  answer("access-two-2", "");
  ASSERT_EQ(row(), "access-two-2");
  world.store.hold();
  change(two, here);
  world.store.let_go_of(world.store.waiting());  // what callers will see of it; not that it is in use again
  world.settle();
  ASSERT_EQ(world.ask("flat", 0s, 0s)->token, "access-8");
  world.store.fail_next(kDiskFails, static_cast<unsigned>(world.store.waiting()));
  world.store.let_go();
  world.settle();
  refresh();
  ASSERT_EQ(world.disk.intents.size(), 1U);
  ASSERT_TRUE(is_parked("access-8"));
  crash();
  ASSERT_EQ(next.ask("flat", 0s, 0s)->token, "access-8");
  EXPECT_TRUE(next.accounts.find("flat")->unknown());
}

// The row holds what could not be parked, and the other grant's answer is in its slot: another file, which works.
TEST_F(AfterACrash, WhatCouldNotBeParkedIsNotLostToAnAnswerInItsSlot) {
  world.store.fail_next(kDiskFails, 2);
  change(here, other);
  ASSERT_TRUE(world.disk.parked.empty());
  world.sign_in.with_refresh_token(flat(), Secret("imported"), false, [](login::Outcome) {});
  world.settle();
  world.store.hold();
  answer("access-two", "refresh-two");
  world.store.put_answers();
  ASSERT_EQ(world.disk.answers.size(), 1U);
  here = other;
  crash();
  EXPECT_EQ(next.ask("flat", 0s, 0s)->token, "access-two");
  ASSERT_EQ(next.disk.parked.size(), 1U);
  EXPECT_EQ(next.disk.parked.begin()->second.tokens.refresh_token.expose(), "refresh-7");
}

// What was given is on its way to the disk; the store would raise the number of what is restored behind it.
TEST_F(ParkedTest, NoNumberThatIsOnItsWayToTheDiskIsThatOfAGrantThatComesBack) {
  const config::Config two = itself("identity two");
  change(here, two);
  world.store.hold();
  answer("access-two", "");
  change(two, here);
  world.store.let_go();
  world.settle();
  world.advance(6s);
  ASSERT_EQ(world.ask("flat", 0s, 0s)->token, "access-7");
  ASSERT_EQ(row(), "access-7");
  EXPECT_EQ(world.disk.accounts.at("flat").generation, flat().generation());
  ASSERT_EQ(world.disk.parked.size(), 1U);
  EXPECT_NE(world.disk.parked.begin()->second.generation, flat().generation());
}

// The sign-in is stored with a lower number than the grant would come back under, and the edit is taken back again before that.
TEST_F(ParkedTest, ASignInOnItsWayToTheDiskIsBehindNoNumberThatWasSeenMeanwhile) {
  auto personal = std::make_shared<config::Account>(*account("identity two"));
  personal->grant = provider::Grant::kStatic;
  const config::Config two = with({AccountConfig(personal)});
  change(here, two);
  world.store.hold();
  world.sign_in.with_access_token(flat(), Secret("personal"), [](login::Outcome) {});
  world.settle();
  change(two, here);
  change(here, two);
  world.store.let_go();
  world.settle();
  EXPECT_EQ(world.ask("flat", 0s, 0s)->token, "personal");
  EXPECT_EQ(world.ask("flat", 0s, 0s)->generation, world.disk.accounts.at("flat").generation);
}

// It would have to wait until a disk that fails knows another.
TEST_F(ParkedTest, WhatTheDiskRefusedToParkKeepsItsNumber) {
  const config::Config two = itself("identity two");
  world.store.fail_next(kDiskFails, 2);
  change(here, two);
  ASSERT_TRUE(world.disk.parked.empty());
  world.store.hold();
  answer("access-two", "");
  change(two, here);
  ASSERT_EQ(world.ask("flat", 0s, 0s)->token, "access-7");
  EXPECT_EQ(flat().generation(), 7U);
}

class StandingBehind : public ParkedTest {
 protected:
  // Three in a row: the account is `retrying`.
  void reject_the_third() {
    flat().attempts.rejected = 2;
    flat().attempts.rejected_generation = flat().generation() - 1;
    world.refresher.note_rejected(flat());
    ASSERT_EQ(flat().standing().state, account::State::kRetrying);
  }
  account::State stored() { return world.disk.accounts.at("flat").standing.state; }
};

TEST_F(StandingBehind, ASignInSaysNothingOfTheNewGrant) {
  world.sign_in.with_refresh_token(flat(), Secret("imported"), false, [](login::Outcome) {});
  world.settle();
  world.store.hold();
  answer("access-8", "refresh-8");
  reject_the_third();
  world.store.let_go();
  world.settle();
  EXPECT_EQ(flat().standing().state, account::State::kOk);
  EXPECT_EQ(stored(), account::State::kOk);
}

TEST_F(StandingBehind, ASignOutDoesNotBringTheAccountBack) {
  world.store.hold();
  world.sign_out.run(flat(), [](Result<unsigned>) {});
  world.settle();
  reject_the_third();
  world.store.let_go();
  world.settle();
  EXPECT_EQ(stored(), account::State::kSignedOut) << "a program's own grant would sign in again by itself";
}

}  // namespace
}  // namespace credsync
