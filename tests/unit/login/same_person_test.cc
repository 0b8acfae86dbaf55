// Signing in without a browser: an imported grant or a password of somebody else is refused like any other sign-in.
#include <gtest/gtest.h>

#include "tests/fakes/core_world.h"

namespace credsync::login {
namespace {

using oauth::FailureClass;
using provider::Grant;

class SamePersonTest : public testing::Test {
 protected:
  SamePersonTest() { world.server.display = ""; }
  void add(Grant grant, const std::string& subject) {
    account::TokenSet old = fakes::make_tokens(world.clock, "old-access", "old-refresh", 1h);
    old.subject = subject;
    world.add(fakes::make_account("flat", profile, grant), std::move(old), 7);
  }
  Done note() {
    return [this](Outcome outcome) { outcome_ = std::move(outcome); };
  }
  void import_token(const std::string& sent, const std::string& answered, bool replace_identity = false) {
    world.sign_in.with_refresh_token(*world.accounts.find("flat"), Secret(sent), replace_identity, note());
    give(answered);
  }
  void give(const std::string& refresh_token) {
    world.settle();
    world.endpoint.answer(fakes::make_tokens(world.clock, "new-access", refresh_token, 1h), Secret("order"));
    world.settle();
  }
  bool signed_in() const { return outcome_ && std::holds_alternative<SignedIn>(*outcome_); }
  void expect_refused(Refusal refusal, const std::string& words) {
    ASSERT_TRUE(outcome_);
    const auto* refused = std::get_if<Refused>(&*outcome_);
    ASSERT_NE(refused, nullptr) << "somebody else has signed in";
    EXPECT_EQ(refused->refusal, refusal);
    EXPECT_NE(refused->words.find(words), std::string::npos) << refused->words;
    EXPECT_EQ(live().access_token.expose(), "old-access");
    EXPECT_EQ(live().subject, "alice");
    EXPECT_EQ(world.accounts.find("flat")->generation(), 7U);
    EXPECT_TRUE(world.disk.intents.empty()) << "its reserved room is free again";
  }
  const account::TokenSet& live() { return world.accounts.find("flat")->live()->tokens; }
  std::vector<std::string> revoked() {
    world.advance(2min);
    std::vector<std::string> tokens;
    while (!world.endpoint.revocations.empty()) {
      tokens.emplace_back(world.endpoint.revocations.front().call.token.expose());
      world.endpoint.answer_revocation(oauth::RevocationOutcome{});
      world.settle();
    }
    std::sort(tokens.begin(), tokens.end());
    return tokens;
  }

  std::shared_ptr<provider::Profile> profile = fakes::make_profile();
  fakes::CoreWorld world;
  std::optional<Outcome> outcome_;
};

TEST_F(SamePersonTest, AnImportedGrantOfSomebodyElseIsRefusedAndRetired) {
  add(Grant::kRefreshToken, "alice");
  world.server.subject = "mallory";
  import_token("imported", "new-refresh");
  expect_refused(Refusal::kProvider, "somebody else than before has signed in (mallory)");
  EXPECT_EQ(revoked(), (std::vector<std::string>{"new-access", "new-refresh"}));
}

TEST_F(SamePersonTest, AnImportedTokenThatIsStillAsItCameIsNotRevoked) {
  add(Grant::kRefreshToken, "alice");
  world.server.subject = "mallory";
  import_token("imported", "");
  expect_refused(Refusal::kProvider, "somebody else");
  import_token("imported", "imported");
  expect_refused(Refusal::kProvider, "somebody else");
  EXPECT_EQ(revoked(), (std::vector<std::string>{"new-access", "new-access"}));
}

TEST_F(SamePersonTest, SomebodyElseMayTakeOverWhenThatIsSaid) {
  add(Grant::kRefreshToken, "alice");
  world.server.subject = "bob";
  import_token("imported", "new-refresh", true);
  EXPECT_TRUE(signed_in());
  EXPECT_EQ(live().subject, "bob");
}

TEST_F(SamePersonTest, SomebodyElsesPasswordIsRefused) {
  add(Grant::kPassword, "alice");
  world.server.subject = "mallory";
  world.sign_in.with_password(*world.accounts.find("flat"), "mallory", Secret("password"), false, note());
  give("new-refresh");
  expect_refused(Refusal::kProvider, "mallory");
  world.sign_in.with_password(*world.accounts.find("flat"), "mallory", Secret("password"), true, note());
  give("new-refresh");
  EXPECT_TRUE(signed_in());
}

TEST_F(SamePersonTest, WhoCannotBeNamedIsRefusedWhereSomebodyWasKnown) {
  add(Grant::kRefreshToken, "alice");
  world.server.subject = "";
  import_token("imported", "new-refresh");
  expect_refused(Refusal::kTransient, "could not be established");
}

TEST_F(SamePersonTest, WhereNobodyWasKnownNothingIsCompared) {
  add(Grant::kRefreshToken, "");
  world.server.subject = "";
  import_token("imported", "new-refresh");
  EXPECT_TRUE(signed_in());
  world.server.subject = "bob";
  import_token("another", "new-refresh-2");
  EXPECT_TRUE(signed_in());
  EXPECT_EQ(live().subject, "bob") << "from now on it is known";
}

TEST_F(SamePersonTest, TheAccountsOwnRefreshTokenIsTheSamePersons) {
  add(Grant::kRefreshToken, "alice");
  world.server.subject = "";  // its old refresh token is used up: refusing the new one would end the grant
  import_token("old-refresh", "new-refresh");
  EXPECT_TRUE(signed_in());
  EXPECT_EQ(live().subject, "alice");
  EXPECT_EQ(live().refresh_token.expose(), "new-refresh");
}

TEST_F(SamePersonTest, AnIdTokenThatIsNotBelievedEndsIt) {
  add(Grant::kRefreshToken, "alice");
  world.server.disbelief = fakes::make_failure(FailureClass::kRefused, "the ID token's signature is wrong");
  import_token("imported", "new-refresh");
  expect_refused(Refusal::kProvider, "signature");
}

TEST_F(SamePersonTest, KeysThatCannotBeHadEndItOnlyWhereThereIsSomethingToCompare) {
  world.server.disbelief = fakes::make_failure(FailureClass::kTransient, "the issuer's keys could not be had");
  add(Grant::kRefreshToken, "alice");
  import_token("imported", "new-refresh");
  expect_refused(Refusal::kTransient, "keys");
  import_token("imported", "new-refresh", true);
  EXPECT_TRUE(signed_in());
}

TEST_F(SamePersonTest, ASecretOfOursThatCannotBeReadCostsNoGrantThatThereIsNothingToCompareWith) {
  world.server.disbelief = fakes::make_failure(FailureClass::kLocal, "client_secret: the command failed");
  add(Grant::kRefreshToken, "");
  import_token("imported", "new-refresh");
  EXPECT_TRUE(signed_in()) << "what was imported is used up";
  EXPECT_EQ(live().refresh_token.expose(), "new-refresh");
  EXPECT_EQ(live().subject, "");
}

TEST_F(SamePersonTest, OneRefreshTokenIsNotSentByTwoImportsAtOnce) {
  add(Grant::kRefreshToken, "");
  account::Account& other = world.add(fakes::make_account("other", profile, Grant::kRefreshToken));
  std::optional<Outcome> others;
  const auto import_too = [&] {
    others.reset();
    world.sign_in.with_refresh_token(other, Secret("imported"), false, [&](Outcome o) { others = std::move(o); });
    return others && std::get<Refused>(*others).refusal == Refusal::kBusy;
  };
  world.server.holds = true;
  world.sign_in.with_refresh_token(*world.accounts.find("flat"), Secret("imported"), false, note());
  EXPECT_TRUE(import_too());
  give("");
  EXPECT_EQ(world.endpoint.calls_made, 1U);
  ASSERT_EQ(world.server.identifying.size(), 1U);
  EXPECT_TRUE(import_too()) << "it is about to be stored";
  world.server.answer_identify();
  world.settle();
  EXPECT_TRUE(signed_in());
  EXPECT_FALSE(import_too());
  EXPECT_EQ(std::get<Refused>(*others).refusal, Refusal::kHeldElsewhere);
}

TEST_F(SamePersonTest, AProgramIsNotAskedWhoItIs) {
  add(Grant::kClientCredentials, "");
  world.sign_in.with_configured(*world.accounts.find("flat"), false, note());
  give("");
  EXPECT_TRUE(signed_in());
  EXPECT_EQ(world.server.identified, 0U);
}

}  // namespace
}  // namespace credsync::login
