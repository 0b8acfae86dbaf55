#include "daemon/refresh/installer.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/fail_point.h"
#include "base/log.h"
#include "base/message_ids.h"
#include "base/mutation.h"
#include "daemon/account/promise.h"
#include "daemon/refresh/exchanger.h"
#include "daemon/refresh/policy.h"
#include "daemon/refresh/promises.h"

namespace credsync::refresh {

using account::Account;

namespace {

constexpr Duration kWorthWriting = 1s;  // what a start may be early by
constexpr Duration kFreeAgain = 30s;    // a slot, when the store could not: it is one of many

std::vector<store::Retirement> clone(const std::vector<store::Retirement>& retirements) {
  std::vector<store::Retirement> copies;
  for (const store::Retirement& r : retirements)
    copies.push_back(r.clone());
  return copies;
}

}  // namespace

// What is between the order to the store and its word that it is done.
struct Installer::Commit {
  Candidate candidate;
  account::Generation generation = 0;
  account::Standing standing;
  std::vector<store::Retirement> retire;
  WallTime promised;  // stored with the new tokens
  WallTime kept;      // stored of promises for the old access token, at least
  UniqueFunction<void(Placed, std::string)> done;
};

bool Installer::current(const Candidate& candidate) const {
  const Account* account = accounts_.find(candidate.config->name);
  if (account == nullptr || account->config().identity != candidate.config->identity) return false;
  if (mutated(Mutation::kOverwriteNewer)) return true;
  if (account->sign_in() != candidate.sign_in) return false;
  return candidate.new_sign_in || account->generation() == candidate.replaces;
}

void Installer::place(Candidate candidate, UniqueFunction<void(Placed, std::string)> done) {
  candidate.tokens.jitter = jitter_of(random_.unit());
  decide(std::move(candidate), std::move(done));
}

void Installer::decide(Candidate candidate, UniqueFunction<void(Placed, std::string)> done) {
  const auto way = on_the_way_.find(candidate.config->name);
  if (way != on_the_way_.end() && way->second.holding) {
    way->second.held.push_back([this, candidate = std::move(candidate), done = std::move(done)]() mutable {
      decide(std::move(candidate), std::move(done));
    });
    return;
  }
  if (candidate.stranger) return give_up(std::move(candidate), std::move(done));
  current(candidate) ? install(std::move(candidate), std::move(done))
                     : place_late(std::move(candidate), std::move(done));
}

void Installer::install(Candidate candidate, UniqueFunction<void(Placed, std::string)> done) {
  mind_the_clock(candidate);  // a start has nothing but the wall clock
  Account& account = *accounts_.find(candidate.config->name);
  auto commit = std::make_shared<Commit>();
  commit->generation = accounts_.next_generation(account);
  commit->standing = {account::State::kOk, clock_.wall(), std::nullopt};
  if (account.standing().state == account::State::kOk) commit->standing.since = account.standing().since;
  if (const account::Live* live = account.live(); live != nullptr) {
    const retire::Leaving old{account.name(), account.config().identity, account.generation(),
                              &live->tokens,  promised_of(*live),        &candidate.order};
    commit->retire = retire::plan_superseded(account.config(), old, candidate.tokens, clock_.wall());
    if (mutated(Mutation::kForgetRetirement)) commit->retire.clear();
  }
  store::Install change;
  change.account = account.name();
  change.identity = account.config().identity;
  change.generation = commit->generation;
  change.tokens = candidate.tokens.clone();
  change.promised_until = commit->promised = Promises::to_install(account.live(), candidate.tokens, clock_.wall());
  if (!mutated(Mutation::kRetireOutsideStore)) change.retire = clone(commit->retire);
  if (account.live() != nullptr) commit->kept = keep_longer(change.retire, *account.live());
  change.slot = candidate.slot;
  change.standing = commit->standing;
  change.password_used = candidate.password_used || account.password_used();
  change.replace_kept_password =
      candidate.new_sign_in && (!candidate.kept_password.empty() || candidate.forget_kept_password);
  change.kept_password = candidate.kept_password.clone();
  parking_.store_first(change.account);
  candidate.new_sign_in ? hold_answers(change.account) : void(++on_the_way_[change.account].orders);
  on_the_way_.at(change.account).identity = change.identity;
  commit->candidate = std::move(candidate);
  commit->done = std::move(done);
  if (mutated(Mutation::kPublishFirst)) {
    commit->retire.clear();
    stored(commit, store::Ids{});
    return store_.apply(std::move(change), [](Result<store::Ids>) {});
  }
  store_.apply(std::move(change), [this, commit](Result<store::Ids> ids) { stored(commit, std::move(ids)); });
  CREDSYNC_FAIL_POINT("install.ordered");
}

WallTime Installer::promised_of(const account::Live& live) const {
  return account::believable_promise(live.promised_until, clock_.wall());
}

void Installer::remember_promise(const account::Account& account) {
  if (account.live() == nullptr) return;
  const Duration longer = promised_of(*account.live()) - clock_.wall();
  if (longer <= Duration::zero()) return;
  auto& left = left_[account.name()];
  left = std::make_unique<Left>(account.live()->tokens.access_token.clone(), clock_.wall() + longer, agenda_,
                                [this, name = account.name()] { left_.erase(left_.find(name)); });
  left->over.set(clock_.boot() + longer);
}

WallTime Installer::promised_before(const std::string& account, const Secret& access_token) const {
  const auto left = left_.find(account);
  const bool same = left != left_.end() && same_secret(left->second->access_token, access_token);
  return same ? account::believable_promise(left->second->promised_until, clock_.wall()) : WallTime();
}

// Promises that are yet to be made until the new token is visible find the retirement where it is; but a crash may leave
// nothing else of the last than what was stored ahead.
WallTime Installer::keep_longer(std::vector<store::Retirement>& retire, const account::Live& old) const {
  const WallTime kept = account::believable_promise(old.keeping_until, clock_.wall());
  for (store::Retirement& r : retire) {
    if (same_secret(r.token, old.tokens.access_token)) r.not_before = std::max(r.not_before, kept);
  }
  return kept;
}

// The word about a refresh may come while the sign-in that was ordered after it is on its way: what the refresh brought is
// the grant's newest if that fails, and replaced if it does not.
void Installer::stored(std::shared_ptr<Commit> commit, Result<store::Ids> ids) {
  const std::string name = commit->candidate.config->name;
  const bool sign_in = commit->candidate.new_sign_in;
  OnTheWay& way = on_the_way_.at(name);
  if (!sign_in && way.holding) {
    way.held.push_back([this, commit, ids = std::move(ids)]() mutable { stored(commit, std::move(ids)); });
    return;
  }
  CREDSYNC_FAIL_POINT("install.stored");
  installed(commit, std::move(ids));
  CREDSYNC_FAIL_POINT("install.published");
  sign_in ? let_go(name) : settled(name);
}

void Installer::hold_answers(const std::string& account) {
  OnTheWay& way = on_the_way_[account];
  CHECK(!way.holding);
  way.holding = true;
  ++way.orders;
}

void Installer::let_go(const std::string& account) {
  OnTheWay& way = on_the_way_.at(account);
  way.holding = false;
  std::vector<UniqueFunction<void()>> held = std::exchange(way.held, {});
  for (auto& again : held)
    again();  // one that is a sign-in holds up those behind it
  settled(account);
}

void Installer::when_known(const std::string& account, UniqueFunction<void()> then) {
  const auto at = on_the_way_.find(account);
  at != on_the_way_.end() && at->second.holding ? at->second.held.push_back(std::move(then)) : then();
}

void Installer::when_settled(const std::string& account, UniqueFunction<void()> then) {
  const auto at = on_the_way_.find(account);
  if (at == on_the_way_.end()) return then();
  at->second.waiting.push_back(std::move(then));
}

void Installer::settled(const std::string& account) {
  const auto at = on_the_way_.find(account);
  if (--at->second.orders > 0) return;
  std::vector<UniqueFunction<void()>> waiting = std::move(at->second.waiting);
  on_the_way_.erase(at);
  for (auto& then : waiting)
    when_settled(account, std::move(then));  // one of them may order something
}

// The old token was still handed out while its successor was on its way to the disk: those promises count too, also where
// its grant was parked meanwhile; and the grace begins now, however long that took.
void Installer::keep_promises(Commit& commit, const store::Ids& ids) {
  if (mutated(Mutation::kRevokeAtOnce)) return;
  const config::Account& config = *commit.candidate.config;
  const Account* account = accounts_.find(config.name);
  const bool in_use = account != nullptr && account->live() != nullptr && account->config().identity == config.identity;
  const auto parked = in_use ? std::nullopt : parking_.find(config.name, config.identity);
  if (!in_use && !parked) return;
  const Secret& old = in_use ? account->live()->tokens.access_token : parked->tokens->access_token;
  const WallTime promised =
      in_use ? promised_of(*account->live()) : account::believable_promise(parked->promised_until, clock_.wall());
  const Duration grace = in_use ? account->config().revoke_grace : config.revoke_grace;
  const WallTime grace_over = saturating_add(clock_.wall(), grace);
  for (std::size_t i = 0; i < commit.retire.size() && i < ids.size(); ++i) {
    store::Retirement& r = commit.retire[i];
    const bool access = same_secret(r.token, old);
    const WallTime stored = access ? std::max(r.not_before, commit.kept) : r.not_before;
    r.not_before = std::max(r.not_before, grace_over);
    if (access) r.not_before = std::max(r.not_before, promised);
    if (r.not_before - stored < kWorthWriting) continue;
    store_.apply(store::RetirementTried{ids[i], r.attempts, r.not_before}, [](Result<store::Ids>) {});
  }
}

void Installer::installed(std::shared_ptr<Commit> commit, Result<store::Ids> ids) {
  Candidate& candidate = commit->candidate;
  if (!ids) {
    log::write(log::Level::kError, message_id::kNotStored.id,
               "a token answer could not be stored; the old token stays in use",
               {{"ACCOUNT", candidate.config->name}, {"REASON", ids.error().message()}});
    accounts_.not_stored(candidate.config->name, commit->generation);
    if (candidate.new_sign_in) give_back(candidate.config->name, candidate.slot);  // nothing hangs on that intent
    return commit->done(Placed::kNotStored, ids.error().message());
  }
  Account* account = accounts_.find(candidate.config->name);
  keep_promises(*commit, *ids);
  queue(std::move(commit->retire), *ids);
  const bool still_ours = account != nullptr && account->config().identity == candidate.config->identity &&
                          account->sign_in() == candidate.sign_in;
  candidate.slot.reset();
  if (!still_ours) {  // signed out, parked or signed in again while this was on its way to the disk
    mind_the_clock(candidate);
    const bool another = account == nullptr || account->config().identity != candidate.config->identity;
    const auto parked = parking_.find(candidate.config->name, candidate.config->identity);
    // It was parked after this was ordered: the store has put aside what it found in the row, which is this or newer.
    if (another && parked && parked->generation < commit->generation)
      return update_parked(std::move(candidate), parked->id, commit->generation, true, std::move(commit->done));
    if (!another || parked) return place_late(std::move(candidate), std::move(commit->done));
    parking_.park_stored(candidate.config, commit->generation, std::move(candidate.tokens));
    return commit->done(Placed::kParked, {});
  }
  // An edit that was taken back let another grant's tokens into the row behind these. They are about to be parked; these are
  // stored once more before anybody has them. (A sign-in lets nothing in behind itself.)
  const bool overwritten = on_the_way_.at(account->name()).identity != candidate.config->identity;
  if (overwritten && !candidate.new_sign_in && current(candidate))
    return install(std::move(candidate), std::move(commit->done));
  if (candidate.new_sign_in) {
    if (account->unknown()) give_back(account->name(), account->unknown()->slot);
    remember_promise(*account);
    accounts_.begin_sign_in(*account);
    // Before it is planned: the old grant's troubles put nothing off. What callers may cause is the account's.
    account::Attempts fresh;
    fresh.last_on_demand = account->attempts.last_on_demand;
    account->attempts = fresh;
  }
  if (candidate.password_used) accounts_.set_password_used(*account, std::move(candidate.kept_password));
  accounts_.set_unknown(*account, std::nullopt);
  if (mutated(Mutation::kKeepOldToken) && account->live() != nullptr) return commit->done(Placed::kInstalled, {});
  mind_the_clock(candidate);
  if (mutated(Mutation::kLogToken)) log::info(std::string(candidate.tokens.access_token.expose()));
  const auto expires_boot = boot_end(candidate);
  accounts_.install(*account, commit->generation, std::move(candidate.tokens), commit->standing, commit->promised,
                    expires_boot);
  commit->done(Placed::kInstalled, {});
}

// The wall clock was set back between the request and now, by hours or by a part of a second: by the new one the token would
// end too late. Set forward, it only ends too early.
void Installer::mind_the_clock(Candidate& candidate) const {
  if (!candidate.clock_offset) return;
  const Duration back = *candidate.clock_offset - wall_over_boot(clock_);
  if (back <= Duration::zero()) return;
  candidate.tokens.obtained_at -= back;
  if (candidate.tokens.expires_at) *candidate.tokens.expires_at -= back;
  *candidate.clock_offset -= back;
}

// By the clock that nobody sets, as it was when the request was sent. The wall clock may be ahead just now: if it is set back,
// the token has not lost by it what it was ahead.
std::optional<BootTime> Installer::boot_end(const Candidate& candidate) {
  if (!candidate.clock_offset || !candidate.tokens.expires_at) return std::nullopt;
  return BootTime((*candidate.tokens.expires_at - *candidate.clock_offset).time_since_epoch());
}

void Installer::place_late(Candidate candidate, UniqueFunction<void(Placed, std::string)> done) {
  if (mutated(Mutation::kDropLate))
    return give_back(candidate.config->name, candidate.slot), done(Placed::kRetired, {});
  const auto parked = parking_.find(candidate.config->name, candidate.config->identity);
  // What is parked may be of a later sign-in than the one that was refreshed; and a sign-in that comes too late is none.
  if (!parked || candidate.new_sign_in || parked->generation != candidate.replaces)
    return give_up(std::move(candidate), std::move(done));
  const account::Generation next =
      accounts_.next_generation(candidate.config->name, candidate.config->identity, candidate.replaces);
  mind_the_clock(candidate);
  update_parked(std::move(candidate), parked->id, next, false, std::move(done));
}

// Durable before the grant has it: it may come back, and be shown, while this is on its way. `durable`: it is so already.
void Installer::update_parked(Candidate candidate, std::int64_t id, account::Generation generation, bool durable,
                              UniqueFunction<void(Placed, std::string)> done) {
  store::UpdateParked change;
  change.parked_id = id;
  change.generation = generation;
  change.tokens = candidate.tokens.clone();
  change.slot = candidate.slot;
  const auto expires_boot = boot_end(candidate);
  if (durable) parking_.updated(id, generation, candidate.tokens.clone(), expires_boot);
  parking_.updating(id, true);
  auto tokens = std::make_shared<account::TokenSet>(std::move(candidate.tokens));
  store_.apply(std::move(change), [this, name = candidate.config->name, id, generation, durable, tokens, expires_boot,
                                   done = std::move(done)](Result<store::Ids> ids) mutable {
    if (ids && !durable) parking_.updated(id, generation, std::move(*tokens), expires_boot);
    // Its intent stays: the refresh has an unknown outcome from now on.
    if (!ids && !durable) accounts_.not_stored(name, generation);
    // The account may have got another generation of the same grant meanwhile, by itself.
    when_settled(name, [this, id] { parking_.updating(id, false); });
    ids || durable ? done(Placed::kParked, {}) : done(Placed::kNotStored, ids.error().message());
  });
}

// Signed out: all of it may die. Replaced by a newer sign-in at the same provider, whether that is in use or parked, or
// somebody else's: only what harms no living grant, theirs included.
void Installer::give_up(Candidate candidate, UniqueFunction<void(Placed, std::string)> done) {
  const std::string name = candidate.config->name;
  const Account* account = accounts_.find(name);
  const bool in_use =
      account != nullptr && account->live() != nullptr && account->config().identity == candidate.config->identity;
  const auto parked = parking_.find(name, candidate.config->identity);
  const bool replaced = in_use || parked;
  const WallTime promised = std::max(clock_.wall(), promised_before(name, candidate.tokens.access_token));
  const retire::Leaving late{
      name, candidate.config->identity, candidate.replaces + 1, &candidate.tokens, promised, &candidate.order};
  const account::TokenSet none;
  const account::TokenSet& living = in_use ? account->live()->tokens : parked ? *parked->tokens : none;
  auto plan = replaced || candidate.stranger ? retire::plan_superseded(*candidate.config, late, living, clock_.wall())
                                             : retire::plan_sign_out(*candidate.config->profile, late, clock_.wall());
  log::notice(candidate.stranger ? "an answer for somebody else is retired"
                                 : "a late answer is retired: its grant was signed out or replaced",
              {{"ACCOUNT", name}});
  store::QueueRetirements change{clone(plan), candidate.slot};
  auto held = std::make_shared<std::vector<store::Retirement>>(std::move(plan));
  const auto slot = candidate.slot;
  store_.apply(std::move(change), [this, held, name, slot, done = std::move(done)](Result<store::Ids> ids) mutable {
    if (!ids) {
      log::write(log::Level::kError, message_id::kNotStored.id,
                 "tokens that are not wanted could not be queued for their retirement",
                 {{"ACCOUNT", name}, {"REASON", ids.error().message()}});
      give_back(name, slot);
      return done(Placed::kNotStored, ids.error().message());
    }
    queue(std::move(*held), *ids);
    done(Placed::kRetired, {});
  });
}

void Installer::give_back(const std::string& account, std::optional<store::SlotId> slot) {
  if (!slot) return;
  store_.apply(store::DropIntent{account, *slot}, [this, account, slot = *slot](Result<store::Ids> freed) {
    if (freed) return void(unfreed_.erase(slot));
    auto& again = unfreed_[slot];
    if (!again) again = std::make_unique<Agenda::Entry>(agenda_, [this, account, slot] { give_back(account, slot); });
    again->set(clock_.boot() + kFreeAgain);
  });
}

void Installer::queue(std::vector<store::Retirement> retire, const store::Ids& ids) {
  if (retire.empty()) return;
  for (std::size_t i = 0; i < retire.size() && i < ids.size(); ++i)
    retire[i].id = ids[i];
  retirer_.add(std::move(retire));
}

}  // namespace credsync::refresh
