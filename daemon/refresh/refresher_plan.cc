// When an account is refreshed next, and what changes that: its configuration, a start, a clock, the network.
#include <algorithm>

#include "base/mutation.h"
#include "daemon/config/config.h"
#include "daemon/refresh/due.h"
#include "daemon/refresh/policy.h"
#include "daemon/refresh/refresher_parts.h"

namespace credsync::refresh {

using account::Account;
using account::State;

void Refresher::changed(Account& account, account::What what) {
  if (what == account::What::kRemoved) {
    const auto at = plans_.find(account.name());
    if (at == plans_.end()) return;
    auto waiting = std::move(at->second->waiting);
    plans_.erase(at);
    for (auto& [number, on_end] : waiting)
      on_end(Ended{false, "the account left the configuration"});
    return;
  }
  note_pause(account);
  auto& plan_slot = plans_[account.name()];
  if (!plan_slot) {
    plan_slot = std::make_unique<Plan>(agenda_, [this, &account] { on_due(account); });
  }
  detach_foreign_flight(account, *plan_slot);
  if (!plan_slot->flight) attach_own_flight(account);
  plan(account);
}

// A refresh of another grant than the account has now goes on alone: its answer finds its place by itself.
void Refresher::detach_foreign_flight(const Account& account, Plan& plan) {
  if (!plan.flight) return;
  if (flights_.at(*plan.flight)->is_of(account)) return;
  plan.flight.reset();
  auto waiting = std::move(plan.waiting);
  plan.waiting.clear();
  for (auto& [number, on_end] : waiting)
    on_end(Ended{false, "the account changed"});
}

// The configuration changed to another grant and back, or the account left it and returned, while a refresh of this grant
// was under way: it is ours again, and its refresh token must not be sent a second time. The tokens say so, for what came
// back may have another number than before; what the refresh brings is the next of that one.
bool Refresher::attach_own_flight(const Account& account) {
  if (mutated(Mutation::kForgetOwnFlight)) return false;
  const account::Live* live = account.live();
  for (auto at = flights_of_.lower_bound({account.name(), 0}); at != flights_of_.end() && at->first == account.name();
       ++at) {
    Flight& flight = *flights_.at(at->second);
    // Somebody may have signed in or out of another grant meanwhile: that says nothing of these tokens.
    const bool same_grant =
        live == nullptr ? flight.access_token.empty() && flight.sign_in == account.sign_in()
                        : same_secret(flight.access_token, live->tokens.access_token) &&
                              (flight.by_password || same_secret(flight.refresh_token, live->tokens.refresh_token));
    const bool ours = same_grant && flight.config->identity == account.config().identity;
    if (!ours) continue;
    flight.generation = account.generation();
    exchanger_.renumber(flight.exchange, account.generation());
    flight.sign_in = account.sign_in();
    Plan& plan = *plans_.at(account.name());
    plan.flight = at->second;
    plan.due.cancel();
    return true;
  }
  return false;
}

// A refresh token whose last outcome is unknown is not sent again before its time, whatever else got better: a client
// that works again, a reload, an edit.
std::optional<BootTime> Refresher::held_until(const Account& account, BootTime now) const {
  const auto plan = plans_.find(account.name());
  if (!account.unknown() || plan == plans_.end()) return std::nullopt;
  const auto& earliest = plan->second->at_the_earliest;
  const bool missed = plan->second->within_overlap && !overlap_ends(account);
  return plan->second->until_floor || missed ? std::max(floor_reached(account, now), earliest.value_or(BootTime()))
                                             : earliest;
}

// Now, if there is no token, or none whose end is known.
BootTime Refresher::floor_reached(const Account& account, BootTime now) const {
  const auto remaining = account.remaining(clock_.wall(), now);
  const auto lifetime = account.live() != nullptr ? account.live()->tokens.lifetime() : std::nullopt;
  return remaining && lifetime ? std::max(now, now + *remaining - floor_of(*lifetime)) : now;
}

void Refresher::on_due(Account& account) {
  // Promises made since it was planned may have put it off.
  const auto when = due(account, clock_.wall(), clock_.boot());
  const bool still_due = when && *when <= clock_.boot();
  if (!still_due || !start(account, Reason::kPlanned)) plan(account);
}

// Until when the refresh token whose last outcome is unknown still works, as its provider declares; nothing, if it does not.
std::optional<BootTime> Refresher::overlap_ends(const Account& account) const {
  const auto& overlap = account.config().profile->refresh.overlap;
  if (!overlap || !account.unknown()) return std::nullopt;
  const BootTime now = clock_.boot();
  const auto since = account.unknown()->since(clock_.wall(), now);
  return since && *since < *overlap ? std::optional(now + (*overlap - *since)) : std::nullopt;
}

void Refresher::plan(Account& account) {
  Plan& plan = *plans_.at(account.name());
  if (plan.flight) return;
  const BootTime now = clock_.boot();
  auto when = due(account, clock_.wall(), now);
  if (when) when = std::max(*when, held_until(account, now).value_or(*when));
  const bool forgotten = mutated(Mutation::kForgetPlan) && account.generation() > 2;
  when && !stopped_ && !forgotten ? plan.due.set(*when) : plan.due.cancel();
}

std::optional<BootTime> Refresher::next_attempt(const Account& account) const {
  const BootTime now = clock_.boot();
  if (!plans_.contains(account.name())) return std::nullopt;  // it is leaving the configuration
  if (under_way(account)) return now;
  if (!can_refresh(account)) return std::nullopt;
  if (account.coming_back()) return now;
  BootTime when = now;
  if (account.attempts.not_before) when = std::max(when, *account.attempts.not_before);
  if (account.attempts.paused_until) when = std::max(when, *account.attempts.paused_until);
  return std::max(when, held_until(account, now).value_or(when));
}

std::optional<BootTime> Refresher::planned(const Account& account) const {
  const auto plan = plans_.find(account.name());
  return plan == plans_.end() ? std::nullopt : plan->second->due.when();
}

void Refresher::resume_unknown(Account& account, account::UnknownOutcome unknown) {
  accounts_.set_unknown(account, unknown);
  // A resend that is under way needs the room for its answer.
  if (!under_way(account)) store_.apply(store::FreeRoom{account.name(), unknown.slot}, [](Result<store::Ids>) {});
  Plan& plan = *plans_.at(account.name());
  plan.within_overlap = overlap_ends(account).has_value();
  // What was sent again within the overlap was no risk; after it, once at most.
  const bool given_up = unknown.resends > 0 && (!plan.within_overlap || mutated(Mutation::kGiveUpEarly));
  plan.until_floor = unknown.resends == 0 && !plan.within_overlap;
  if (given_up) {
    oauth::Failure lost;
    lost.failure_class = oauth::FailureClass::kAmbiguous;
    lost.code = "lost";
    set_standing(
        account, State::kNeedsLogin, lost,
        "the answer to a refresh was lost when credsyncd ended, and once more after that; the provider may have replaced the refresh token");
  }
  account.attempts.failures = std::max(account.attempts.failures, 1U);
  account.attempts.not_before = clock_.boot();
  plan.at_the_earliest = account.attempts.not_before;
  this->plan(account);
}

void Refresher::came_back(const Account& account) {
  Plan& plan = *plans_.at(account.name());
  if (plan.flight) return;  // of the same grant: its end is what they wait for
  auto waiting = std::move(plan.waiting);
  plan.waiting.clear();
  for (auto& [number, on_end] : waiting)
    on_end(Ended{true, {}});
}

void Refresher::replan_all() {
  for (const auto& [name, account] : accounts_.all())
    plan(*account);
}

void Refresher::hurry(Duration spread) {
  const BootTime now = clock_.boot();
  for (const auto& [name, account] : accounts_.all()) {
    account::Attempts& attempts = account->attempts;
    if (account->standing().state != State::kRetrying || !attempts.not_before) continue;
    const auto later = Duration(static_cast<Duration::rep>(static_cast<double>(spread.count()) * random_.unit()));
    const BootTime when = std::max(now + later, plans_.at(name)->at_the_earliest.value_or(now));
    if (when >= *attempts.not_before) continue;
    attempts.not_before = when;
    plan(*account);
  }
}

bool Refresher::any_retrying() const {
  return std::any_of(accounts_.all().begin(), accounts_.all().end(),
                     [](const auto& entry) { return entry.second->standing().state == State::kRetrying; });
}

void Refresher::retry_suspended() {
  for (const auto& [name, account] : accounts_.all()) {
    if (account->standing().state == State::kSuspended) end_slow_retries(*account);
  }
}

// What its provider asked for when it was last asked stands.
void Refresher::end_slow_retries(Account& account) {
  account::Attempts& attempts = account.attempts;
  attempts.not_before = attempts.failures > 0 ? plans_.at(account.name())->at_the_earliest : std::nullopt;
  plan(account);
}

void Refresher::retry_mended(Account& account) {
  account.attempts = account::Attempts{};
  const auto& trouble = account.standing().trouble;
  if (trouble && trouble->code == kPasswordRefused) {
    account::Standing standing = account.standing();
    standing.trouble.reset();
    store_.apply(store::SetStanding{account.name(), standing, account.generation()}, [](Result<store::Ids>) {});
    accounts_.set_standing(account, std::move(standing));
  }
  plan(account);
}

}  // namespace credsync::refresh
