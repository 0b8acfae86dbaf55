// An account with a parked or live grant of generation 7, in memory, and configurations that take it away and bring it back.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>

#include "daemon/config/fingerprint.h"
#include "daemon/reconcile.h"
#include "tests/fakes/core_world.h"

namespace credsync {

using fakes::CoreWorld;
using fakes::make_account;
using fakes::make_profile;
using fakes::make_tokens;

inline const Error kDiskFails(ErrorCode::kIo, "the disk fails");

class ParkedTest : public testing::Test {
 protected:
  using AccountConfig = std::shared_ptr<const config::Account>;

  ParkedTest() {
    profile->revoke.access_cascade = profile->revoke.refresh_cascade = provider::Cascade::kNone;
    store::Install install;
    install.account = "flat";
    install.identity = "identity one";
    install.generation = 7;
    install.tokens = make_tokens(world.clock, "access-7", "refresh-7", 1h);
    install.standing = {account::State::kOk, world.clock.wall(), std::nullopt};
    world.store.apply(std::move(install), [](Result<store::Ids>) {});
    world.settle();
    reconciler.begin(*world.store.load(), here);
    world.settle();
  }
  static config::Config with(std::vector<AccountConfig> accounts) {
    config::Config config;
    for (AccountConfig& account : accounts)
      config.accounts.emplace(account->name, std::move(account));
    return config;
  }
  AccountConfig account(const std::string& identity) {
    auto made = make_account("flat", profile);
    made->identity = identity;
    made->fingerprint = config::FieldHash(identity).fingerprint();
    made->refresh = config::RefreshMode::kOnDemand;
    return made;
  }
  config::Config itself(const std::string& identity) {
    auto made = std::make_shared<config::Account>(*account(identity));
    made->grant = provider::Grant::kClientCredentials;
    made->refresh = config::RefreshMode::kAhead;
    made->fingerprint = config::FieldHash(identity + " by itself").fingerprint();
    return with({AccountConfig(made)});
  }
  void change(const config::Config& before, const config::Config& after) {
    reconciler.change(before, after);
    world.settle();
  }
  void refresh() {
    world.refresher.start(flat(), refresh::Reason::kOrdered);
    world.settle();
  }
  void answer(const std::string& access, const std::string& refresh) {
    world.endpoint.answer(make_tokens(world.clock, access, refresh, 1h), Secret("order"));
    world.settle();
  }
  account::Account& flat() { return *world.accounts.find("flat"); }
  std::string row() {
    const auto& tokens = world.disk.accounts.at("flat").tokens;
    return tokens ? std::string(tokens->access_token.expose()) : "";
  }
  bool is_parked(const std::string& access) {
    return std::any_of(world.disk.parked.begin(), world.disk.parked.end(),
                       [&](const auto& entry) { return entry.second.tokens.access_token.expose() == access; });
  }

  // The disk does not take it when `two` comes, and then has the tokens of that over it: memory alone has the grant.
  void replace_before_it_is_parked(const config::Config& two) {
    world.store.fail_next(kDiskFails, 2);
    change(here, two);
    world.store.fail_next(kDiskFails, 1);
    answer("access-two", "");
    ASSERT_EQ(row(), "access-two");
    ASSERT_TRUE(world.disk.parked.empty());
  }

  CoreWorld world;
  std::shared_ptr<provider::Profile> profile = make_profile();
  Reconciler reconciler{world.accounts, world.refresher, world.parking, world.retirer, world.store, world.clock};
  config::Config here = with({account("identity one")});
  config::Config gone = with({});
  config::Config other = with({account("identity two")});
};

}  // namespace credsync
