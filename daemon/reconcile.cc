#include "daemon/reconcile.h"

#include <algorithm>

#include "base/log.h"
#include "base/mutation.h"
#include "daemon/refresh/due.h"
#include "daemon/retire/plan.h"

namespace credsync {
namespace {

account::Standing nobody_signed_in(WallTime now) {
  return {account::State::kNeedsLogin, now, std::nullopt};
}

// Not of tokens that do not open, nor of a grant that was parked since: only who signed out meant the account.
bool speaks_of(const store::StoredAccount& stored, const config::Account& config) {
  const bool of_another = !stored.identity.empty() && stored.identity != config.identity;
  if (stored.damaged || (stored.standing.state == account::State::kOk && !stored.tokens)) return false;
  return !of_another || stored.standing.state == account::State::kSignedOut;
}

WallTime promised_until(const account::Account& account) {
  return account.live() != nullptr ? account.live()->promised_until : WallTime();
}

std::optional<BootTime> expires_boot(const account::Account& account) {
  return account.live() != nullptr ? account.live()->expires_boot : std::nullopt;
}

// A wall clock that is set back later must not make it younger.
account::UnknownOutcome unknown_of(const store::Intent& intent, const Clock& clock) {
  return {intent.slot, intent.sent_at, intent.resends, clock.boot() - (clock.wall() - intent.sent_at), true};
}

std::optional<Duration> kept_for(bool switched_off) {
  return switched_off ? std::nullopt : std::optional<Duration>(retire::kKeptAfterRemoval);
}

}  // namespace

void Reconciler::begin(store::Snapshot snapshot, const config::Config& config) {
  Stored stored;
  for (store::StoredAccount& account : snapshot.accounts) {
    const std::string name = account.name;
    stored.emplace(name, std::move(account));
  }
  parking_.load(std::move(snapshot.parked));
  begin_parked_intents(snapshot.intents, stored);
  for (const auto& [name, account] : config.accounts) {
    if (account->enabled) begin_account(account, stored);
  }
  begin_departed(std::move(stored), config);
  begin_intents(snapshot.intents);
  retirer_.add(std::move(snapshot.retirements));
}

void Reconciler::begin_account(std::shared_ptr<const config::Account> config, Stored& stored) {
  const auto at = stored.find(config->name);
  account::Known known;
  known.standing = nobody_signed_in(clock_.wall());
  std::optional<retire::Parking::Leaver> leaver;
  if (at != stored.end()) {
    store::StoredAccount& s = at->second;
    // Without tokens it has the last number that callers may have seen; a parked grant comes back above that.
    known.generation = s.tokens ? s.generation : std::max(s.generation, s.spent);
    known.spent = s.spent;
    if (s.damaged) {
      known.standing.trouble =
          account::Trouble{"local", "damaged", "the stored tokens are damaged and do not open", clock_.wall()};
    }
    known.last_used = s.last_used;
    // Another grant's is another user's, or another provider's; that of one which is parked comes back with it.
    if (s.kept_identity == config->identity) known.kept_password = std::move(s.kept_password);
    if (s.identity == config->identity || !s.tokens) {
      if (speaks_of(s, *config)) known.standing = std::move(s.standing);
      known.tokens = std::move(s.tokens);
      known.promised_until = s.promised_until;
      if (s.identity == config->identity) known.password_used = s.password_used;
    } else {  // edited while the daemon was down
      leaver = {s.name,
                s.identity,
                s.generation,
                std::move(*s.tokens),
                retire::kKeptAfterIdentityChange,
                account::rolled_back(s.standing),
                std::nullopt,
                s.promised_until};
    }
    stored.erase(at);
  }
  account::Account& account = accounts_.add(std::move(config), std::move(known));
  if (leaver) parking_.park(std::move(*leaver), nullptr);
  if (account.live() != nullptr) parking_.retire_older(account);
  if (account.live() == nullptr && account.standing().state != account::State::kSignedOut) bring_back(account);
  thaw(account);
}

// The store cannot know which grants rotate: it froze all that came back with an older copy. Those that do not go on.
void Reconciler::thaw(account::Account& account) {
  if (!account::rolled_back(account.standing()) || refresh::sends_rotating_token(account)) return;
  account::Standing standing{account::State::kOk, clock_.wall(), std::nullopt};
  store_.apply(store::SetStanding{account.name(), standing, account.generation()}, [](Result<store::Ids>) {});
  accounts_.set_standing(account, std::move(standing));
}

void Reconciler::begin_departed(Stored stored, const config::Config& config) {
  for (auto& [name, s] : stored) {
    departed_[name] = std::max(s.generation, s.spent);
    if (!s.tokens) continue;
    const bool switched_off = config.accounts.contains(name);
    parking_.park({name, s.identity, s.generation, std::move(*s.tokens), kept_for(switched_off),
                   account::rolled_back(s.standing), std::nullopt, s.promised_until},
                  nullptr);
  }
}

// Before they come back: a parked grant's configuration may be here again, and its number become another.
void Reconciler::begin_parked_intents(const std::vector<store::Intent>& intents, const Stored& stored) {
  for (const store::Intent& intent : intents) {
    const auto row = stored.find(intent.account);
    const bool of_the_row = row != stored.end() && row->second.tokens && row->second.identity == intent.identity &&
                            row->second.generation == intent.grant_number();
    const bool of_none = intent.generation == 0 || mutated(Mutation::kForgetIntents);
    if (of_the_row || of_none) continue;
    if (parking_.remember(intent.account, intent.identity, intent.grant_number(), unknown_of(intent, clock_)))
      of_parked_.insert(intent.slot);
  }
}

// Intents without an answer. One of generation 0 belongs to a sign-in that was lost with its answer: no grant in use was
// sent, whatever was installed since. One of another generation than the account has is over, too.
void Reconciler::begin_intents(const std::vector<store::Intent>& intents) {
  for (const store::Intent& intent : intents) {
    if (of_parked_.contains(intent.slot)) continue;
    account::Account* account = accounts_.find(intent.account);
    const bool of_this_grant = !mutated(Mutation::kForgetIntents) && intent.generation != 0 && account != nullptr &&
                               account->live() != nullptr && account->config().identity == intent.identity &&
                               account->generation() == intent.grant_number();
    if (of_this_grant) {
      log::warning("a refresh was under way when credsyncd ended, and its answer is not known",
                   {{"ACCOUNT", intent.account}});
      refresher_.resume_unknown(*account, unknown_of(intent, clock_));
    } else if (intent.generation == 0 ||
               !parking_.remember(intent.account, intent.identity, intent.grant_number(), unknown_of(intent, clock_))) {
      store_.apply(store::DropIntent{intent.account, intent.slot}, [](Result<store::Ids>) {});
    }
  }
}

void Reconciler::change(const config::Config& before, const config::Config& after) {
  for (const auto& [name, old_config] : before.accounts) {
    account::Account* account = accounts_.find(name);
    const auto at = after.accounts.find(name);
    const bool stays = at != after.accounts.end() && at->second->enabled;
    if (account != nullptr && !stays) remove(*account, at != after.accounts.end());
  }
  for (const auto& [name, new_config] : after.accounts) {
    if (!new_config->enabled) continue;
    account::Account* account = accounts_.find(name);
    if (account == nullptr) {
      add(new_config);
    } else if (account->config().fingerprint != new_config->fingerprint) {
      update(*account, new_config);
    }
  }
  refresher_.retry_suspended();
}

void Reconciler::add(std::shared_ptr<const config::Account> config) {
  account::Known known;
  known.standing = nobody_signed_in(clock_.wall());
  if (const auto at = departed_.find(config->name); at != departed_.end()) known.generation = at->second;
  account::Account& account = accounts_.add(std::move(config), std::move(known));
  bring_back(account);
  thaw(account);
}

// What was unknown of its refresh when it was parked is unknown still.
void Reconciler::bring_back(account::Account& account) {
  if (!parking_.restore(account)) return;
  if (account.unknown()) refresher_.resume_unknown(account, *account.unknown());
  refresher_.came_back(account);
}

void Reconciler::remove(account::Account& account, bool switched_off) {
  departed_[account.name()] = account.generation();
  const auto config = account.shared_config();
  const account::Generation generation = account.generation();
  const auto unknown = account.unknown();
  const bool rolled_back = account::rolled_back(account.standing());
  const WallTime promised = promised_until(account);
  const auto ends = expires_boot(account);
  auto tokens = accounts_.take_tokens(account);
  accounts_.remove(account);
  if (tokens) {
    parking_.park({config->name, config->identity, generation, std::move(*tokens), kept_for(switched_off), rolled_back,
                   unknown, promised, ends},
                  config);
  }
}

void Reconciler::update(account::Account& account, std::shared_ptr<const config::Account> config) {
  const auto old_config = account.shared_config();
  if (old_config->identity == config->identity) {
    accounts_.replace_config(account, std::move(config));
    thaw(account);
    return refresher_.retry_mended(account);
  }
  // Another grant from now on.
  const WallTime promised = promised_until(account);
  const auto ends = expires_boot(account);
  auto tokens = accounts_.take_tokens(account);
  const account::Generation generation = account.generation();
  const bool rolled_back = account::rolled_back(account.standing());
  const auto unknown = account.unknown();
  accounts_.set_unknown(account, std::nullopt);
  accounts_.forget_password(account);
  accounts_.set_standing(account, nobody_signed_in(clock_.wall()));
  accounts_.replace_config(account, std::move(config));
  if (tokens && !mutated(Mutation::kDiscardOnNewConfig)) {
    parking_.park({old_config->name, old_config->identity, generation, std::move(*tokens),
                   retire::kKeptAfterIdentityChange, rolled_back, unknown, promised, ends},
                  old_config);
  }
  account.attempts = account::Attempts{};  // another grant's
  refresher_.retry_mended(account);
  bring_back(account);
  thaw(account);
}

}  // namespace credsync
