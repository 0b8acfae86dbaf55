#include "daemon/retire/parking.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/fail_point.h"
#include "base/log.h"
#include "base/message_ids.h"
#include "daemon/account/promise.h"
#include "daemon/config/config.h"
#include "daemon/oauth/token_request.h"
#include "daemon/retire/plan.h"

namespace credsync::retire {

namespace {

constexpr Duration kStoreAgain = 5s;  // what the store refused just now
static_assert(store::kPutAsideFor == kKeptAfterIdentityChange, "what a start puts aside was replaced by an edit, too");

}  // namespace

struct Parking::Kept {
  Kept(store::ParkedGrant g, Agenda& agenda, std::function<void()> on_time)
      : grant(std::move(g)), wake(agenda, std::move(on_time)) {}
  store::ParkedGrant grant;
  std::optional<account::UnknownOutcome> unknown;
  std::optional<BootTime> expires_boot;  // of the access token
  Agenda::Entry wake;
  bool stored = true;    // parked durably, as far as the store can
  bool refused = false;  // the disk failed when it was to be
  bool on_its_way = false;
  unsigned updates = 0;             // on their way to the disk: late answers, or the number it comes back under
  bool wanted = false;              // what waits for them
  std::optional<Cause> retirement;  // that, too
  account::Generation number = 0;   // under which it comes back, if that is another
  bool spent = false;               // the store knows that number
  bool spend_again = false;         // it refused it
};

Parking::Parking(account::Accounts& accounts, store::TokenStore& store, oauth::TokenEndpoint& endpoint,
                 Retirer& retirer, Agenda& agenda, const Clock& clock)
    : accounts_(accounts),
      store_(store),
      endpoint_(endpoint),
      retirer_(retirer),
      agenda_(agenda),
      clock_(clock),
      try_again_(agenda, [this] { store_again(); }) {}
Parking::~Parking() = default;

void Parking::load(std::vector<store::ParkedGrant> parked) {
  for (store::ParkedGrant& grant : parked)
    keep(std::move(grant), std::nullopt, std::nullopt);
}

// Within a boot a token ends by the clock that says less, in use or not.
std::optional<BootTime> Parking::boot_end(const account::TokenSet& tokens) const {
  if (!tokens.expires_at) return std::nullopt;
  return clock_.boot() + (*tokens.expires_at - clock_.wall());
}

Parking::Kept& Parking::keep(store::ParkedGrant grant, std::optional<account::UnknownOutcome> unknown,
                             std::optional<BootTime> expires_boot) {
  const std::int64_t id = grant.id;
  if (!expires_boot) expires_boot = boot_end(grant.tokens);
  auto kept = std::make_unique<Kept>(std::move(grant), agenda_, [this, id] { retire(id, Cause::kItsTime); });
  kept->unknown = unknown;
  kept->expires_boot = expires_boot;
  Kept& added = *kept;
  leave(id);
  grants_.emplace(id, std::move(kept));
  of_accounts_.emplace(added.grant.account, id);
  schedule(added);
  return added;
}

void Parking::leave(std::int64_t id) {
  const auto at = grants_.find(id);
  if (at == grants_.end()) return;
  of_accounts_.erase({at->second->grant.account, id});
  grants_.erase(at);
}

// In the order in which they were parked.
std::vector<Parking::Kept*> Parking::all_of(std::string_view account) const {
  std::vector<Kept*> found;
  auto at = of_accounts_.lower_bound({account, std::numeric_limits<std::int64_t>::min()});
  for (; at != of_accounts_.end() && at->first == account; ++at)
    found.push_back(grants_.at(at->second).get());
  return found;
}

template <typename Which>
std::vector<std::int64_t> Parking::ids_of(std::string_view account, Which which) const {
  std::vector<std::int64_t> ids;
  for (const Kept* kept : all_of(account)) {
    if (which(kept->grant)) ids.push_back(kept->grant.id);
  }
  return ids;
}

void Parking::schedule(Kept& kept) {
  if (kept.grant.retire_at >= kWallMax) return;  // switched off by its admin, not gone
  constexpr Duration kLookAgain = days(1);       // a timer for weeks would not see the wall clock being set
  const Duration wait = std::clamp<Duration>(kept.grant.retire_at - clock_.wall(), Duration::zero(), kLookAgain);
  kept.wake.set(clock_.boot() + wait);
}

void Parking::park(Leaver leaver, std::shared_ptr<const config::Account> old_config) {
  store::ParkedGrant grant;
  grant.id = store_.new_id();
  grant.account = std::move(leaver.account);
  grant.identity = std::move(leaver.identity);
  grant.generation = leaver.generation;
  grant.tokens = std::move(leaver.tokens);
  grant.rolled_back = leaver.rolled_back;
  grant.promised_until = leaver.promised_until;
  grant.retire_at = leaver.keep ? saturating_add(clock_.wall(), *leaver.keep) : kWallMax;
  log::write(
      log::Level::kNotice, message_id::kParked.id,
      "parked: the account or its grant's identity left the configuration; it comes back with the setting",
      {{"ACCOUNT", grant.account}, {"UNTIL", leaver.keep ? to_rfc3339(grant.retire_at) : "it is enabled again"}});
  const std::int64_t id = grant.id;
  store_first(grant.account);
  Kept& kept = keep(std::move(grant), leaver.unknown, leaver.expires_boot);
  kept.stored = false;
  store_parked(kept);
  CREDSYNC_FAIL_POINT("park.ordered");
  if (old_config == nullptr) return;
  // What revoking it will need, while its secrets can still be read.
  endpoint_.make_order(std::move(old_config), [this, id](Result<Secret> order) {
    const auto at = grants_.find(id);
    if (at == grants_.end() || !order || order->empty()) return;
    store_.apply(store::SetParkedOrder{id, order->clone()},
                 [](Result<store::Ids>) { CREDSYNC_FAIL_POINT("park.order-stored"); });
    at->second->grant.order = std::move(*order);
  });
}

void Parking::store_parked(Kept& kept) {
  const std::int64_t id = kept.grant.id;
  kept.on_its_way = true;
  store_.apply(store::Park{kept.grant.clone(), kept.refused}, [this, id](Result<store::Ids> done) {
    CREDSYNC_FAIL_POINT("park.stored");
    parked(id, done);
  });
}

// Until the store has it: another grant's tokens may come into the row that holds these, and a removed account's would stay
// there for good.
void Parking::parked(std::int64_t id, const Result<store::Ids>& done) {
  const bool over = done || done.error().code() == ErrorCode::kNotFound;  // such tokens are not in the row any more
  if (!done)
    log::write(log::Level::kError, message_id::kNotStored.id, "a grant could not be parked durably yet",
               {{"REASON", done.error().message()}});
  if (const auto back = restoring_.find(id); back != restoring_.end() && over) back->second.unparked.reset();
  const auto at = grants_.find(id);
  if (at == grants_.end()) return;
  at->second->on_its_way = false;
  at->second->stored = over;
  at->second->refused = !over;
  if (!over && !try_again_.when()) try_again_.set(clock_.boot() + kStoreAgain);
}

void Parking::store_first(std::string_view account) {
  for (Kept* kept : all_of(account)) {
    if (!kept->stored && !kept->on_its_way) store_parked(*kept);
  }
}

void Parking::store_again() {
  for (const auto& [id, kept] : grants_) {
    if (!kept->stored && !kept->on_its_way) store_parked(*kept);
  }
  for (const auto& [id, kept] : grants_) {
    if (std::exchange(kept->spend_again, false)) spend(*kept, kept->number);
  }
  for (auto at = restoring_.begin(); at != restoring_.end();)
    restore_row((at++)->first);
  for (const auto& [id, retiring] : retiring_) {
    if (!retiring.on_its_way) store_retired(id);
  }
}

bool Parking::remember(std::string_view account, std::string_view identity, account::Generation generation,
                       account::UnknownOutcome unknown) {
  const auto parked = find(account, identity);
  if (!parked || parked->generation > generation) return false;
  grants_.at(parked->id)->unknown = unknown;
  store_.apply(store::FreeRoom{std::string(account), unknown.slot}, [](Result<store::Ids>) {});
  return true;
}

// No grant in use is meant by its intent any more.
void Parking::forget(Kept& kept) {
  if (!kept.unknown) return;
  store_.apply(store::DropIntent{kept.grant.account, kept.unknown->slot}, [](Result<store::Ids>) {});
  kept.unknown.reset();
}

bool Parking::restore(account::Account& account) {
  const auto parked = find(account.name(), account.config().identity);
  if (!parked) return false;
  const std::int64_t id = parked->id;
  Kept& kept = *grants_.at(id);
  store::ParkedGrant& grant = kept.grant;
  if (kept.updates == 0) {
    const account::Generation own = std::max(grant.generation, kept.number);
    const account::Generation next = accounts_.restored_generation(account, own, !kept.refused);
    if (!may_be_seen(kept, next)) ++kept.updates, spend(kept, next);
  }
  if (kept.updates > 0) {
    kept.wanted = true;
    accounts_.set_coming_back(account, true);
    return false;
  }
  const account::Standing standing = grant.rolled_back
                                         ? account::rolled_back_at(clock_.wall())
                                         : account::Standing{account::State::kOk, clock_.wall(), std::nullopt};
  const account::Generation generation = std::max(grant.generation, kept.number);
  store_first(grant.account);
  restoring_[id] = {account.name(), account.config().identity, generation, standing,
                    kept.stored ? std::nullopt : std::optional(grant.clone())};
  order(id, store::Restore{id, standing, generation});
  log::write(log::Level::kNotice, message_id::kRestored.id, "restored: a parked grant is in use again",
             {{"ACCOUNT", account.name()}, {"GENERATION", std::to_string(generation)}});
  account::TokenSet tokens = std::move(grant.tokens);
  accounts_.set_unknown(account, kept.unknown);
  const auto expires_boot = kept.expires_boot;
  const WallTime promised = account::believable_promise(grant.promised_until, clock_.wall());
  leave(id);
  accounts_.install(account, generation, std::move(tokens), standing, promised, expires_boot);
  accounts_.promises(account)->promised_until = promised;
  return true;
}

// Its own number is durable. Another is when the store knows it, and nothing of the account is in its row but what is its: else
// a start might find another grant there, with a lower number than callers have seen.
bool Parking::may_be_seen(const Kept& kept, account::Generation generation) const {
  const auto here = all_of(kept.grant.account);
  const bool alone = std::all_of(here.begin(), here.end(), [](const Kept* k) { return k->stored; });
  return generation == kept.grant.generation || (generation == kept.number && kept.spent && alone);
}

void Parking::spend(Kept& kept, account::Generation generation) {
  kept.number = generation;
  kept.spent = false;
  store_first(kept.grant.account);
  store_.apply(store::SetSpent{kept.grant.account, generation},
               [this, id = kept.grant.id](const Result<store::Ids>& done) {
                 const auto at = grants_.find(id);
                 if (at == grants_.end()) return;
                 Kept& spent = *at->second;
                 spent.spent = done.has_value();
                 spent.spend_again = !may_be_seen(spent, spent.number);
                 if (!spent.spend_again) return when_settled_(spent.grant.account, [this, id] { updating(id, false); });
                 if (!try_again_.when()) try_again_.set(clock_.boot() + kStoreAgain);
               });
}

void Parking::do_not_come_back(account::Account& account) {
  const auto parked = find(account.name(), account.config().identity);
  if (!account.coming_back() || !parked) return;
  accounts_.set_coming_back(account, false);
  Kept& kept = *grants_.at(parked->id);
  kept.wanted = false;
  retire(parked->id, Cause::kReplaced);
}

// Until the row is what is in use. Another grant's tokens may be in it, which came while the configuration changed and are
// about to be parked; or the disk fails. Newer tokens of the grant may overtake it: then the old ones are in nobody's use.
void Parking::restore_row(std::int64_t id) {
  Restored& r = restoring_.at(id);
  const account::Account* account = accounts_.find(r.account);
  const bool ours = account != nullptr && account->live() != nullptr && account->config().identity == r.identity;
  if (ours && account->generation() == r.generation) {
    if (r.unparked)
      store_.apply(store::Park{r.unparked->clone(), true}, [this, id](Result<store::Ids> done) { parked(id, done); });
    order(id, store::Restore{id, r.standing, r.generation});
  } else if (ours) {
    order(id, store::RetireParked{id, {}});
  } else {
    restoring_.erase(id);  // it left again: the next start finds it parked as it was
  }
}

void Parking::order(std::int64_t id, store::Change change) {
  store_.apply(std::move(change), [this, id](Result<store::Ids> ids) {
    CREDSYNC_FAIL_POINT("restore.stored");
    restored(id, ids);
  });
}

// Not parked is not there, but for what the disk has refused to park until now.
void Parking::restored(std::int64_t id, const Result<store::Ids>& done) {
  const auto at = restoring_.find(id);
  if (at == restoring_.end()) return;  // it has left again
  if (done || (done.error().code() == ErrorCode::kNotFound && !at->second.unparked)) {
    restoring_.erase(at);
    return;
  }
  log::write(log::Level::kError, message_id::kNotStored.id, "a parked grant could not be restored durably yet",
             {{"ACCOUNT", at->second.account}, {"REASON", done.error().message()}});
  if (!try_again_.when()) try_again_.set(clock_.boot() + kStoreAgain);
}

void Parking::park_stored(std::shared_ptr<const config::Account> config, account::Generation generation,
                          account::TokenSet tokens) {
  const bool removed = accounts_.find(config->name) == nullptr;
  park({config->name, config->identity, generation, std::move(tokens),
        removed ? kKeptAfterRemoval : kKeptAfterIdentityChange},
       config);
}

void Parking::signed_out(std::string_view account, std::string_view identity, account::Generation up_to) {
  for (Kept* kept : all_of(account)) {
    if (kept->stored || kept->grant.identity != identity || kept->grant.generation > up_to) continue;
    forget(*kept);
    leave(kept->grant.id);
  }
}

void Parking::retire_all_of(std::string_view account) {
  for (const std::int64_t id : ids_of(account, [](const store::ParkedGrant&) { return true; }))
    retire(id, Cause::kReplaced);
}

void Parking::retire_older(const account::Account& account) {
  const auto is_older = [&](const store::ParkedGrant& grant) {
    return grant.identity == account.config().identity && grant.generation < account.generation();
  };
  for (const std::int64_t id : ids_of(account.name(), is_older)) {
    grants_.at(id)->grant.promised_until =
        kWallMax;  // what was promised since may be known to a queued retirement only
    retire(id, Cause::kReplaced);
  }
}

void Parking::retire(std::int64_t id, Cause cause) {
  Kept& kept = *grants_.at(id);
  if (kept.updates > 0) {  // what is on its way is to be retired, too
    kept.retirement = kept.retirement == Cause::kReplaced ? Cause::kReplaced : cause;
    return;
  }
  if (cause == Cause::kItsTime && kept.grant.retire_at > clock_.wall()) return schedule(kept);
  const std::string account = kept.grant.account;
  retiring_[id] = {account, plan_of(kept.grant), false};
  store_first(account);
  store_retired(id);
  log::notice("a parked grant is retired", {{"ACCOUNT", account}});
  forget(kept);
  leave(id);
}

// Nobody ordered its end: nothing is revoked that could end a grant in use, only erased, and who was promised its access token
// may use it for so long.
std::vector<store::Retirement> Parking::plan_of(const store::ParkedGrant& grant) {
  const auto order = oauth::parse_revocation_order(grant.order);
  if (!order) return {};
  const retire::Leaving leaving{grant.account, grant.identity, grant.generation,
                                &grant.tokens, clock_.wall(),  &grant.order};
  std::vector<store::Retirement> plan = plan_sign_out(order->rules, leaving, clock_.wall());
  std::erase_if(plan, [&](const store::Retirement& r) {
    const auto cascade = r.kind == store::RetiredKind::kAccess ? order->rules.revoke.access_cascade
                                                               : order->rules.revoke.refresh_cascade;
    return is_in_use(r.token) || may_end_another(grant, order->client_id, cascade);
  });
  const WallTime promised = account::believable_promise(grant.promised_until, clock_.wall());
  for (store::Retirement& r : plan) {
    r.id = store_.new_id();
    r.not_before = std::max(r.not_before, promised);
  }
  return plan;
}

// The same client may hold the grant once more, for this account or, as after a renaming, for another; at the provider that may
// be one and the same. Whose it is tells them apart, where both say it.
bool Parking::may_end_another(const store::ParkedGrant& grant, const std::string& client_id,
                              provider::Cascade cascade) const {
  if (cascade == provider::Cascade::kNone) return false;
  const std::string& ours = grant.tokens.subject;
  return std::any_of(accounts_.all().begin(), accounts_.all().end(), [&](const auto& entry) {
    const account::Live* live = entry.second->live();
    if (live == nullptr || entry.second->config().client_id != client_id) return false;
    const std::string& theirs = live->tokens.subject;
    return cascade != provider::Cascade::kGrant || ours.empty() || theirs.empty() || ours == theirs;
  });
}

bool Parking::is_in_use(const Secret& token) const {
  return std::any_of(accounts_.all().begin(), accounts_.all().end(), [&](const auto& entry) {
    const account::Live* live = entry.second->live();
    return live != nullptr && holds(*live, token);
  });
}

void Parking::store_retired(std::int64_t id) {
  Retiring& retiring = retiring_.at(id);
  retiring.on_its_way = true;
  store::RetireParked change;
  change.parked_id = id;
  for (const store::Retirement& r : retiring.plan)
    change.retire.push_back(r.clone());
  store_.apply(std::move(change), [this, id](Result<store::Ids> done) {
    CREDSYNC_FAIL_POINT("park.retired");
    retired(id, done);
  });
}

// Until the store has it: a start would find the grant parked, and bring it back.
void Parking::retired(std::int64_t id, const Result<store::Ids>& done) {
  Retiring& retiring = retiring_.at(id);
  retiring.on_its_way = false;
  if (!done && done.error().code() != ErrorCode::kNotFound) {
    log::write(log::Level::kError, message_id::kNotStored.id, "a parked grant could not be retired durably yet",
               {{"ACCOUNT", retiring.account}, {"REASON", done.error().message()}});
    if (!try_again_.when()) try_again_.set(clock_.boot() + kStoreAgain);
    return;
  }
  std::vector<store::Retirement> plan = std::move(retiring.plan);
  retiring_.erase(id);
  if (done) retirer_.add(std::move(plan));
}

std::optional<Parked> Parking::find(std::string_view account, std::string_view identity) const {
  const store::ParkedGrant* found = nullptr;
  for (const Kept* kept : all_of(account)) {
    const store::ParkedGrant& grant = kept->grant;
    if (grant.identity == identity && (found == nullptr || grant.generation > found->generation)) found = &grant;
  }
  if (found == nullptr) return std::nullopt;
  return Parked{found->id, found->generation, &found->tokens, found->promised_until};
}

void Parking::updating(std::int64_t id, bool begins) {
  const auto at = grants_.find(id);
  if (at == grants_.end()) return;
  Kept& kept = *at->second;
  if (begins) {
    store_first(kept.grant.account);
    ++kept.updates;
    return;
  }
  if (--kept.updates > 0) return;
  const auto cause = std::exchange(kept.retirement, std::nullopt);
  account::Account* account = accounts_.find(kept.grant.account);
  const bool wanted =
      std::exchange(kept.wanted, false) && account != nullptr && account->config().identity == kept.grant.identity;
  if (wanted) accounts_.set_coming_back(*account, false);
  if (cause == Cause::kReplaced) return retire(id, *cause);
  if (wanted && account->live() != nullptr)
    return retire(id, Cause::kReplaced);  // it has got other tokens by itself: it cannot have both
  if (!wanted || account->standing().state == account::State::kSignedOut || !can_come_back_) {
    if (cause) retire(id, *cause);
    return;
  }
  if (cause) schedule(kept);  // its time has come, but its setting before that
  can_come_back_(*account);
}

void Parking::updated(std::int64_t id, account::Generation generation, account::TokenSet tokens,
                      std::optional<BootTime> expires_boot) {
  const auto at = grants_.find(id);
  if (at == grants_.end()) return;
  at->second->grant.generation = generation;
  at->second->grant.tokens = std::move(tokens);
  at->second->expires_boot = expires_boot ? expires_boot : boot_end(at->second->grant.tokens);
  forget(*at->second);
}

}  // namespace credsync::retire
