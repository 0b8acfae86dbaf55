#include "daemon/refresh/refresher.h"

#include <algorithm>

#include "base/mutation.h"
#include "daemon/config/config.h"
#include "daemon/refresh/due.h"
#include "daemon/refresh/policy.h"
#include "daemon/refresh/refresher_parts.h"

namespace credsync::refresh {

using account::Account;
using account::State;
using provider::Rotation;

Refresher::Refresher(account::Accounts& accounts, store::TokenStore& store, Exchanger& exchanger, Installer& installer,
                     retire::Parking& parking, Agenda& agenda, const Clock& clock, Random& random)
    : accounts_(accounts),
      store_(store),
      exchanger_(exchanger),
      installer_(installer),
      parking_(parking),
      agenda_(agenda),
      clock_(clock),
      random_(random) {
  accounts_.watch([this](Account& account, account::What what) { changed(account, what); });
}
Refresher::~Refresher() = default;

// --- what can be asked for, and how -------------------------------------------------------------------------------

namespace {

// An account without tokens gives way to those whose tokens end within this, and to no others.
constexpr Duration kNothingYet = 1min;

bool rotates(const provider::Profile& profile) {
  return profile.refresh.rotation != Rotation::kNone;
}

}  // namespace

bool Refresher::can_refresh(const Account& account, bool ordered) const {
  return way_for(account, ordered) != Way::kNone || account.coming_back();
}

std::optional<ExchangeOrder> Refresher::make_order(const Account& account, bool ordered) const {
  ExchangeOrder order;
  order.account = account.shared_config();
  order.generation = account.generation();
  const account::Live* live = account.live();
  if (live == nullptr) {
    order.urgency = saturating_add(clock_.wall(), kNothingYet);
  } else if (live->tokens.expires_at) {
    order.urgency = *live->tokens.expires_at;
  }
  switch (way_for(account, ordered)) {
    case Way::kNone: return std::nullopt;
    case Way::kClientCredentials: order.input = oauth::ClientCredentialsInput{}; break;
    case Way::kAccessToken: order.input = oauth::AccessRefreshInput{live->tokens.access_token.clone()}; break;
    case Way::kRefreshToken:
      order.input = oauth::RefreshInput{live->tokens.refresh_token.clone()};
      order.rotates = rotates(*account.config().profile);
      if (!order.rotates || !account.unknown()) break;
      order.resend_slot = account.unknown()->slot;
      // A person may say that it is sent all the same; so may the floor.
      if (const auto end = overlap_ends(account); end && !ordered && floor_reached(account, clock_.boot()) > *end)
        order.send_before = end;
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
  if (stopped_ || account.coming_back()) return false;
  if (!mutated(Mutation::kTwoFlights) && (under_way(account) || attach_own_flight(account))) return true;
  const BootTime now = clock_.boot();
  const bool ordered = reason == Reason::kOrdered;
  if (!ordered && account.attempts.not_before && *account.attempts.not_before > now) return false;
  if (!ordered && account.attempts.paused_until && *account.attempts.paused_until > now) return false;
  if (!ordered && held_until(account, now).value_or(now) > now) return false;
  auto order = make_order(account, ordered);
  if (!order) return false;

  auto flight = std::make_unique<Flight>();
  flight->id = next_id_++;
  flight->config = account.shared_config();
  flight->sign_in = account.sign_in();
  flight->generation = account.generation();
  flight->rotates = order->rotates;
  flight->resend = order->resend_slot.has_value();
  if (flight->resend) flight->before = *account.unknown();
  flight->by_password = std::holds_alternative<oauth::PasswordInput>(order->input);
  flight->began = clock_.wall();
  flight->began_boot = clock_.boot();
  if (const account::Live* live = account.live(); live != nullptr && !flight->by_password) {
    flight->refresh_token = live->tokens.refresh_token.clone();
    flight->refresh_expires_at = live->tokens.refresh_expires_at;
    flight->scope = live->tokens.scope;
  }
  if (const account::Live* live = account.live(); live != nullptr) {
    flight->access_token = live->tokens.access_token.clone();
    // Whose it is: that holds for every way to renew.
    flight->id_token = live->tokens.id_token.clone();
    flight->extra = live->tokens.extra;
    flight->subject = live->tokens.subject;
  }
  const std::uint64_t id = flight->id;
  plans_.at(account.name())->flight = id;
  plans_.at(account.name())->due.cancel();
  flights_.emplace(id, std::move(flight));
  flights_of_.emplace(account.name(), id);
  ++counters_.started;
  if (flights_changed_) flights_changed_();
  flights_.at(id)->exchange =
      exchanger_.run(std::move(*order), [this, id](Exchanged e) { exchanged(id, std::move(e)); });
  return true;
}

void Refresher::end(std::uint64_t id, Ended ended) {
  const auto at = flights_.find(id);
  const std::unique_ptr<Flight> flight = std::move(at->second);
  flights_.erase(at);
  flights_of_.erase({flight->config->name, id});
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
  // What is wrong already says more: a grant that is given up must not be tried again by this.
  const State state = account.standing().state;
  if (state != State::kOk && state != State::kRetrying) return;
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

}  // namespace credsync::refresh
