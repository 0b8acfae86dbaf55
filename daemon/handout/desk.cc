#include "daemon/handout/desk.h"

#include <algorithm>

#include "base/mutation.h"
#include "daemon/config/config.h"
#include "daemon/refresh/policy.h"

namespace credsync::handout {

using account::Account;
using refresh::Reason;

namespace {

constexpr Duration kAtRestart = 1s;  // a restart takes about that

}  // namespace

// A caller who waits for a refresh. Owned by the front door: its end is the caller's leaving.
class Desk::Wait final : public ipc::Pending {
 public:
  Wait(Desk& desk, std::string account, const ipc::TokenQuery& query, Admits admits, ipc::Reply<ipc::TokenView> reply)
      : desk_(desk),
        account_(std::move(account)),
        min_valid_(query.min_valid),
        admits_(std::move(admits)),
        reply_(std::move(reply)),
        deadline_(desk.clock_.boot() + query.wait),
        timer_(desk.agenda_, [this] { time_is_up(); }) {
    desk_.waits_.insert(this);
    timer_.set(deadline_);
  }
  ~Wait() override { desk_.waits_.erase(this); }

  void begin(const Account& account) {
    waiting_ = desk_.refresher_.wait(account, [this](const refresh::Ended&) { attempt_ended(); });
  }

  void answer_now(bool out_of_time) {
    timer_.cancel();
    waiting_.reset();
    desk_.waits_.erase(this);
    // The reply may destroy this; what it needs is moved out first.
    ipc::Reply<ipc::TokenView> reply = std::move(reply_);
    const Admits admits = std::move(admits_);
    Desk& desk = desk_;
    Account* account = desk.accounts_.find(account_);
    if (account == nullptr) {
      return reply(ipc::Problem{ipc::ProblemKind::kNoSuchAccount, "", "", std::nullopt, {}});
    }
    if (account->usable(desk.clock_.wall(), desk.clock_.boot()))
      return desk.serve(*account, min_valid_, true, admits, reply);
    ipc::Problem problem = no_token(*account, desk.sight());
    if (out_of_time && desk.refresher_.under_way(*account)) {
      ++desk.counters_.timed_out;
      problem.kind = ipc::ProblemKind::kTimeout;
      problem.detail = "the provider has not answered yet";
    }
    if (desk.stopped_ && problem.kind == ipc::ProblemKind::kUnavailable) {
      problem.detail = "the daemon is stopping";
      problem.retry_after = kAtRestart;
      problem.stopping = true;
    }
    reply(std::move(problem));
  }

 private:
  void attempt_ended() {
    Account* account = desk_.accounts_.find(account_);
    const bool over = account == nullptr || account->usable(desk_.clock_.wall(), desk_.clock_.boot()) || desk_.stopped_;
    if (over) return answer_now(false);
    if (account->live() != nullptr) desk_.refresher_.start(*account, Reason::kNeeded);  // what came back may be over
    const auto next = desk_.refresher_.next_attempt(*account);
    if (!next || *next >= deadline_) return answer_now(false);
    begin(*account);  // the next attempt comes in time
  }
  void time_is_up() { answer_now(true); }

  Desk& desk_;
  const std::string account_;
  const Duration min_valid_;
  Admits admits_;
  ipc::Reply<ipc::TokenView> reply_;
  const BootTime deadline_;
  Agenda::Entry timer_;
  std::unique_ptr<refresh::Refresher::Waiting> waiting_;
};

// Somebody who wants to know how an attempt ended, whatever came of it.
class Desk::AttemptWait final : public ipc::Pending {
 public:
  AttemptWait(Desk& desk, const Account& account, Duration wait, UniqueFunction<void()> then)
      : then_(std::move(then)), timer_(desk.agenda_, [this] { end(); }) {
    timer_.set(desk.clock_.boot() + wait);
    waiting_ = desk.refresher_.wait(account, [this](const refresh::Ended&) { end(); });
  }

 private:
  void end() {
    timer_.cancel();
    waiting_.reset();
    UniqueFunction<void()> then = std::move(then_);
    then();
  }
  UniqueFunction<void()> then_;
  Agenda::Entry timer_;
  std::unique_ptr<refresh::Refresher::Waiting> waiting_;
};

Desk::Desk(account::Accounts& accounts, refresh::Refresher& refresher, const retire::Retirer& retirer,
           store::TokenStore& store, Agenda& agenda, const Clock& clock)
    : accounts_(accounts),
      refresher_(refresher),
      retirer_(retirer),
      store_(store),
      agenda_(agenda),
      clock_(clock),
      promises_(accounts, store, agenda, clock) {}

// Starts the refresh that the caller's need calls for, if it does and may.
Desk::Need Desk::need(Account& account, Duration min_valid) {
  const BootTime now = clock_.boot();
  const bool usable = account.usable(clock_.wall(), now);
  if (usable && mutated(Mutation::kNoFloor)) return Need::kNone;
  if (usable && mutated(Mutation::kWaitForOthers) && refresher_.under_way(account)) return Need::kRefreshFirst;
  if (usable) {
    const auto lifetime = account.live()->tokens.lifetime();
    const auto remaining = account.remaining(clock_.wall(), now);
    if (!remaining || refresh::good_enough(*lifetime, *remaining, min_valid)) return Need::kNone;
    if (*remaining >= refresh::floor_of(*lifetime)) {  // only min_valid asks for more
      if (refresher_.under_way(account)) return Need::kRefreshFirst;
      if (!refresher_.can_refresh(account) || !refresher_.take_allowance(account)) return Need::kNone;
      return refresher_.start(account, Reason::kWished) ? Need::kRefreshFirst : Need::kNone;
    }
  }
  refresher_.start(account, Reason::kNeeded);
  return Need::kRefreshFirst;
}

std::unique_ptr<ipc::Pending> Desk::token(Account& account, const ipc::TokenQuery& query, Admits admits,
                                          ipc::Reply<ipc::TokenView> reply) {
  if (need(account, query.min_valid) == Need::kNone) {
    serve(account, query.min_valid, false, admits, reply);
    return nullptr;
  }
  const BootTime now = clock_.boot();
  const auto next = refresher_.next_attempt(account);
  const bool in_time = next && *next < now + query.wait && query.wait > Duration::zero() && !stopped_;
  auto wait = std::make_unique<Wait>(*this, account.name(), query, std::move(admits), std::move(reply));
  if (!in_time) {
    wait->answer_now(query.wait == Duration::zero());
    return nullptr;
  }
  ++counters_.waited;
  wait->begin(account);
  return wait;
}

void Desk::serve(Account& account, Duration min_valid, bool waited, const Admits& admits,
                 ipc::Reply<ipc::TokenView>& reply) {
  if (auto problem = admits(account, waited)) return reply(std::move(*problem));
  if (mutated(Mutation::kRefuseInTrouble) && account.standing().state != account::State::kOk)
    return reply(no_token(account, sight()));
  const WallTime wall = clock_.wall();
  const account::Live& live = *account.live();
  const auto remaining = account.remaining(wall, clock_.boot());
  const provider::Delivery& delivery = account.config().profile->delivery;
  ipc::TokenView view;
  view.account = account.name();
  view.access_token = live.tokens.access_token.expose();
  view.token_type = live.tokens.token_type;
  view.expires_at = live.tokens.expires_at;
  view.expires_in = remaining;
  view.scope = &live.tokens.scope;
  view.generation = account.generation();
  view.min_valid_met = !remaining || *remaining >= min_valid;
  view.state = to_string(account.standing().state);
  view.header_name = delivery.header;
  view.header_prefix = delivery.prefix;
  std::vector<std::pair<std::string, std::string>> extra(live.tokens.extra.begin(), live.tokens.extra.end());
  view.extra = &extra;
  view.memo = &accounts_.memo(account);
  promises_.make(account, refresh::promise_of(min_valid, remaining));
  note_use(account, wall);
  ++counters_.handed_out;
  reply(view);
}

void Desk::note_use(Account& account, WallTime now) {
  constexpr Duration kWrittenEvery = 1h;  // it serves windows of days
  accounts_.used(account, now);
  refresher_.note_used(account);
  if (account.use_written && now - *account.use_written < kWrittenEvery) return;
  account.use_written = now;
  store_.apply(store::SetLastUsed{account.name(), now}, [](Result<store::Ids>) {});
}

std::unique_ptr<ipc::Pending> Desk::after_attempt(Account& account, Duration wait, UniqueFunction<void()> then) {
  if (!refresher_.under_way(account) || stopped_) {
    then();
    return nullptr;
  }
  return std::make_unique<AttemptWait>(*this, account, wait, std::move(then));
}

void Desk::stop() {
  stopped_ = true;
  while (!waits_.empty())
    (*waits_.begin())->answer_now(false);
}

}  // namespace credsync::handout
