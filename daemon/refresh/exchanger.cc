#include "daemon/refresh/exchanger.h"

#include <algorithm>

#include "base/fail_point.h"
#include "base/mutation.h"

namespace credsync::refresh {
namespace {

constexpr Duration kSlotWait = 200ms;  // until a transaction under way frees a slot
constexpr const char* kTooLate =
    "the refresh token may have been replaced; it is sent again when the present token is nearly over";

oauth::Failure failure_not_sent(std::string code, std::string words) {
  oauth::Failure failure;
  failure.failure_class = oauth::FailureClass::kNotSent;
  failure.code = std::move(code);
  failure.words = std::move(words);
  return failure;
}

EndpointGate::Outcome outcome_for_gate(const oauth::TokenOutcome& outcome) {
  const auto* failure = std::get_if<oauth::Failure>(&outcome);
  if (failure == nullptr || (failure->status != 0 && failure->status < 500)) return EndpointGate::Outcome::kAnswered;
  return failure->code == "deadline" ? EndpointGate::Outcome::kTimedOut : EndpointGate::Outcome::kOther;
}

}  // namespace

struct Exchanger::Gate {
  Gate(Agenda& agenda, std::function<void()> on_time) : gate(std::nullopt), wake(agenda, std::move(on_time)) {}
  EndpointGate gate;
  Agenda::Entry wake;
  std::map<std::string, double> rates;  // by profile: of several that lead to one endpoint the lowest counts
  bool queued = false;                  // in unproven_queue_
};

struct Exchanger::Running {
  Running(ExchangeOrder o, UniqueFunction<void(Exchanged)> d) : order(std::move(o)), done(std::move(d)) {}
  ExchangeOrder order;
  UniqueFunction<void(Exchanged)> done;
  Gate* gate = nullptr;
  std::unique_ptr<EndpointGate::Place> place;
  std::unique_ptr<Agenda::Entry> slot_wait;
  std::optional<store::SlotId> slot;
  bool inside = false;    // the gate let us in
  bool unproven = false;  // … and it had proven nothing then
  bool sent = false;      // handed to the endpoint
  Duration clock_offset{0};
  WallTime sent_at;
};

Exchanger::Exchanger(oauth::TokenEndpoint& endpoint, store::TokenStore& store, Agenda& agenda, const Clock& clock,
                     unsigned workers)
    : endpoint_(endpoint), store_(store), agenda_(agenda), clock_(clock), most_unproven_(std::max(1U, workers / 2)) {}
Exchanger::~Exchanger() {
  running_.clear();  // their places before the gates
}

std::uint64_t Exchanger::run(ExchangeOrder order, UniqueFunction<void(Exchanged)> done) {
  const std::uint64_t id = next_id_++;
  auto running = std::make_unique<Running>(std::move(order), std::move(done));
  Gate& gate = gate_of(*running->order.account);
  running->gate = &gate;
  running->place = gate.gate.wait(running->order.urgency, [this, id] { enter(id); });
  running_.emplace(id, std::move(running));
  gate.wake.set(clock_.boot());  // from the agenda, so that `done` never runs inside run()
  return id;
}

void Exchanger::renumber(std::uint64_t exchange, account::Generation generation) {
  if (const auto at = running_.find(exchange); at != running_.end()) at->second->order.generation = generation;
}

Exchanger::Gate& Exchanger::gate_of(const config::Account& account) {
  // An endpoint that discovery will find is known by its issuer.
  std::string origin = oauth::token_origin(*account.profile, account.vars);
  if (origin.empty()) origin = account.profile->issuer;
  const std::string key = origin + " " + account.client_id;
  auto& gate = gates_[key];
  if (!gate) gate = std::make_unique<Gate>(agenda_, [this, key] { pump(*gates_.find(key)->second); });
  // Each time: a reload may have changed it.
  const auto& rate = account.profile->limits.requests_per_second;
  rate ? void(gate->rates[account.provider] = *rate) : void(gate->rates.erase(account.provider));
  std::optional<double> lowest;
  for (const auto& [profile, told] : gate->rates)
    lowest = std::min(told, lowest.value_or(told));
  gate->gate.limit(lowest);
  return *gate;
}

void Exchanger::pump(Gate& gate) {
  const unsigned room = most_unproven_ > unproven_ ? most_unproven_ - unproven_ : 0;
  const unsigned most = gate.gate.proven() || stopped_ ? EndpointGate::kNoBound : room;
  const auto again = gate.gate.admit(clock_.boot(), most);
  if (again) gate.wake.set(*again);
  const bool lacks_room = !again && gate.gate.waiting() > 0 && gate.gate.running() < gate.gate.window() &&
                          !gate.gate.proven() && unproven_ >= most_unproven_;
  if (lacks_room && !gate.queued) {
    gate.queued = true;
    unproven_queue_.push_back(&gate);
  }
  wake_unproven();  // who was woken for room may not have needed it
}

void Exchanger::wake_unproven() {
  if (unproven_queue_.empty() || unproven_ >= most_unproven_) return;
  Gate* next = unproven_queue_.front();
  unproven_queue_.pop_front();
  next->queued = false;
  next->wake.set(clock_.boot());
}

// An exchange is over: its place at the gate, and what it held of what unproven endpoints may have.
void Exchanger::left(Running& running, EndpointGate::Outcome outcome) {
  running.gate->gate.leave(outcome, clock_.boot());
  running.gate->wake.set(clock_.boot());
  if (running.unproven) --unproven_;
  wake_unproven();
}

bool Exchanger::too_late(const Running& running) const {
  return running.order.send_before && clock_.boot() >= *running.order.send_before;
}

void Exchanger::enter(std::uint64_t id) {
  Running& running = *running_.at(id);
  running.inside = true;
  running.unproven = !running.gate->gate.proven();
  if (running.unproven) ++unproven_;
  if (stopped_) return not_sent(id, unavailable("credsyncd is stopping"));
  if (too_late(running)) return not_sent(id, unavailable(kTooLate));
  if (!running.order.rotates || mutated(Mutation::kNoIntent)) return send(id);
  if (!running.order.resend_slot) return reserve(id);
  running.slot = running.order.resend_slot;
  if (mutated(Mutation::kResendUncounted)) return send(id);
  count_resend(id);
}

void Exchanger::count_resend(std::uint64_t id) {
  const Running& running = *running_.at(id);
  store::CountResend count{running.order.account->name, *running.slot, running.order.generation};
  store_.apply(std::move(count), [this, id](Result<store::Ids> counted) {
    CREDSYNC_FAIL_POINT("exchange.resend-counted");
    if (counted) return send(id);
    if (counted.error().code() != ErrorCode::kExhausted || stopped_) return not_sent(id, counted.error());
    wait_for_slot(id, &Exchanger::count_resend);
  });
}

// All slots are taken by answers on their way to the database: rotating grants wait.
void Exchanger::wait_for_slot(std::uint64_t id, void (Exchanger::*again)(std::uint64_t)) {
  Running& running = *running_.at(id);
  running.slot_wait = std::make_unique<Agenda::Entry>(agenda_, [this, id, again] {
    stopped_ ? not_sent(id, unavailable("credsyncd is stopping")) : (this->*again)(id);
  });
  running.slot_wait->set(clock_.boot() + kSlotWait);
}

void Exchanger::reserve(std::uint64_t id) {
  Running& running = *running_.at(id);
  store::Intent intent;
  intent.account = running.order.account->name;
  intent.identity = running.order.account->identity;
  intent.generation = running.order.generation;
  intent.sent_at = clock_.wall();
  store_.begin_rotation(std::move(intent), [this, id](Result<store::SlotId> slot) {
    Running& r = *running_.at(id);
    if (slot) {
      r.slot = *slot;
      if (mutated(Mutation::kSendBeforeIntent)) return;
      return send(id);
    }
    if (slot.error().code() != ErrorCode::kExhausted || stopped_) return not_sent(id, slot.error());
    wait_for_slot(id, &Exchanger::reserve);
  });
  if (mutated(Mutation::kSendBeforeIntent)) send(id);
}

void Exchanger::send(std::uint64_t id) {
  Running& running = *running_.at(id);
  if (stopped_) return not_sent(id, unavailable("credsyncd is stopping"));
  if (too_late(running)) return not_sent(id, unavailable(kTooLate));
  running.sent = true;
  running.clock_offset = wall_over_boot(clock_);
  running.sent_at = clock_.wall();
  oauth::TokenCall call;
  call.account = running.order.account;
  call.input = std::move(running.order.input);
  call.fresh_connection = running.order.rotates;
  call.send_before = running.order.send_before;
  if (running.order.rotates) CREDSYNC_FAIL_POINT("exchange.sending");
  call.password_from_source = running.order.password_from_source;
  endpoint_.call(std::move(call), [this, id](oauth::CallResult result) { answered(id, std::move(result)); });
}

void Exchanger::answered(std::uint64_t id, oauth::CallResult result) {
  Running& running = *running_.at(id);
  if (running.order.rotates) CREDSYNC_FAIL_POINT("exchange.answered");
  Gate& gate = *running.gate;
  left(running, outcome_for_gate(result.outcome));
  if (const auto* failure = std::get_if<oauth::Failure>(&result.outcome); failure != nullptr && failure->rate_limited) {
    constexpr Duration kPauseUnasked = 5s;  // a 429 that does not say how long
    gate.gate.pause(clock_.boot() + failure->retry_after.value_or(kPauseUnasked));
  }
  finish(id, Exchanged{std::move(result.outcome), std::move(result.order), running.slot, running.clock_offset,
                       running.sent_at});
}

void Exchanger::not_sent(std::uint64_t id, const Error& error) {
  Running& running = *running_.at(id);
  if (running.inside) left(running, EndpointGate::Outcome::kOther);
  finish(id,
         Exchanged{failure_not_sent(std::string(to_string(error.code())), error.message()), {}, running.slot, {}, {}});
}

void Exchanger::finish(std::uint64_t id, Exchanged exchanged) {
  const auto at = running_.find(id);
  const std::unique_ptr<Running> running = std::move(at->second);
  running_.erase(at);
  running->done(std::move(exchanged));
}

void Exchanger::stop() {
  stopped_ = true;
  for (auto& [key, gate] : gates_)
    gate->wake.set(clock_.boot());
  std::vector<std::uint64_t> outside;
  for (const auto& [id, running] : running_) {
    if (!running->inside) outside.push_back(id);
  }
  for (const std::uint64_t id : outside)
    not_sent(id, unavailable("credsyncd is stopping"));
}

std::map<std::string, Exchanger::GateView> Exchanger::gates() const {
  std::map<std::string, GateView> views;
  for (const auto& [key, gate] : gates_) {
    views[key] = {gate->gate.waiting(), gate->gate.running(), gate->gate.window(),
                  gate->gate.paused_until().has_value()};
  }
  return views;
}

}  // namespace credsync::refresh
