// Whose token is revoked next, where more wait than are revoked at a time.
#include "daemon/retire/retirer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/fakes/core_world.h"

namespace credsync::retire {
namespace {

class RetirerTest : public testing::Test {
 protected:
  void add_account(const std::string& name, const std::string& provider) {
    auto profile = fakes::make_profile();
    profile->id = provider;
    world.add(fakes::make_account(name, profile));
  }
  store::Retirement token(const std::string& account, const std::string& text, bool by_sign_out = false) {
    store::Retirement r;
    r.id = world.store.new_id();
    r.account = account;
    r.identity = "identity of " + account;
    r.generation = 1;
    r.kind = store::RetiredKind::kRefresh;
    r.token = Secret(text);
    r.order = Secret("order");
    r.not_before = world.clock.wall();
    r.give_up_at = world.clock.wall() + days(30);
    r.by_sign_out = by_sign_out;
    return r;
  }
  void queue(const std::string& account, unsigned count) {
    std::vector<store::Retirement> tokens;
    for (unsigned i = 0; i < count; ++i)
      tokens.push_back(token(account, account + "-" + std::to_string(i)));
    world.retirer.add(std::move(tokens));
    world.settle();
  }
  void sign_out(const std::string& account) {
    std::vector<store::Retirement> tokens;
    tokens.push_back(token(account, account + "-signed-out", true));
    world.retirer.add(std::move(tokens));
    world.settle();
  }
  std::vector<std::string> asked() {
    std::vector<std::string> tokens;
    for (const auto& revocation : world.endpoint.revocations)
      tokens.emplace_back(revocation.call.token.expose());
    return tokens;
  }
  bool is_asked(const std::string& text) {
    const auto tokens = asked();
    return std::find(tokens.begin(), tokens.end(), text) != tokens.end();
  }
  void answer(oauth::RevocationOutcome outcome) {
    world.endpoint.answer_revocation(std::move(outcome));
    world.settle();
  }
  static oauth::RevocationOutcome silence() {
    return {oauth::RevocationResult::kRetry, fakes::make_failure(oauth::FailureClass::kAmbiguous)};
  }
  fakes::CoreWorld world;
};

TEST_F(RetirerTest, AProviderThatHangsLeavesRoomForOthers) {
  add_account("a", "hung");
  add_account("b", "well");
  queue("a", 20);
  EXPECT_EQ(asked().size(), kAtOnceOfOne);
  queue("b", 1);
  EXPECT_TRUE(is_asked("b-0"));
}

TEST_F(RetirerTest, OneThatDoesNotAnswerIsAskedForOneAtATime) {
  add_account("a", "hung");
  queue("a", 20);
  for (unsigned i = 0; i < kAtOnceOfOne; ++i)
    answer(silence());
  EXPECT_EQ(asked().size(), kAtOnceOfASilentOne);
  answer({oauth::RevocationResult::kDone, {}});
  EXPECT_EQ(asked().size(), kAtOnceOfOne) << "it answers again";
}

TEST_F(RetirerTest, WhatWasSignedOutOfGoesFirst) {
  add_account("a", "one");
  add_account("b", "one");
  queue("a", 20);
  sign_out("b");
  EXPECT_FALSE(is_asked("b-signed-out")) << "others are under way";
  answer({oauth::RevocationResult::kDone, {}});
  EXPECT_TRUE(is_asked("b-signed-out"));
}

TEST_F(RetirerTest, ManyProvidersHaveTheirTurns) {
  for (char name = 'a'; name <= 'f'; ++name) {
    add_account(std::string(1, name), std::string("provider ") + name);
    queue(std::string(1, name), 4);
  }
  EXPECT_EQ(asked().size(), kAtOnce);
  for (unsigned i = 0; i < 6 * 4; ++i)
    answer({oauth::RevocationResult::kDone, {}});
  EXPECT_EQ(world.retirer.size(), 0U);
  EXPECT_EQ(world.retirer.counters().revoked, 24U);
}

}  // namespace
}  // namespace credsync::retire
