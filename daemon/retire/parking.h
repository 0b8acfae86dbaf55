// Grants whose account or identity left the configuration: kept sealed, neither served nor refreshed. They come back when
// the setting does, and are retired after their time or when a new sign-in commits. An upgrade or a typo signs nobody out.
// Loop only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
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
    std::optional<BootTime> expires_boot = {};  // its end on the clock that nobody can set; else by the wall clock
  };
  void park(Leaver leaver, std::shared_ptr<const config::Account> old_config);

  // A refresh of a parked grant was sent, and nobody knows what became of it: its intent is kept for as long as the grant, its
  // room is others' until it is sent once more. It may have been sent under a later number than the grant has here: it had come back, and the disk did not know before a crash.
  // False: there is no such grant here.
  bool remember(std::string_view account, std::string_view identity, account::Generation generation,
                account::UnknownOutcome unknown);

  // Brings the grant of this account's present identity back, if it is parked here; an unknown outcome with it. While a
  // late answer for it is on its way to the disk, or the number under which callers will see it, it stays here, and who
  // connected is told when it can come.
  bool restore(account::Account& account);
  using CanComeBack = std::function<void(account::Account&)>;
  void connect(CanComeBack can_come_back) { can_come_back_ = std::move(can_come_back); }
  // Runs `then` when no tokens of the account are on their way to the disk (refresh::Installer::when_settled).
  using WhenSettled = std::function<void(const std::string& account, UniqueFunction<void()> then)>;
  void connect(WhenSettled when_settled) { when_settled_ = std::move(when_settled); }
  // The account is signed out while its grant is about to come back: it is retired instead.
  void do_not_come_back(account::Account& account);

  // The account's row, or what is parked of it, is about to change: what could not be parked durably yet goes first, for
  // the row may hold nothing but that.
  void store_first(std::string_view account);

  // The account was signed out while it had tokens of this grant, up to this number; these were parked while that was on its
  // way to the disk. They are queued for their revocation, and nothing of them is in the row that could be parked.
  void signed_out(std::string_view account, std::string_view identity, account::Generation up_to);

  // A new sign-in committed: what was parked for this account is retired now.
  void retire_all_of(std::string_view account);
  // At a start: of the grant that the account has, what is older than its tokens. The disk did not take its retirement.
  void retire_older(const account::Account& account);

  std::optional<Parked> find(std::string_view account, std::string_view identity) const;
  // A late answer for the parked grant is ordered to be stored, or the store has spoken.
  void updating(std::int64_t id, bool begins);
  // It is durable.
  void updated(std::int64_t id, account::Generation generation, account::TokenSet tokens,
               std::optional<BootTime> expires_boot);
  std::size_t size() const { return grants_.size(); }

  // Tokens that were stored as the account's while its configuration changed to another grant: they leave its row.
  void park_stored(std::shared_ptr<const config::Account> config, account::Generation generation,
                   account::TokenSet tokens);

 private:
  struct Kept;
  // Why a grant is retired: a new sign-in took its place, or it was kept for as long as it is.
  enum class Cause { kReplaced, kItsTime };
  // On its way out of the store; `plan` is what will be revoked.
  struct Retiring {
    std::string account;
    std::vector<store::Retirement> plan;
    bool on_its_way = false;
  };
  std::vector<Kept*> all_of(std::string_view account) const;
  template <typename Which>
  std::vector<std::int64_t> ids_of(std::string_view account, Which which) const;
  void leave(std::int64_t id);
  void schedule(Kept& kept);
  void retire(std::int64_t id, Cause cause);
  std::vector<store::Retirement> plan_of(const store::ParkedGrant& grant);
  bool may_end_another(const store::ParkedGrant& grant, const std::string& client_id, provider::Cascade cascade) const;
  bool is_in_use(const Secret& token) const;
  void store_retired(std::int64_t id);
  void retired(std::int64_t id, const Result<store::Ids>& done);
  Kept& keep(store::ParkedGrant grant, std::optional<account::UnknownOutcome> unknown,
             std::optional<BootTime> expires_boot);
  std::optional<BootTime> boot_end(const account::TokenSet& tokens) const;
  void store_parked(Kept& kept);
  void parked(std::int64_t id, const Result<store::Ids>& done);
  void store_again();
  void forget(Kept& kept);
  struct Restored {
    std::string account, identity;
    account::Generation generation = 0;
    account::Standing standing;
    std::optional<store::ParkedGrant> unparked;  // as it was parked, where the store does not know that either
  };
  bool may_be_seen(const Kept& kept, account::Generation generation) const;
  void spend(Kept& kept, account::Generation generation);
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
  std::set<std::pair<std::string_view, std::int64_t>>
      of_accounts_;                             // the same by account, whose name lies in the grant
  std::map<std::int64_t, Restored> restoring_;  // in use again, and the store does not know yet
  std::map<std::int64_t, Retiring> retiring_;   // retired, and the store does not know yet
  CanComeBack can_come_back_;
  WhenSettled when_settled_ = [](const std::string&, UniqueFunction<void()> then) { then(); };
  Agenda::Entry try_again_;
};

}  // namespace credsync::retire
