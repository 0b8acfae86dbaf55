#include "daemon/refresh/refresher.h"

#include <algorithm>
#include <vector>

#include "base/log.h"
#include "base/message_ids.h"
#include "base/mutation.h"
#include "daemon/config/config.h"
#include "daemon/oauth/id_token.h"
#include "daemon/refresh/due.h"
#include "daemon/refresh/policy.h"

namespace credsync::refresh {

using account::Account;
using account::State;
using provider::Rotation;

struct Refresher::Flight {
  std::uint64_t id = 0;
  std::shared_ptr<const config::Account> config;
  unsigned sign_in = 0;
  account::Generation generation = 0;
  bool rotates = false;
  bool resend = false;
  bool by_password = false;
  WallTime began;
  BootTime began_boot;
  Secret refresh_token;                        // that was sent: carried over when the answer has none
  std::optional<WallTime> refresh_expires_at;  // of that one
  std::vector<std::string> scope;              // of the token it replaces
  Secret id_token;                             // that came with it, or before
  std::map<std::string, std::string> extra;    // fields kept from its answer and callback
  std::string subject;                         // whose that is
};

struct Refresher::Plan {
  Plan(Agenda& agenda, std::function<void()> on_due) : due(agenda, std::move(on_due)) {}
  Agenda::Entry due;
  std::optional<std::uint64_t> flight;
  // Of the next attempt, whatever happens meanwhile: Retry-After, or an outcome that is not known.
  std::optional<BootTime> at_the_earliest;
  std::map<std::uint64_t, UniqueFunction<void(const Ended&)>> waiting;
};

Refresher::Refresher(account::Accounts& accounts, store::TokenStore& store, Exchanger& exchanger, Installer& installer,
                     Agenda& agenda, const Clock& clock, Random& random)
    : accounts_(accounts),
      store_(store),
      exchanger_(exchanger),
      installer_(installer),
      agenda_(agenda),
      clock_(clock),
      random_(random) {
  accounts_.watch([this](Account& account, account::What what) { changed(account, what); });
}
Refresher::~Refresher() = default;

// --- what can be asked for, and how -------------------------------------------------------------------------------

namespace {

bool rotates(const provider::Profile& profile) {
  return profile.refresh.rotation != Rotation::kNone;
}

}  // namespace

bool Refresher::can_refresh(const Account& account, bool ordered) const {
  return way_for(account, ordered) != Way::kNone;
}

std::optional<ExchangeOrder> Refresher::make_order(const Account& account, bool ordered) const {
  ExchangeOrder order;
  order.account = account.shared_config();
  order.generation = account.generation();
  const account::Live* live = account.live();
  if (live != nullptr && live->tokens.expires_at) order.urgency = *live->tokens.expires_at;
  switch (way_for(account, ordered)) {
    case Way::kNone: return std::nullopt;
    case Way::kClientCredentials: order.input = oauth::ClientCredentialsInput{}; break;
    case Way::kAccessToken: order.input = oauth::AccessRefreshInput{live->tokens.access_token.clone()}; break;
    case Way::kRefreshToken:
      order.input = oauth::RefreshInput{live->tokens.refresh_token.clone()};
      order.rotates = rotates(*account.config().profile);
      if (order.rotates && account.unknown()) order.resend_slot = account.unknown()->slot;
      break;
    case Way::kPassword:
      order.input = oauth::PasswordInput{account.config().username, account.kept_password().clone()};
      order.password_from_source = account.kept_password().empty();
      break;
  }
  return order;
}

bool Refresher::under_way(const Account& account) const {
  const auto plan = plans_.find(account.name());
  return plan != plans_.end() && plan->second->flight.has_value();
}

bool Refresher::start(Account& account, Reason reason) {
  if (stopped_) return false;
  if (!mutated(Mutation::kTwoFlights) && (under_way(account) || attach_own_flight(account))) return true;
  const BootTime now = clock_.boot();
  const bool ordered = reason == Reason::kOrdered;
  if (!ordered && account.attempts.not_before && *account.attempts.not_before > now) return false;
  if (!ordered && account.attempts.paused_until && *account.attempts.paused_until > now) return false;
  if (!ordered && held_until(account).value_or(now) > now) return false;
  auto order = make_order(account, ordered);
  if (!order) return false;

  auto flight = std::make_unique<Flight>();
  flight->id = next_id_++;
  flight->config = account.shared_config();
  flight->sign_in = account.sign_in();
  flight->generation = account.generation();
  flight->rotates = order->rotates;
  flight->resend = order->resend_slot.has_value();
  flight->by_password = std::holds_alternative<oauth::PasswordInput>(order->input);
  flight->began = clock_.wall();
  flight->began_boot = clock_.boot();
  if (const account::Live* live = account.live(); live != nullptr && !flight->by_password) {
    flight->refresh_token = live->tokens.refresh_token.clone();
    flight->refresh_expires_at = live->tokens.refresh_expires_at;
    flight->scope = live->tokens.scope;
  }
  if (const account::Live* live = account.live(); live != nullptr) {  // whose it is: that holds for every way to renew
    flight->id_token = live->tokens.id_token.clone();
    flight->extra = live->tokens.extra;
    flight->subject = live->tokens.subject;
  }
  const std::uint64_t id = flight->id;
  plans_.at(account.name())->flight = id;
  plans_.at(account.name())->due.cancel();
  flights_of_.emplace(account.name(), id);
  flights_.emplace(id, std::move(flight));
  ++counters_.started;
  if (flights_changed_) flights_changed_();
  exchanger_.run(std::move(*order), [this, id](Exchanged e) { exchanged(id, std::move(e)); });
  return true;
}

// --- what came of it ----------------------------------------------------------------------------------------------

void Refresher::exchanged(std::uint64_t id, Exchanged exchanged) {
  Flight& flight = *flights_.at(id);
  if (auto* failure = std::get_if<oauth::Failure>(&exchanged.outcome)) {
    ++counters_.failed;
    failed(flight, *failure, exchanged.slot);
    return end(id, Ended{false, failure->words});
  }
  Candidate candidate;
  candidate.tokens = std::move(std::get<account::TokenSet>(exchanged.outcome));
  candidate.stranger = !oauth::same_subject(flight.id_token.expose(), candidate.tokens.id_token.expose());
  if (candidate.stranger) {
    refuse_stranger(flight);
  } else {
    complete(flight, candidate.tokens);
  }
  candidate.config = flight.config;
  candidate.sign_in = flight.sign_in;
  candidate.replaces = flight.generation;
  candidate.order = std::move(exchanged.order);
  candidate.slot = exchanged.slot;
  candidate.clock_offset = exchanged.clock_offset;
  candidate.password_used = flight.by_password;
  const bool stranger = candidate.stranger;
  if (mutated(Mutation::kLoseStoredAnswer) && candidate.slot && candidate.replaces % 3 == 2)
    return end(id, Ended{false, "lost"});
  installer_.place(std::move(candidate), [this, id, stranger, slot = exchanged.slot](Placed placed, std::string words) {
    Flight& f = *flights_.at(id);
    Account* account = accounts_.find(f.config->name);
    if (placed == Placed::kInstalled) {
      ++counters_.installed;
      account::Attempts fresh;
      fresh.last_on_demand = account->attempts.last_on_demand;
      fresh.rejected = account->attempts.rejected;
      fresh.rejected_generation = account->attempts.rejected_generation;
      account->attempts = fresh;
      log::write(log::Level::kInfo, message_id::kRefreshed.id, "refreshed",
                 {{"ACCOUNT", account->name()}, {"GENERATION", std::to_string(account->generation())}});
      if (observer_) observer_(*account, {});
      resume_client(*account);
    } else if (placed == Placed::kNotStored && !stranger) {
      not_stored(f, words, slot);
    }
    end(id, Ended{placed == Placed::kInstalled, std::move(words)});
  });
}

// What came is lost, and the provider may have replaced what was sent: as if the answer had never arrived.
void Refresher::not_stored(Flight& flight, const std::string& why, std::optional<store::SlotId> slot) {
  oauth::Failure failure;
  failure.failure_class = oauth::FailureClass::kAmbiguous;
  failure.code = "not-stored";
  failure.words = "the new tokens could not be stored: " + why;
  failure.sent = true;
  ++counters_.failed;
  failed(flight, failure, slot);
}

// The ID token of the answer speaks of somebody else (OpenID Connect Core, 12.2). Served under this account's name their
// access token would let programs act as the wrong person, so nothing of the answer is used. What was there is kept: an
// access token that is still good, and a refresh token that the provider may or may not have replaced; a person decides.
void Refresher::refuse_stranger(Flight& flight) {
  oauth::Failure failure;
  failure.failure_class = oauth::FailureClass::kNeedsLogin;
  failure.code = "other-subject";
  failure.words = "the provider answered a refresh with the tokens of somebody else; they were not used";
  failure.sent = true;
  ++counters_.failed;
  Account* account = accounts_.find(flight.config->name);
  const bool ours = account != nullptr && account->config().identity == flight.config->identity &&
                    account->sign_in() == flight.sign_in;
  if (ours) accounts_.set_unknown(*account, std::nullopt);  // the slot goes with the strange tokens
  failed(flight, failure, std::nullopt);
}

// What the answer left out stays as it was (RFC 6749, 5.1 and 6), and so does whose the grant is: the answer to a refresh
// may name them otherwise than userinfo or the ID token did at the sign-in.
void Refresher::complete(Flight& flight, account::TokenSet& tokens) const {
  const provider::Refresh& rules = flight.config->profile->refresh;
  const bool carried = tokens.refresh_token.empty() && !flight.refresh_token.empty();
  if (carried) {
    tokens.refresh_token = flight.refresh_token.clone();
    if (!tokens.refresh_expires_at && !rules.idle_life) tokens.refresh_expires_at = flight.refresh_expires_at;
  }
  // One that says nothing must not end the comparison for good.
  if (!oauth::subject_of(tokens.id_token.expose())) tokens.id_token = flight.id_token.clone();
  if (!flight.subject.empty()) tokens.subject = flight.subject;
  tokens.extra.insert(flight.extra.begin(), flight.extra.end());  // realmId and its like come once, in the callback
  if (tokens.scope.empty()) tokens.scope = flight.scope.empty() ? flight.config->scopes : flight.scope;
  if (tokens.refresh_token.empty() || tokens.refresh_expires_at) return;
  if (rules.idle_life) tokens.refresh_expires_at = saturating_add(tokens.obtained_at, *rules.idle_life);
  if (rules.absolute_life && flight.refresh_expires_at) {
    tokens.refresh_expires_at = std::min(tokens.refresh_expires_at.value_or(kWallMax), *flight.refresh_expires_at);
  } else if (rules.absolute_life && !tokens.refresh_expires_at) {
    tokens.refresh_expires_at = saturating_add(tokens.obtained_at, *rules.absolute_life);
  }
}

void Refresher::failed(Flight& flight, const oauth::Failure& failure, std::optional<store::SlotId> slot) {
  Account* account = accounts_.find(flight.config->name);
  const bool ours = account != nullptr && account->config().identity == flight.config->identity &&
                    account->sign_in() == flight.sign_in;
  Situation situation;
  situation.rotates = flight.rotates;
  situation.resend = flight.resend;
  const auto& overlap = flight.config->profile->refresh.overlap;
  // The overlap counts from when the refresh token was first sent: the provider may have replaced it then. What was sent
  // again within it was no risk. A wall clock that was set back says nothing.
  const bool again = ours && flight.resend && account->unknown();
  const WallTime first_sent = again ? account->unknown()->sent_at : flight.began;
  const Duration since = again ? flight.began - account->unknown()->sent_at : clock_.boot() - flight.began_boot;
  if (overlap && since >= Duration::zero() && since < *overlap) situation.overlap = overlap;
  if (ours) {
    situation.unclear_before = account->attempts.unclear;
    if (account->attempts.untrusted_since) situation.untrusted_for = clock_.wall() - *account->attempts.untrusted_since;
  }
  const Verdict verdict = judge(failure, situation);
  const account::UnknownOutcome unknown{slot.value_or(0), flight.began, flight.resend ? 1U : 0U};
  const bool parked = slot && !ours && !verdict.outcome_known && parked_unknown_ &&
                      parked_unknown_(flight.config->name, flight.config->identity, flight.generation, unknown);
  if (slot && !parked && (verdict.outcome_known || !ours)) {
    if (ours) accounts_.set_unknown(*account, std::nullopt);
    installer_.give_back(flight.config->name, slot);
  } else if (slot && ours) {
    const unsigned resends = account->unknown() ? account->unknown()->resends + 1 : 0;
    accounts_.set_unknown(*account, account::UnknownOutcome{*slot, first_sent, resends});
    // No answer will come: the room is others' until it is sent once more. Else a provider that loses answers would in time
    // hold all of it, and no grant that rotates could be renewed anywhere.
    store_.apply(store::FreeRoom{account->name(), *slot}, [](Result<store::Ids>) {});
  }
  if (ours) apply(*account, flight, failure, verdict);
}

void Refresher::apply(Account& account, Flight& flight, const oauth::Failure& failure, const Verdict& verdict) {
  account::Attempts& attempts = account.attempts;
  const WallTime wall = clock_.wall();
  const BootTime boot = clock_.boot();
  ++attempts.failures;
  attempts.unclear = failure.failure_class == oauth::FailureClass::kUnclear ? attempts.unclear + 1 : 0;
  if (failure.failure_class != oauth::FailureClass::kUntrusted)
    attempts.untrusted_since.reset();
  else if (!attempts.untrusted_since)
    attempts.untrusted_since = wall;

  const auto remaining = account.remaining(wall, boot);
  const auto lifetime = account.live() != nullptr ? account.live()->tokens.lifetime() : std::nullopt;
  Duration delay = retry_delay(attempts.failures, lifetime, remaining, random_.unit());
  switch (verdict.next) {
    case Next::kBackOff: break;
    case Next::kNow: delay = Duration::zero(); break;
    case Next::kSoon:
      if (account.unknown() && wall + delay < account.unknown()->sent_at + *flight.config->profile->refresh.overlap)
        break;
      [[fallthrough]];
    case Next::kAtFloor: {
      const Duration floor = lifetime ? floor_of(*lifetime) : Duration::zero();
      delay = std::max(delay, remaining.value_or(Duration::zero()) - floor);
      break;
    }
    case Next::kSlowly:
      delay = failure.failure_class == oauth::FailureClass::kUnclear
                  ? Duration(60s)
                  : suspended_delay(attempts.failures, random_.unit());
      break;
    case Next::kNever: break;
  }
  if (failure.retry_after) delay = std::max(delay, *failure.retry_after);
  attempts.not_before = mutated(Mutation::kNoBackOff) ? boot : boot + delay;
  auto& at_the_earliest = plans_.at(account.name())->at_the_earliest;
  at_the_earliest.reset();
  if (verdict.next != Next::kBackOff && verdict.next != Next::kNow) at_the_earliest = attempts.not_before;
  if (verdict.next == Next::kBackOff && failure.retry_after) at_the_earliest = boot + *failure.retry_after;

  std::string words = failure.words;
  if (verdict.state == State::kNeedsLogin && flight.resend) {
    words +=
        "; the answer to an earlier refresh was lost on the way, so the provider may have replaced the refresh token";
  }
  oauth::Failure told = failure;
  if (flight.by_password && verdict.state == State::kNeedsLogin) told.code = kPasswordRefused;
  if (mutated(Mutation::kDiscardWhenDead) && verdict.state == State::kNeedsLogin) {
    (void)accounts_.take_tokens(account);
    store_.apply(store::Forget{account.name()}, [](Result<store::Ids>) {});
  }
  // The refresh token is given up; that the password could not be tried just now does not bring it back.
  const bool given_up = flight.by_password && account.standing().state == State::kNeedsLogin &&
                        account.live() != nullptr && !account.live()->tokens.refresh_token.empty();
  set_standing(account, given_up ? State::kNeedsLogin : verdict.state, told, std::move(words));
  if (verdict.whole_client) pause_client(account, failure);
}

namespace {

std::string_view message_of(State state) {
  switch (state) {
    case State::kNeedsLogin: return message_id::kNeedsLogin.id;
    case State::kSuspended: return message_id::kSuspended.id;
    default: return message_id::kRetrying.id;
  }
}

}  // namespace

void Refresher::set_standing(Account& account, State state, const oauth::Failure& failure, std::string words) {
  const WallTime now = clock_.wall();
  const bool same_state = account.standing().state == state;
  const bool same_words = account.standing().trouble && account.standing().trouble->words == words;
  account::Standing standing{
      state, same_state ? account.standing().since : now,
      account::Trouble{std::string(oauth::to_string(failure.failure_class)), failure.code, words, now}};
  if (!same_state || !same_words) {
    const auto level = state == State::kRetrying ? log::Level::kWarning : log::Level::kError;
    log::write(level, message_of(state), "refresh failed",
               {{"ACCOUNT", account.name()},
                {"STATE", std::string(to_string(state))},
                {"CLASS", standing.trouble->error_class},
                {"REASON", words}});
    store_.apply(store::SetStanding{account.name(), standing}, [](Result<store::Ids>) {});
    if (observer_) observer_(account, words);
  }
  accounts_.set_standing(account, std::move(standing));
}

namespace {

bool same_client(const Account& a, const Account& b) {
  const config::Account& x = a.config();
  const config::Account& y = b.config();
  return x.client_id == y.client_id && x.client_secret == y.client_secret &&
         oauth::token_origin(*x.profile, x.vars) == oauth::token_origin(*y.profile, y.vars);
}

}  // namespace

void Refresher::pause_client(const Account& origin, const oauth::Failure& failure) {
  for (const auto& [name, account] : accounts_.all()) {
    const bool candidate =
        account.get() != &origin && can_refresh(*account) && account->standing().state != State::kSuspended;
    if (!candidate || !same_client(origin, *account)) continue;
    account->attempts.not_before = origin.attempts.not_before;
    set_standing(*account, State::kSuspended, failure, failure.words);
    plan(*account);
  }
}

// The client works again for one of its accounts: the others need not wait out their slow retries.
void Refresher::resume_client(const Account& origin) {
  if (!any_suspended_) return;
  any_suspended_ = false;
  const std::string client_class(oauth::to_string(oauth::FailureClass::kClient));
  for (const auto& [name, account] : accounts_.all()) {
    any_suspended_ = any_suspended_ || account->standing().state == State::kSuspended;
    const auto& trouble = account->standing().trouble;
    const bool paused =
        account->standing().state == State::kSuspended && trouble && trouble->error_class == client_class;
    if (!paused || account.get() == &origin || !same_client(origin, *account)) continue;
    account->attempts.not_before.reset();
    plan(*account);
  }
}

void Refresher::end(std::uint64_t id, Ended ended) {
  const auto at = flights_.find(id);
  const std::unique_ptr<Flight> flight = std::move(at->second);
  flights_of_.erase({flight->config->name, id});
  flights_.erase(at);
  if (flights_changed_) flights_changed_();
  const auto plan_at = plans_.find(flight->config->name);
  if (plan_at == plans_.end() || plan_at->second->flight != id) return;  // the account left meanwhile
  Plan& plan_of_account = *plan_at->second;
  plan_of_account.flight.reset();
  auto waiting = std::move(plan_of_account.waiting);
  plan_of_account.waiting.clear();
  if (Account* account = accounts_.find(flight->config->name)) plan(*account);
  for (auto& [number, on_end] : waiting)
    on_end(ended);
}

// --- who waits ----------------------------------------------------------------------------------------------------

std::unique_ptr<Refresher::Waiting> Refresher::wait(const Account& account, UniqueFunction<void(const Ended&)> on_end) {
  std::unique_ptr<Waiting> waiting(new Waiting);
  waiting->refresher_ = this;
  waiting->account_ = account.name();
  waiting->id_ = next_id_++;
  plans_.at(account.name())->waiting.emplace(waiting->id_, std::move(on_end));
  return waiting;
}

Refresher::Waiting::~Waiting() {
  const auto plan = refresher_->plans_.find(account_);
  if (plan != refresher_->plans_.end()) plan->second->waiting.erase(id_);
}

bool Refresher::take_allowance(Account& account) {
  if (until_allowance(account) > Duration::zero() && !mutated(Mutation::kNoAllowance)) return false;
  account.attempts.last_on_demand = clock_.boot();
  return true;
}

Duration Refresher::until_allowance(const Account& account) const {
  if (!account.attempts.last_on_demand) return Duration::zero();
  const auto lifetime = account.live() != nullptr ? account.live()->tokens.lifetime() : std::nullopt;
  return std::max(Duration::zero(), *account.attempts.last_on_demand + on_demand_interval(lifetime) - clock_.boot());
}

void Refresher::note_rejected(Account& account) {
  account::Attempts& attempts = account.attempts;
  if (attempts.rejected_generation == account.generation()) return;
  const bool in_a_row = attempts.rejected_generation + 1 == account.generation();
  attempts.rejected = in_a_row ? attempts.rejected + 1 : 1;
  attempts.rejected_generation = account.generation();
  if (attempts.rejected < kRejectedInARow) return;
  attempts.rejected = 0;
  account.attempts.paused_until = clock_.boot() + kRejectedPause;
  oauth::Failure failure;
  failure.failure_class = oauth::FailureClass::kTransient;
  failure.code = "rejected";
  set_standing(account, State::kRetrying, failure,
               "the API refused three fresh tokens in a row; is this account allowed to use it, with these scopes?");
}

void Refresher::note_used(Account& account) {
  const auto plan_at = plans_.find(account.name());
  if (plan_at == plans_.end() || plan_at->second->flight || plan_at->second->due.when()) return;
  plan(account);
}

// --- when ---------------------------------------------------------------------------------------------------------

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
  any_suspended_ = any_suspended_ || account.standing().state == State::kSuspended;
  auto& plan_slot = plans_[account.name()];
  if (!plan_slot) {
    plan_slot = std::make_unique<Plan>(agenda_, [this, &account] { on_due(account); });
  }
  detach_foreign_flight(account, *plan_slot);
  plan(account);
}

// A refresh of another grant than the account has now goes on alone: its answer finds its place by itself.
void Refresher::detach_foreign_flight(const Account& account, Plan& plan) {
  if (!plan.flight) return;
  const Flight& flight = *flights_.at(*plan.flight);
  if (flight.config->identity == account.config().identity && flight.sign_in == account.sign_in()) return;
  plan.flight.reset();
  auto waiting = std::move(plan.waiting);
  plan.waiting.clear();
  for (auto& [number, on_end] : waiting)
    on_end(Ended{false, "the account changed"});
}

// The configuration changed to another grant and back while a refresh of this one was under way: it is ours again, and
// its refresh token must not be sent a second time.
bool Refresher::attach_own_flight(const Account& account) {
  if (mutated(Mutation::kForgetOwnFlight)) return false;
  for (auto at = flights_of_.lower_bound({account.name(), 0}); at != flights_of_.end() && at->first == account.name();
       ++at) {
    const Flight& flight = *flights_.at(at->second);
    const bool ours = flight.config->identity == account.config().identity && flight.sign_in == account.sign_in() &&
                      flight.generation == account.generation();
    if (!ours) continue;
    plans_.at(account.name())->flight = at->second;
    return true;
  }
  return false;
}

// A refresh token whose last outcome is unknown is not sent again before its time, whatever else got better: a client
// that works again, a reload, an edit.
std::optional<BootTime> Refresher::held_until(const Account& account) const {
  const auto plan = plans_.find(account.name());
  if (!account.unknown() || plan == plans_.end()) return std::nullopt;
  return plan->second->at_the_earliest;
}

void Refresher::on_due(Account& account) {
  // Promises made since it was planned may have put it off.
  const auto when = due(account, clock_.wall(), clock_.boot());
  const bool still_due = when && *when <= clock_.boot();
  if (!still_due || !start(account, Reason::kPlanned)) plan(account);
}

void Refresher::plan(Account& account) {
  Plan& plan = *plans_.at(account.name());
  if (plan.flight) return;
  auto when = due(account, clock_.wall(), clock_.boot());
  if (when) when = std::max(*when, held_until(account).value_or(*when));
  const bool forgotten = mutated(Mutation::kForgetPlan) && account.generation() > 2;
  when && !stopped_ && !forgotten ? plan.due.set(*when) : plan.due.cancel();
}

std::optional<BootTime> Refresher::next_attempt(const Account& account) const {
  const BootTime now = clock_.boot();
  if (!plans_.contains(account.name())) return std::nullopt;  // it is leaving the configuration
  if (under_way(account)) return now;
  if (!can_refresh(account)) return std::nullopt;
  BootTime when = now;
  if (account.attempts.not_before) when = std::max(when, *account.attempts.not_before);
  if (account.attempts.paused_until) when = std::max(when, *account.attempts.paused_until);
  return std::max(when, held_until(account).value_or(when));
}

std::optional<BootTime> Refresher::planned(const Account& account) const {
  const auto plan = plans_.find(account.name());
  return plan == plans_.end() ? std::nullopt : plan->second->due.when();
}

void Refresher::resume_unknown(Account& account, account::UnknownOutcome unknown) {
  accounts_.set_unknown(account, unknown);
  store_.apply(store::FreeRoom{account.name(), unknown.slot}, [](Result<store::Ids>) {});
  const auto& overlap = account.config().profile->refresh.overlap;
  // A clock that was set back since says nothing.
  const Duration since = clock_.wall() - unknown.sent_at;
  const bool within_overlap = overlap && since >= Duration::zero() && since < *overlap;
  Duration delay = Duration::zero();
  if (unknown.resends > 0) {
    oauth::Failure lost;
    lost.failure_class = oauth::FailureClass::kAmbiguous;
    lost.code = "lost";
    set_standing(
        account, State::kNeedsLogin, lost,
        "the answer to a refresh was lost when credsyncd ended, and once more after that; the provider may have replaced the refresh token");
  } else if (!within_overlap) {
    const auto lifetime = account.live() != nullptr ? account.live()->tokens.lifetime() : std::nullopt;
    const auto remaining = account.remaining(clock_.wall(), clock_.boot());
    if (lifetime && remaining) delay = std::max(Duration::zero(), *remaining - floor_of(*lifetime));
  }
  account.attempts.failures = std::max(account.attempts.failures, 1U);
  account.attempts.not_before = clock_.boot() + delay;
  plans_.at(account.name())->at_the_earliest = account.attempts.not_before;
  plan(account);
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
    if (account->standing().state != State::kSuspended) continue;
    account->attempts.not_before.reset();
    plan(*account);
  }
}

void Refresher::retry_mended(Account& account) {
  account.attempts = account::Attempts{};
  const auto& trouble = account.standing().trouble;
  if (trouble && trouble->code == kPasswordRefused) {
    account::Standing standing = account.standing();
    standing.trouble.reset();
    store_.apply(store::SetStanding{account.name(), standing}, [](Result<store::Ids>) {});
    accounts_.set_standing(account, std::move(standing));
  }
  plan(account);
}

}  // namespace credsync::refresh
