// Brings the accounts in line with the configuration, at start and at each reload: what has not changed is not touched,
// what left is parked, what came back is restored. Loop only.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "daemon/account/accounts.h"
#include "daemon/config/config.h"
#include "daemon/refresh/refresher.h"
#include "daemon/retire/parking.h"
#include "daemon/retire/retirer.h"
#include "daemon/store/token_store.h"

namespace credsync {

class Reconciler {
 public:
  Reconciler(account::Accounts& accounts, refresh::Refresher& refresher, retire::Parking& parking,
             retire::Retirer& retirer, store::TokenStore& store, const Clock& clock)
      : accounts_(accounts), refresher_(refresher), parking_(parking), retirer_(retirer), store_(store), clock_(clock) {
    parking_.connect([this](account::Account& account) {
      bring_back(account);
      thaw(account);
    });
  }

  // At start: what the store knows meets what the configuration says.
  void begin(store::Snapshot snapshot, const config::Config& config);
  // `before` is in force, `after` is valid.
  void change(const config::Config& before, const config::Config& after);

 private:
  using Stored = std::map<std::string, store::StoredAccount>;
  void begin_account(std::shared_ptr<const config::Account> config, Stored& stored);
  void begin_departed(Stored stored, const config::Config& config);
  void begin_parked_intents(const std::vector<store::Intent>& intents, const Stored& stored);
  void begin_intents(const std::vector<store::Intent>& intents);
  void thaw(account::Account& account);
  void add(std::shared_ptr<const config::Account> config);
  void remove(account::Account& account, bool switched_off);
  void update(account::Account& account, std::shared_ptr<const config::Account> config);
  void bring_back(account::Account& account);

  account::Accounts& accounts_;
  refresh::Refresher& refresher_;
  retire::Parking& parking_;
  retire::Retirer& retirer_;
  store::TokenStore& store_;
  const Clock& clock_;
  std::set<store::SlotId> of_parked_;                    // intents of grants that were parked when this run began
  std::map<std::string, account::Generation> departed_;  // the last generation of accounts that are not configured
};

}  // namespace credsync
