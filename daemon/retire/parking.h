// Grants whose account or identity left the configuration: kept sealed, neither served nor refreshed. They come back when
// the setting does, and are retired after their time or when a new sign-in commits. An upgrade or a typo signs nobody out.
// Loop only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/agenda.h"
#include "daemon/account/accounts.h"
#include "daemon/oauth/token_endpoint.h"
#include "daemon/retire/plan.h"
#include "daemon/retire/retirer.h"
#include "daemon/store/token_store.h"

namespace credsync::retire {

class Parking {
 public:
  Parking(account::Accounts& accounts, store::TokenStore& store, oauth::TokenEndpoint& endpoint, Retirer& retirer,
          Agenda& agenda, const Clock& clock);
  ~Parking();

  // Grants that were parked before this run.
  void load(std::vector<store::ParkedGrant> parked);

  // A grant leaves: `tokens` were its current ones. Kept for `keep`, or as long as it takes when that is not set (an
  // account that is only switched off). `old_config`, where it is still known, tells how it can be revoked later.
  struct Leaver {
    std::string account;
    std::string identity;
    account::Generation generation = 0;
    account::TokenSet tokens;
    std::optional<Duration> keep;
    bool rolled_back = false;                             // account::rolled_back()
    std::optional<account::UnknownOutcome> unknown = {};  // of its refresh token; comes back with it
    WallTime promised_until = {};                         // the last promise made for its access token
  };
  void park(Leaver leaver, std::shared_ptr<const config::Account> old_config);

  // A refresh of a parked grant was sent, and nobody knows what became of it: the slot is kept for as long as the grant.
  // False: there is no such grant here.
  bool remember(std::string_view account, std::string_view identity, account::Generation generation,
                account::UnknownOutcome unknown);

  // Brings the grant of this account's present identity back, if it is parked here; an unknown outcome with it.
  bool restore(account::Account& account);

  // A new sign-in committed: what was parked for this account is retired now.
  void retire_all_of(std::string_view account);

  std::optional<Parked> find(std::string_view account, std::string_view identity) const;
  // The refresher stored a late answer with the parked grant.
  void updated(std::int64_t id, account::Generation generation, account::TokenSet tokens);
  std::size_t size() const { return grants_.size(); }

  // Tokens that were stored as the account's while its configuration changed to another grant: they leave its row.
  void park_stored(std::shared_ptr<const config::Account> config, account::Generation generation,
                   account::TokenSet tokens);

 private:
  struct Kept;
  void schedule(Kept& kept);
  void retire(std::int64_t id);
  void keep(store::ParkedGrant grant, std::optional<account::UnknownOutcome> unknown);
  void forget(Kept& kept);
  struct Restored {
    std::string account, identity;
    account::Generation generation = 0;
    account::Standing standing;
  };
  void order(std::int64_t id, store::Change change);
  void restore_row(std::int64_t id);
  void restored(std::int64_t id, const Result<store::Ids>& done);

  account::Accounts& accounts_;
  store::TokenStore& store_;
  oauth::TokenEndpoint& endpoint_;
  Retirer& retirer_;
  Agenda& agenda_;
  const Clock& clock_;
  std::map<std::int64_t, std::unique_ptr<Kept>> grants_;
  std::map<std::int64_t, Restored> restoring_;  // in use again, and the store does not know yet
  Agenda::Entry try_again_;
};

}  // namespace credsync::retire
