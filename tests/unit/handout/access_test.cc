#include "daemon/handout/access.h"

#include <gtest/gtest.h>

#include "tests/fakes/fake_process.h"

namespace credsync::handout {
namespace {

using config::Action;
using config::Actions;

constexpr Actions kGet = static_cast<Actions>(Action::kGet);
constexpr Actions kAll = 31;
const Owner kSystem{990, false, {}};

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
  const Owner user{1000, true, {}};
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

config::AllowRule process_rule(std::optional<uid_t> user, const std::string& unit, const std::string& exe) {
  config::AllowRule r = rule(user, {}, kGet);
  r.unit = unit;
  r.exe = exe;
  return r;
}

TEST(Access, WhatCannotBeEstablishedMatchesNoRuleThatNamesIt) {
  for (const auto& [unit, exe] : {std::pair("a.service", ""), std::pair("", "/a"), std::pair("a.service", "/a")}) {
    const config::Account account = account_with({process_rule(1000, unit, exe)});
    EXPECT_EQ(decide(caller(1000, 1000), account, kSystem).actions, 0U);
    ipc::Caller asks = caller(1000, 1000);
    asks.process = std::make_shared<fakes::FakeProcess>();
    EXPECT_EQ(decide(asks, account, kSystem).actions, 0U);
  }
}

TEST(Access, UserUnitAndExecutableAreAnded) {
  // Each row: the rule's user, unit, exe; whether user 1000 in a.service, running /a, may.
  const struct {
    std::optional<uid_t> user;
    const char *unit, *exe;
    bool may;
  } kTable[] = {
      {1000, "", "", true},
      {1001, "", "", false},
      {{}, "a.service", "", true},
      {{}, "b.service", "", false},
      {1000, "a.service", "", true},
      {1001, "a.service", "", false},
      {1000, "b.service", "", false},
      {1000, "", "/a", true},
      {1000, "", "/b", false},
      {1000, "", "/a (deleted)", false},
      {1000, "", "/A", false},
      {1000, "a.service", "/a", true},
      {1000, "a.service", "/b", false},
      {{}, "a.service", "/a", true},
      {{}, "a.service", "/b", false},
      {{}, "", "/a", false},
      {1000, "a.servic", "", false},
      {1000, "a.service.d", "", false},
  };
  for (const auto& row : kTable) {
    const config::Account account = account_with({process_rule(row.user, row.unit, row.exe)});
    const auto process = std::make_shared<fakes::FakeProcess>();
    process->unit_name = "a.service";
    process->exe_path = "/a";
    ipc::Caller asks = caller(1000, 1000);
    asks.process = process;
    EXPECT_EQ(allows(decide(asks, account, kSystem).actions, Action::kGet), row.may) << row.unit << row.exe;
    EXPECT_EQ(explain(asks, account, kSystem).front().matches, row.may);
    ipc::Caller told = caller(1000, 1000);  // by a front door without processes
    told.unit = "a.service";
    told.exe = "/a";
    EXPECT_EQ(allows(decide(told, account, kSystem).actions, Action::kGet), row.may) << row.unit << row.exe;
  }
}

TEST(Access, AProgramThatWasReplacedOnDiskIsNotTheOneTheRuleNames) {
  const config::Account account = account_with({process_rule(1000, "", "/a")});
  const auto process = std::make_shared<fakes::FakeProcess>();
  process->exe_path = "/a (deleted)";
  ipc::Caller asks = caller(1000, 1000);
  asks.process = process;
  EXPECT_EQ(decide(asks, account, kSystem).actions, 0U);
}

TEST(Access, AProcessIsLookedAtOnlyForARuleThatNeedsItAndOnceADecision) {
  const auto process = std::make_shared<fakes::FakeProcess>();
  ipc::Caller asks = caller(1000, 1000);
  asks.process = process;
  decide(asks, account_with({rule(1000, {}), rule({}, 50)}), kSystem);
  decide(asks, account_with({process_rule(1001, "a.service", "/a")}), kSystem);
  EXPECT_EQ(process->units_read + process->exes_read, 0);
  process->unit_name = "a.service";
  process->exe_path = "/a";
  const config::Account account =
      account_with({process_rule(1000, "a.service", "/a"), process_rule(1000, "a.service", "/a")});
  decide(asks, account, kSystem);
  EXPECT_EQ(process->units_read, 1);
  EXPECT_EQ(process->exes_read, 1);
  decide(asks, account, kSystem);
  EXPECT_EQ(process->exes_read, 2) << "exec may have changed it since";
}

TEST(Access, NamesTheRuleThatGrantsWhatIsWanted) {
  config::AllowRule watching = rule(1000, {}, static_cast<Actions>(Action::kWatch));
  watching.label = "watching";
  config::AllowRule getting = rule(1000, {}, kGet);
  getting.label = "getting";
  const config::Account account = account_with({watching, getting});
  EXPECT_EQ(decide(caller(1000, 1000), account, kSystem, Action::kGet).rule, "getting");
  EXPECT_EQ(decide(caller(1000, 1000), account, kSystem, Action::kWatch).rule, "watching");
  EXPECT_EQ(decide(caller(1000, 1000), account, kSystem, Action::kLogin).rule, "watching");
}

TEST(Access, MembersOfTheAdminGroupAndWhomPolkitLetAdministerAsRootDoes) {
  const Owner owner{990, false, gid_t{77}};
  ipc::Caller let = caller(1000, 1000);
  let.manages = true;
  for (const ipc::Caller& c : {caller(1000, 77), caller(1000, 1000, {5, 77}), let, caller(0, 0)}) {
    EXPECT_TRUE(is_admin(c, {}, owner));
    const Actions actions = decide(c, account_with({}), owner).actions;
    EXPECT_TRUE(allows(actions, Action::kAdmin));
    EXPECT_FALSE(allows(actions, Action::kGet));
    EXPECT_TRUE(explain(c, account_with({}), owner).front().matches);
  }
  EXPECT_FALSE(is_admin(caller(1000, 1000, {5}), {}, owner));
  EXPECT_FALSE(is_admin(caller(1000, 77), {}, kSystem)) << "no such group on this system";
  EXPECT_FALSE(is_admin(caller(1000, 77, {}, 0), {}, owner));
  EXPECT_FALSE(is_admin(caller(kOverflowId, 77), {}, owner));
}

TEST(Access, TheExplanationSaysWhichPartsFail) {
  config::AllowRule r = process_rule(1001, "b.service", "/b");
  r.user_name = "bob";
  r.group = 50;
  r.group_name = "staff";
  ipc::Caller asks = caller(1000, 1000);
  asks.unit = "a.service";
  const std::string why = explain(asks, account_with({r}), kSystem).front().why;
  EXPECT_EQ(
      why,
      "user is not bob; not in group staff; unit is not b.service: it is a.service; exe is not /b: it could not be "
      "established which process asks");
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
