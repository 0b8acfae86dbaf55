// A configuration that changes, and a store that remembers: nobody is signed out by an edit.
#include "daemon/reconcile.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "daemon/config/fingerprint.h"
#include "tests/fakes/core_world.h"

namespace credsync {
namespace {

using account::State;
using fakes::CoreWorld;
using fakes::make_account;
using fakes::make_profile;
using fakes::make_tokens;

class ReconcileTest : public testing::Test {
 protected:
  using AccountConfig = std::shared_ptr<const config::Account>;

  static config::Config with(std::vector<AccountConfig> accounts) {
    config::Config config;
    for (AccountConfig& account : accounts)
      config.accounts.emplace(account->name, std::move(account));
    return config;
  }
  AccountConfig account(const std::string& identity = "identity one") {
    auto made = make_account("flat", profile);
    made->identity = identity;
    made->fingerprint = config::FieldHash(identity).fingerprint();
    made->refresh = config::RefreshMode::kOnDemand;
    return made;
  }
  // The account as the store knows it, and the daemon started on `config`.
  void begin(const config::Config& config) {
    store::Install install;
    install.account = "flat";
    install.identity = "identity one";
    install.generation = 7;
    install.tokens = make_tokens(world.clock, "access-7", "refresh-7", 1h);
    install.standing = {State::kOk, world.clock.wall(), std::nullopt};
    world.store.apply(std::move(install), [](Result<store::Ids>) {});
    world.settle();
    reconciler.begin(*world.store.load(), config);
    world.settle();
  }
  void change(const config::Config& before, const config::Config& after) {
    reconciler.change(before, after);
    world.settle();
  }
  account::Account& flat() { return *world.accounts.find("flat"); }

  CoreWorld world;
  std::shared_ptr<provider::Profile> profile = make_profile();
  Reconciler reconciler{world.accounts, world.refresher, world.parking, world.retirer, world.store, world.clock};
  config::Config here = with({account()});
  config::Config gone = with({});
  config::Config other = with({account("identity two")});
};

TEST_F(ReconcileTest, AStartFindsWhatTheStoreKnows) {
  begin(here);
  EXPECT_EQ(flat().generation(), 7U);
  EXPECT_EQ(world.ask("flat")->token, "access-7");
  EXPECT_EQ(world.endpoint.calls_made, 0U);
}

TEST_F(ReconcileTest, AReloadThatChangesNothingTouchesNothing) {
  begin(here);
  change(here, with({account()}));
  EXPECT_EQ(flat().generation(), 7U);
  EXPECT_EQ(world.endpoint.calls_made, 0U);
  EXPECT_EQ(world.parking.size(), 0U);
}

TEST_F(ReconcileTest, ARemovedAccountComesBackWithItsTokens) {
  begin(here);
  change(here, gone);
  EXPECT_EQ(world.accounts.find("flat"), nullptr);
  EXPECT_EQ(world.disk.parked.size(), 1U);
  change(gone, here);
  EXPECT_EQ(world.ask("flat")->token, "access-7");
  EXPECT_TRUE(world.disk.parked.empty());
  EXPECT_TRUE(world.disk.accounts.at("flat").tokens.has_value());
}

TEST_F(ReconcileTest, AChangedIdentityParksAndComesBackWithTheSetting) {
  begin(here);
  change(here, other);
  EXPECT_EQ(flat().live(), nullptr);
  EXPECT_EQ(flat().standing().state, State::kNeedsLogin);
  change(other, here);
  EXPECT_EQ(world.ask("flat")->token, "access-7");
}

TEST_F(ReconcileTest, AnEditWhileTheDaemonWasDownParksToo) {
  begin(other);
  EXPECT_EQ(flat().live(), nullptr);
  EXPECT_EQ(flat().generation(), 7U) << "a generation never goes back";
  EXPECT_EQ(world.disk.parked.size(), 1U);
  change(other, here);
  EXPECT_EQ(world.ask("flat")->token, "access-7");
}

TEST_F(ReconcileTest, WhatIsParkedIsRetiredAfterItsTime) {
  begin(here);
  change(here, gone);
  world.advance(days(29));
  EXPECT_EQ(world.parking.size(), 1U);
  world.advance(days(2));
  EXPECT_EQ(world.parking.size(), 0U);
  EXPECT_TRUE(world.disk.parked.empty());
}

TEST_F(ReconcileTest, AnAccountThatIsSwitchedOffKeepsItsGrantForGood) {
  begin(here);
  auto off = std::make_shared<config::Account>(*account());
  off->enabled = false;
  const config::Config switched_off = with({off});
  change(here, switched_off);
  EXPECT_EQ(world.accounts.find("flat"), nullptr);
  world.advance(days(400));
  change(switched_off, here);
  EXPECT_EQ(flat().generation(), 7U);
  ASSERT_NE(flat().live(), nullptr);
}

TEST_F(ReconcileTest, AnAnswerForAParkedGrantIsKeptWithIt) {
  begin(here);
  world.refresher.start(flat(), refresh::Reason::kOrdered);
  world.settle();
  change(here, other);
  world.endpoint.answer(make_tokens(world.clock, "access-8", "refresh-8", 1h));
  world.settle();
  EXPECT_EQ(flat().live(), nullptr);
  change(other, here);
  EXPECT_EQ(world.ask("flat")->token, "access-8");
  EXPECT_EQ(flat().live()->tokens.refresh_token.expose(), "refresh-8");
}

TEST_F(ReconcileTest, AnEditTakenBackDuringARefreshDoesNotSendItsTokenTwice) {
  begin(here);
  world.refresher.start(flat(), refresh::Reason::kOrdered);
  world.settle();
  change(here, other);
  change(other, here);
  world.refresher.start(flat(), refresh::Reason::kOrdered);
  world.settle();
  EXPECT_EQ(world.endpoint.calls_made, 1U) << "a reuse detector would revoke the family";
  world.endpoint.answer(make_tokens(world.clock, "access-8", "refresh-8", 1h));
  world.settle();
  EXPECT_EQ(world.ask("flat")->token, "access-8");
  EXPECT_EQ(flat().generation(), 8U);
}

TEST_F(ReconcileTest, ARestoredGrantNeverTakesTheNumberOfAnother) {
  begin(here);
  change(here, other);
  world.sign_in.with_refresh_token(flat(), Secret("of another grant"), false, [](login::Outcome) {});
  world.settle();
  world.endpoint.answer(make_tokens(world.clock, "access-other", "refresh-other", 1h));
  world.settle();
  EXPECT_EQ(flat().generation(), 8U);
  // The sign-in retired what was parked; the other grant is parked now and comes back under its own number.
  change(other, here);
  change(here, other);
  EXPECT_EQ(world.ask("flat")->token, "access-other");
  EXPECT_EQ(flat().generation(), 8U);
}

// As sign-ins write their intents: a refresh may install any generation while they are under way.
TEST_F(ReconcileTest, ASignInThatIsLostMakesNoOutcomeUnknown) {
  begin(here);
  world.sign_in.with_refresh_token(flat(), Secret("imported"), false, [](login::Outcome) {});
  world.settle();
  ASSERT_EQ(world.endpoint.calls.size(), 1U);
  world.refresher.start(flat(), refresh::Reason::kOrdered);
  world.settle();
  ASSERT_EQ(world.endpoint.calls.size(), 2U);
  auto refresh = std::move(world.endpoint.calls.back());
  world.endpoint.calls.pop_back();
  refresh.done({make_tokens(world.clock, "access-8", "refresh-8", 1h), Secret("order")});
  world.settle();
  ASSERT_EQ(flat().generation(), 8U);
  world.store.crash();
  ASSERT_EQ(world.disk.intents.size(), 1U) << "the sign-in's";

  CoreWorld next;
  next.disk = std::move(world.disk);
  Reconciler at_start{next.accounts, next.refresher, next.parking, next.retirer, next.store, next.clock};
  at_start.begin(*next.store.load(), here);
  next.settle();
  EXPECT_FALSE(next.accounts.find("flat")->unknown());
  EXPECT_TRUE(next.disk.intents.empty()) << "its slot is free";
  EXPECT_EQ(next.ask("flat")->token, "access-8");
}

TEST_F(ReconcileTest, AnIntentOfALostSignInLeavesTheGrantInUseAlone) {
  world.store.begin_rotation({"flat", "identity one", 0, 0, world.clock.wall(), 0}, [](Result<store::SlotId>) {});
  begin(here);
  EXPECT_FALSE(flat().unknown().has_value());
  EXPECT_TRUE(world.disk.intents.empty());
  EXPECT_EQ(world.ask("flat")->token, "access-7");
}

TEST_F(ReconcileTest, AnAccountWhoseTokensAreDamagedSaysSo) {
  store::Snapshot snapshot;
  store::StoredAccount& stored = snapshot.accounts.emplace_back();
  stored.name = "flat";
  stored.identity = "identity one";
  stored.generation = 7;
  stored.standing = {State::kOk, world.clock.wall(), std::nullopt};
  stored.damaged = true;
  reconciler.begin(std::move(snapshot), here);
  world.settle();
  EXPECT_EQ(flat().standing().state, State::kNeedsLogin);
  ASSERT_TRUE(flat().standing().trouble);
  EXPECT_EQ(flat().standing().trouble->code, "damaged");
  EXPECT_EQ(flat().generation(), 7U);
}

// Its tokens were parked by an edit, and then the daemon ended: "ok" was the other grant.
TEST_F(ReconcileTest, AStartAfterAnEditOfTheGrantSaysThatASignInIsNeeded) {
  begin(here);
  change(here, other);
  EXPECT_EQ(flat().standing().state, State::kNeedsLogin);
  CoreWorld later;
  Reconciler again{later.accounts, later.refresher, later.parking, later.retirer, later.store, later.clock};
  again.begin(std::move(*world.store.load()), other);
  later.settle();
  EXPECT_EQ(later.accounts.find("flat")->standing().state, State::kNeedsLogin);
}

// What came back with an older copy of the database: docs/decisions/022.
class OlderCopyTest : public ReconcileTest {
 protected:
  void begin_frozen(provider::Rotation rotation) {
    profile->refresh.rotation = rotation;
    store::Install install;
    install.account = "flat";
    install.identity = "identity one";
    install.generation = 7;
    install.tokens = make_tokens(world.clock, "access-7", "refresh-7", 1h);
    install.standing = account::rolled_back_at(world.clock.wall());
    world.store.apply(std::move(install), [](Result<store::Ids>) {});
    world.settle();
    reconciler.begin(*world.store.load(), here);
    world.settle();
  }
  bool sends_by_itself() {
    world.advance(2h);  // its token has ended
    const auto given = world.ask("flat");
    world.settle();
    return world.endpoint.calls_made > 0;
  }
};

TEST_F(OlderCopyTest, ARefreshTokenThatRotatesIsNotSentByItself) {
  begin_frozen(provider::Rotation::kAlways);
  EXPECT_EQ(flat().standing().state, State::kNeedsLogin);
  EXPECT_EQ(world.ask("flat")->token, "access-7") << "what is good is handed out";
  EXPECT_FALSE(sends_by_itself());
}

TEST_F(OlderCopyTest, NorOneOfWhichNobodyKnows) {
  begin_frozen(provider::Rotation::kUnknown);
  EXPECT_FALSE(sends_by_itself());
}

TEST_F(OlderCopyTest, AGrantThatDoesNotRotateGoesOn) {
  begin_frozen(provider::Rotation::kNone);
  EXPECT_EQ(flat().standing().state, State::kOk);
  EXPECT_TRUE(sends_by_itself());
}

TEST_F(OlderCopyTest, AProfileThatNowSaysItDoesNotRotateLetsItGoOn) {
  begin_frozen(provider::Rotation::kAlways);
  profile = make_profile();
  profile->refresh.rotation = provider::Rotation::kNone;
  auto mended = make_account("flat", profile);
  mended->identity = "identity one";
  mended->fingerprint = config::FieldHash("mended").fingerprint();
  change(here, with({mended}));
  EXPECT_EQ(flat().standing().state, State::kOk);
}

TEST_F(OlderCopyTest, ItStaysSoWhenItIsParkedAndComesBack) {
  begin_frozen(provider::Rotation::kAlways);
  change(here, gone);
  change(gone, here);
  EXPECT_TRUE(account::rolled_back(flat().standing()));
  change(here, other);
  EXPECT_FALSE(account::rolled_back(flat().standing())) << "another grant";
  change(other, here);
  EXPECT_TRUE(account::rolled_back(flat().standing()));
  EXPECT_FALSE(sends_by_itself());
}

TEST_F(OlderCopyTest, APersonMaySayThatTheCopyIsRight) {
  begin_frozen(provider::Rotation::kAlways);
  EXPECT_TRUE(world.refresher.start(flat(), refresh::Reason::kOrdered));
  world.settle();
  EXPECT_EQ(world.endpoint.calls_made, 1U);
}

// Its next attempt will not come.
TEST_F(ReconcileTest, WhoWaitsForATokenWhenItsAccountIsRemovedIsAnswered) {
  auto robot = make_account("robot", profile, provider::Grant::kClientCredentials);
  const config::Config both = with({account(), robot});
  begin(both);
  const auto caller = world.ask("robot");
  ASSERT_FALSE(caller->answered);
  change(both, here);
  EXPECT_TRUE(caller->answered);
  EXPECT_TRUE(caller->problem);
}

// The provider may have replaced the refresh token: sent again at once, it could end the whole grant.
TEST_F(ReconcileTest, WhatIsUnknownOfARefreshIsStillUnknownWhenTheGrantComesBack) {
  begin(here);
  world.refresher.start(flat(), refresh::Reason::kNeeded);
  world.settle();
  world.endpoint.answer(fakes::make_failure(oauth::FailureClass::kAmbiguous));
  world.settle();
  ASSERT_TRUE(flat().unknown());
  change(here, other);
  EXPECT_FALSE(flat().unknown());
  change(other, here);
  ASSERT_TRUE(flat().unknown());
  world.advance(30min);
  EXPECT_EQ(world.endpoint.calls_made, 1U) << "only when the present token is nearly over";
  (void)world.refresher.start(flat(), refresh::Reason::kOrdered);
  world.settle();
  ASSERT_EQ(world.disk.intents.size(), 1U);
  EXPECT_EQ(world.disk.intents.begin()->second.resends, 1U) << "counted before it is sent again";
}

TEST_F(ReconcileTest, WhatIsUnknownOfARefreshIsStillUnknownAfterARestartAndAnEdit) {
  begin(here);
  world.refresher.start(flat(), refresh::Reason::kNeeded);
  world.settle();  // sent, and no answer comes: the daemon ends
  ASSERT_EQ(world.disk.intents.size(), 1U);
  world.store.crash();
  CoreWorld next;
  next.disk.accounts.swap(world.disk.accounts);
  next.disk.intents.swap(world.disk.intents);
  next.disk.next_id = 100;
  Reconciler at_start{next.accounts, next.refresher, next.parking, next.retirer, next.store, next.clock};
  at_start.begin(*next.store.load(), other);
  next.settle();
  EXPECT_EQ(next.disk.intents.size(), 1U) << "it waits with its grant";
  at_start.change(other, here);
  next.settle();
  ASSERT_TRUE(next.accounts.find("flat")->unknown());
}

// Twice its answer was lost, the second time with the daemon: the provider takes the refresh token while its overlap lasts.
class LostTwiceTest : public ReconcileTest {
 protected:
  // The account as it is after a daemon begins that much later.
  account::Account& after(Duration down) {
    profile->refresh.overlap = 10min;
    begin(here);
    world.refresher.start(flat(), refresh::Reason::kNeeded);
    world.settle();
    world.advance(1min);
    world.endpoint.answer(fakes::make_failure(oauth::FailureClass::kAmbiguous));
    world.advance(1min);
    EXPECT_EQ(world.endpoint.calls_made, 2U) << "within the overlap at once";
    world.store.crash();
    next.clock.advance(2min + down);
    next.disk.accounts.swap(world.disk.accounts);
    next.disk.intents.swap(world.disk.intents);
    next.disk.next_id = 100;
    EXPECT_EQ(next.disk.intents.begin()->second.resends, 1U);
    at_start.begin(*next.store.load(), here);
    next.settle();
    return *next.accounts.find("flat");
  }

  CoreWorld next;
  Reconciler at_start{next.accounts, next.refresher, next.parking, next.retirer, next.store, next.clock};
};

TEST_F(LostTwiceTest, WhileTheOverlapLastsAStartTriesAgain) {
  account::Account& account = after(7min);
  EXPECT_NE(account.standing().state, State::kNeedsLogin);
  EXPECT_TRUE(account.unknown());
  EXPECT_TRUE(next.refresher.start(account, refresh::Reason::kNeeded));
  next.settle();
  ASSERT_EQ(next.endpoint.calls.size(), 1U);
  next.endpoint.answer(make_tokens(next.clock, "access-8", "refresh-8", 1h));
  next.settle();
  EXPECT_EQ(account.standing().state, State::kOk);
  EXPECT_TRUE(next.disk.intents.empty());
}

TEST_F(LostTwiceTest, AfterTheOverlapAStartAsks) {
  const account::Account& account = after(9min);  // eleven since it was sent first, nine since it was sent again
  EXPECT_EQ(account.standing().state, State::kNeedsLogin);
  EXPECT_EQ(next.ask("flat")->token, "access-7") << "good for as long as it lives";
  next.advance(days(1));
  EXPECT_EQ(next.endpoint.calls_made, 0U);
}

TEST_F(ReconcileTest, AnAnswerThatIsLostAfterAnEditIsUnknownWhenTheGrantComesBack) {
  begin(here);
  world.refresher.start(flat(), refresh::Reason::kNeeded);
  world.settle();
  change(here, other);
  world.endpoint.answer(fakes::make_failure(oauth::FailureClass::kAmbiguous));
  world.settle();
  EXPECT_EQ(world.disk.intents.size(), 1U);
  change(other, here);
  EXPECT_TRUE(flat().unknown());
}

// The first tokens of the other grant are on their way to the disk when the edit is taken back.
TEST_F(ReconcileTest, WhatAnEditThatIsTakenBackFetchedIsParkedAndNotRevoked) {
  profile->refresh.rotation = provider::Rotation::kNone;
  const auto by_itself = [this](const std::string& identity) {
    auto made = std::make_shared<config::Account>(*account(identity));
    made->grant = provider::Grant::kClientCredentials;
    made->refresh = config::RefreshMode::kAhead;
    return with({AccountConfig(made)});
  };
  const config::Config first = by_itself("identity one"), second = by_itself("identity two");
  begin(first);
  change(first, second);
  ASSERT_EQ(world.endpoint.calls.size(), 1U);
  world.store.hold();
  world.endpoint.answer(make_tokens(world.clock, "access-other", "", 1h), Secret("order"));
  world.settle();
  reconciler.change(second, first);
  world.store.let_go();
  world.advance(10s);
  EXPECT_EQ(world.ask("flat")->token, "access-7");
  EXPECT_TRUE(world.endpoint.revocations.empty()) << "nobody ordered its end";
  ASSERT_TRUE(world.disk.accounts.at("flat").tokens.has_value());
  EXPECT_EQ(world.disk.accounts.at("flat").tokens->access_token.expose(), "access-7")
      << "what is in use is what is stored";
  EXPECT_EQ(world.disk.accounts.at("flat").identity, "identity one");
  ASSERT_EQ(world.disk.parked.size(), 1U);
  EXPECT_EQ(world.disk.parked.begin()->second.tokens.access_token.expose(), "access-other");
  change(first, second);
  EXPECT_EQ(world.ask("flat")->token, "access-other") << "it comes back with its setting";
}

// What is under way for a grant while its configuration changes, found by tests/simulation.
class UnderWayTest : public ReconcileTest {
 protected:
  void begin_here() {
    begin(here);
    profile->revoke.access_cascade = profile->revoke.refresh_cascade = provider::Cascade::kNone;
  }
  void sign_in(const std::string& refresh_token) {
    world.sign_in.with_refresh_token(flat(), Secret(refresh_token), false, [](login::Outcome) {});
    world.settle();
  }
  void refresh() {
    world.refresher.start(flat(), refresh::Reason::kOrdered);
    world.settle();
  }
  // The call of this number, of those that wait for an answer.
  void answer(std::size_t call, const std::string& access, const std::string& refresh) {
    auto asked = std::move(world.endpoint.calls.at(call));
    world.endpoint.calls.erase(world.endpoint.calls.begin() + static_cast<std::ptrdiff_t>(call));
    asked.done({make_tokens(world.clock, access, refresh, 1h), Secret("order")});
    world.settle();
  }
  config::Config by_itself(const std::string& identity) {
    auto made = std::make_shared<config::Account>(*account(identity));
    made->grant = provider::Grant::kClientCredentials;
    made->refresh = config::RefreshMode::kAhead;
    return with({AccountConfig(made)});
  }
  bool is_retired(const std::string& token) {
    return std::any_of(world.disk.retirements.begin(), world.disk.retirements.end(),
                       [&](const auto& entry) { return entry.second.token.expose() == token; });
  }
};

TEST_F(UnderWayTest, AnAccountThatLeavesAndComesBackAfterASignInDoesNotSendItsTokenTwice) {
  begin_here();
  sign_in("imported");
  answer(0, "access-8", "refresh-8");
  ASSERT_EQ(flat().generation(), 8U);
  refresh();
  ASSERT_EQ(world.endpoint.calls_made, 2U);
  change(here, gone);
  change(gone, here);
  refresh();
  EXPECT_EQ(world.endpoint.calls_made, 2U) << "a reuse detector would end the grant";
  answer(0, "access-9", "refresh-9");
  EXPECT_EQ(flat().generation(), 9U);
  EXPECT_EQ(world.ask("flat")->token, "access-9");
  EXPECT_FALSE(is_retired("refresh-9")) << "it is all there is of the grant";
}

TEST_F(UnderWayTest, AnAnswerOfAnEarlierSignInLeavesWhatIsParkedAlone) {
  begin_here();
  refresh();
  sign_in("imported");
  answer(1, "access-new", "refresh-new");
  change(here, gone);
  answer(0, "access-late", "refresh-late");
  EXPECT_TRUE(is_retired("access-late"));
  EXPECT_TRUE(is_retired("refresh-late"));
  change(gone, here);
  EXPECT_EQ(flat().generation(), 8U);
  EXPECT_EQ(world.ask("flat")->token, "access-new");
  EXPECT_EQ(world.disk.accounts.at("flat").tokens->refresh_token.expose(), "refresh-new");
}

// Whoever signed in was told that the account has changed.
TEST_F(UnderWayTest, ASignInThatComesTooLateDoesNotReplaceWhatIsParked) {
  begin_here();
  sign_in("imported");
  change(here, gone);
  answer(0, "access-late", "refresh-late");
  EXPECT_TRUE(is_retired("access-late"));
  change(gone, here);
  EXPECT_EQ(world.ask("flat")->token, "access-7");
  EXPECT_EQ(world.disk.accounts.at("flat").tokens->refresh_token.expose(), "refresh-7");
}

TEST_F(UnderWayTest, WhatASignInStoredWhileItsAccountLeftComesBackWithIt) {
  begin_here();
  sign_in("imported");
  world.store.hold();
  answer(0, "access-new", "refresh-new");
  reconciler.change(here, gone);
  world.store.let_go();
  world.settle();
  ASSERT_EQ(world.disk.parked.size(), 1U);
  EXPECT_EQ(world.disk.parked.begin()->second.tokens.access_token.expose(), "access-new");
  EXPECT_EQ(world.disk.parked.begin()->second.generation, 8U);
  change(gone, here);
  EXPECT_EQ(flat().generation(), 8U);
  EXPECT_EQ(world.ask("flat")->token, "access-new");
}

TEST_F(UnderWayTest, ALateAnswerTakesNoNumberOfAnotherGrant) {
  profile->refresh.rotation = provider::Rotation::kNone;
  const config::Config first = by_itself("identity one"), second = by_itself("identity two");
  begin(first);
  refresh();
  change(first, second);
  answer(1, "access-other", "");
  ASSERT_EQ(flat().generation(), 8U);
  answer(0, "access-late", "");
  change(second, first);
  EXPECT_EQ(world.ask("flat")->token, "access-late");
  EXPECT_EQ(flat().generation(), 9U) << "8 is the other grant's";
}

TEST_F(UnderWayTest, ARefreshIsFoundAgainByAGrantThatCameBackUnderAnotherNumber) {
  profile->refresh.rotation = provider::Rotation::kNone;
  const config::Config first = by_itself("identity one"), second = by_itself("identity two");
  begin(first);
  refresh();
  change(first, second);
  answer(1, "access-other", "");
  change(second, first);
  EXPECT_EQ(world.ask("flat")->token, "access-7");
  ASSERT_EQ(flat().generation(), 9U);
  refresh();
  EXPECT_EQ(world.endpoint.calls_made, 2U) << "one flight";
  answer(0, "access-10", "");
  EXPECT_EQ(flat().generation(), 10U);
  EXPECT_EQ(world.ask("flat")->token, "access-10");
  EXPECT_FALSE(is_retired("access-10"));
}

// Twice, and the second time the refresh was not asked for anew in between.
TEST_F(UnderWayTest, ARefreshFindsItsParkedGrantWhateverNumberThatHasNow) {
  profile->refresh.rotation = provider::Rotation::kNone;
  const config::Config first = by_itself("identity one"), second = by_itself("identity two");
  begin(first);
  refresh();
  change(first, second);
  answer(1, "access-other", "");
  change(second, first);
  change(first, second);
  answer(0, "access-late", "");
  EXPECT_FALSE(is_retired("access-late"));
  change(second, first);
  EXPECT_EQ(world.ask("flat")->token, "access-late");
}

TEST_F(UnderWayTest, AFirstRefreshIsFoundAgain) {
  auto robot = [this](const std::string& identity) {
    auto made = make_account("robot", profile, provider::Grant::kClientCredentials);
    made->identity = identity;
    made->fingerprint = config::FieldHash(identity).fingerprint();
    return with({AccountConfig(std::move(made))});
  };
  const config::Config first = robot("identity one"), second = robot("identity two");
  begin(first);
  ASSERT_EQ(world.endpoint.calls_made, 1U) << "it signs in by itself";
  change(first, second);
  ASSERT_EQ(world.endpoint.calls_made, 2U);
  answer(1, "access-other", "");
  change(second, first);
  EXPECT_EQ(world.endpoint.calls_made, 2U) << "one flight";
  answer(0, "access-first", "");
  EXPECT_EQ(world.ask("robot")->token, "access-first");
}

// The other grant's tokens have number 8, and the parked one comes back as 9. After a crash a start must know what was seen.
class ComesBackAsAnother : public UnderWayTest {
 protected:
  ComesBackAsAnother() {
    profile->refresh.rotation = provider::Rotation::kNone;
    first = by_itself("identity one");
    second = by_itself("identity two");
    begin(first);
    change(first, second);
    answer(0, "access-8", "");
    world.store.hold();
    reconciler.change(second, first);
    world.settle();
  }
  config::Config first, second;
};

TEST_F(ComesBackAsAnother, NobodySeesItsNumberBeforeTheDiskKnowsThat) {
  EXPECT_TRUE(world.ask("flat", 0s, 0s)->problem);
  const auto given = world.ask("flat");
  ASSERT_FALSE(given->answered) << "it is a moment";
  world.store.let_go();
  world.settle();
  EXPECT_EQ(given->token, "access-7");
  EXPECT_EQ(given->generation, 9U);
  EXPECT_TRUE(world.endpoint.calls.empty()) << "nor does it sign in by itself meanwhile";
  EXPECT_TRUE(world.endpoint.revocations.empty());
}

TEST_F(ComesBackAsAnother, AStartAfterTheEditWasTakenBackShowsAHigherNumber) {
  world.store.let_go_of(world.store.waiting());  // what was ordered until now; not that it is in use again
  world.settle();
  ASSERT_EQ(world.ask("flat", 0s, 0s)->generation, 9U);
  world.store.crash();

  CoreWorld next;
  next.disk = std::move(world.disk);
  Reconciler at_start{next.accounts, next.refresher, next.parking, next.retirer, next.store, next.clock};
  at_start.begin(*next.store.load(), second);
  next.settle();
  const auto given = next.ask("flat");
  EXPECT_EQ(given->token, "access-8");
  EXPECT_EQ(given->generation, 10U);
}

TEST_F(ComesBackAsAnother, ADiskThatFailsPutsItOff) {
  world.store.fail_next(Error(ErrorCode::kIo, "the disk fails"), static_cast<unsigned>(world.store.waiting()));
  world.store.let_go();
  world.settle();
  EXPECT_TRUE(world.ask("flat", 0s, 0s)->problem);
  world.advance(6s);
  EXPECT_EQ(world.ask("flat", 0s, 0s)->token, "access-7");
}

TEST_F(ComesBackAsAnother, ASignOutMeanwhileEndsItToo) {
  world.sign_out.run(flat(), [](const Result<unsigned>&) {});
  world.settle();
  world.store.let_go();
  world.settle();
  EXPECT_EQ(flat().standing().state, account::State::kSignedOut);
  EXPECT_EQ(flat().live(), nullptr);
  const auto& parked = world.disk.parked;
  EXPECT_TRUE(std::none_of(parked.begin(), parked.end(), [](const auto& entry) {
    return entry.second.tokens.access_token.expose() == "access-7";
  })) << "its revocation is queued";
}

}  // namespace
}  // namespace credsync
