#include "daemon/handout/access.h"

#include <gtest/gtest.h>

namespace credsync::handout {
namespace {

using config::Action;
using config::Actions;

constexpr Actions kGet = static_cast<Actions>(Action::kGet);
constexpr Actions kAll = 31;
const Owner kSystem{990, false};

ipc::Caller caller(uid_t uid, gid_t gid, std::vector<gid_t> groups = {}, pid_t pid = 100) {
  ipc::Caller c;
  c.uid = uid;
  c.gid = gid;
  c.groups = std::move(groups);
  c.pid = pid;
  return c;
}

config::AllowRule rule(std::optional<uid_t> user, std::optional<gid_t> group, Actions actions = kGet) {
  config::AllowRule r;
  r.label = "rule";
  r.user = user;
  r.group = group;
  r.actions = actions;
  return r;
}

config::Account account_with(std::vector<config::AllowRule> rules) {
  config::Account account;
  account.allow = std::move(rules);
  return account;
}

TEST(Access, IsDeniedByDefault) {
  EXPECT_EQ(decide(caller(1000, 1000), account_with({}), kSystem).actions, 0U);
}

TEST(Access, RulesAreOredAndKeysAnded) {
  const config::Account account = account_with({rule(1000, 50), rule(1001, {})});
  EXPECT_FALSE(allows(decide(caller(1000, 1000), account, kSystem).actions, Action::kGet));
  EXPECT_TRUE(allows(decide(caller(1000, 1000, {50}), account, kSystem).actions, Action::kGet));
  EXPECT_TRUE(allows(decide(caller(1000, 50), account, kSystem).actions, Action::kGet));
  EXPECT_TRUE(allows(decide(caller(1001, 1001), account, kSystem).actions, Action::kGet));
  EXPECT_FALSE(allows(decide(caller(1002, 1002, {50}), account, kSystem).actions, Action::kGet));
}

TEST(Access, WatchIsImpliedByAnyOtherAction) {
  EXPECT_TRUE(allows(decide(caller(7, 7), account_with({rule(7, {}, kGet)}), kSystem).actions, Action::kWatch));
}

TEST(Access, RootAdministersButGetsNoTokenWithoutARule) {
  const Actions actions = decide(caller(0, 0), account_with({}), kSystem).actions;
  EXPECT_TRUE(allows(actions, Action::kAdmin));
  EXPECT_FALSE(allows(actions, Action::kGet));
  EXPECT_FALSE(allows(actions, Action::kLogin));
}

TEST(Access, TheOwnerOfAUserInstanceMayDoEverythingAndNobodyElseByThat) {
  const Owner user{1000, true};
  EXPECT_EQ(decide(caller(1000, 1000), account_with({}), user).actions, kAll);
  EXPECT_EQ(decide(caller(1001, 1001), account_with({}), user).actions, 0U);
  EXPECT_EQ(decide(caller(990, 990), account_with({}), kSystem).actions, 0U)
      << "the system daemon's own user is nobody special";
}

TEST(Access, OverflowIdsAndPidZeroMatchNothing) {
  const config::Account account =
      account_with({rule(kOverflowId, {}, kAll), rule({}, kOverflowId, kAll), rule(1000, {}, kAll)});
  EXPECT_EQ(decide(caller(kOverflowId, 5), account, kSystem).actions, 0U);
  EXPECT_EQ(decide(caller(5, kOverflowId), account, kSystem).actions, 0U);
  EXPECT_EQ(decide(caller(1000, 1000, {}, 0), account, kSystem).actions, 0U);
}

TEST(Access, ARuleThatNamesWhatCannotBeDecidedMatchesNobody) {
  config::AllowRule narrow = rule(1000, {}, kAll);
  narrow.unit = "score-sync.service";
  EXPECT_EQ(decide(caller(1000, 1000), account_with({narrow}), kSystem).actions, 0U);
}

TEST(Access, AdministratorsAreRootTheOwnerAndWhomTheDefaultsName) {
  config::Config config;
  config.default_allow = std::make_shared<const std::vector<config::AllowRule>>(
      std::vector<config::AllowRule>{rule(1000, {}, static_cast<Actions>(Action::kAdmin)), rule(1001, {}, kGet)});
  EXPECT_TRUE(is_admin(caller(0, 0), config, kSystem));
  EXPECT_TRUE(is_admin(caller(1000, 1), config, kSystem));
  EXPECT_FALSE(is_admin(caller(1001, 1), config, kSystem));
  EXPECT_FALSE(is_admin(caller(1002, 1), config, kSystem));
}

TEST(Access, TheExplanationAgreesWithTheDecision) {
  const config::Account account = account_with({rule(1000, 50), rule(1001, {}), rule({}, 60)});
  for (const ipc::Caller& c : {caller(1000, 1000), caller(1000, 50), caller(1001, 60), caller(5, 5), caller(0, 0)}) {
    bool any = false;
    for (const auto& r : explain(c, account, kSystem)) {
      any = any || r.matches;
      EXPECT_FALSE(r.why.empty());
    }
    EXPECT_EQ(any, decide(c, account, kSystem).actions != 0) << c.uid;
  }
}

}  // namespace
}  // namespace credsync::handout
