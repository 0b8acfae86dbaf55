#include "daemon/retire/retirer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/fail_point.h"
#include "base/log.h"
#include "base/message_ids.h"
#include "base/mutation.h"
#include "daemon/config/config.h"
#include "daemon/oauth/token_request.h"
#include "daemon/retire/plan.h"

namespace credsync::retire {

namespace {

constexpr Duration kEraseAgain = 1min;  // a disk that fails or is full

}  // namespace

struct Retirer::Item {
  Item(store::Retirement r, Agenda& agenda, std::function<void()> on_time)
      : retirement(std::move(r)), wake(agenda, std::move(on_time)) {}
  store::Retirement retirement;
  Agenda::Entry wake;
  bool at_work = false;
  bool ready = false;  // waits for its turn …
  std::string line;    // … in this one; under way: of this one
};

Retirer::Retirer(account::Accounts& accounts, store::TokenStore& store, oauth::TokenEndpoint& endpoint, Agenda& agenda,
                 const Clock& clock, Random& random)
    : accounts_(accounts), store_(store), endpoint_(endpoint), agenda_(agenda), clock_(clock), random_(random) {}
Retirer::~Retirer() = default;

void Retirer::add(std::vector<store::Retirement> retirements) {
  for (store::Retirement& r : retirements) {
    const std::int64_t id = r.id;
    auto item = std::make_unique<Item>(std::move(r), agenda_, [this, id] { due(id); });
    Item& added = *item;
    leave_queue(id);
    queue_.emplace(id, std::move(item));
    of_accounts_.emplace(added.retirement.account, id);
    schedule(added);
  }
}

void Retirer::leave_queue(std::int64_t id) {
  const auto at = queue_.find(id);
  if (at == queue_.end()) return;
  of_accounts_.erase({at->second->retirement.account, id});
  queue_.erase(at);
}

template <typename Use>
void Retirer::each_of(std::string_view account, Use use) const {
  auto at = of_accounts_.lower_bound({account, std::numeric_limits<std::int64_t>::min()});
  for (; at != of_accounts_.end() && at->first == account; ++at)
    use(queue_.at(at->second)->retirement);
}

void Retirer::schedule(Item& item) {
  if (stopped_ || item.at_work) return;
  const Duration wait = item.retirement.not_before - clock_.wall();
  item.wake.set(clock_.boot() + std::max(Duration::zero(), wait));
}

void Retirer::replan() {
  for (auto& [id, item] : queue_)
    schedule(*item);
}

void Retirer::due(std::int64_t id) {
  Item& item = *queue_.at(id);
  if (!std::exchange(item.ready, true)) {  // it may have been planned anew while it waited
    item.line = provider_of(item.retirement);
    Line& line = lines_[item.line];
    (item.retirement.by_sign_out ? line.of_sign_outs : line.others).push_back(id);
  }
  next();
}

void Retirer::next() {
  while (!stopped_ && under_way_ < kAtOnce) {
    const auto id = take_next();
    if (!id) return;
    const auto at = queue_.find(*id);
    if (at == queue_.end()) continue;
    at->second->ready = false;
    if (!at->second->at_work) revoke(*id);
  }
}

// What was signed out of first, and each provider in its turn.
std::optional<std::int64_t> Retirer::take_next() {
  std::erase_if(lines_, [](const auto& entry) { return entry.second.idle(); });
  for (auto queue : {&Line::of_sign_outs, &Line::others}) {
    auto at = lines_.upper_bound(last_turn_);
    for (std::size_t tried = 0; tried < lines_.size(); ++tried, ++at) {
      if (at == lines_.end()) at = lines_.begin();
      std::deque<std::int64_t>& waiting = at->second.*queue;
      if (waiting.empty() || !at->second.has_room()) continue;
      last_turn_ = at->first;
      const std::int64_t id = waiting.front();
      waiting.pop_front();
      return id;
    }
  }
  return std::nullopt;
}

// As its account says, else where it is revoked.
std::string Retirer::provider_of(const store::Retirement& r) const {
  if (const account::Account* account = accounts_.find(r.account)) return account->config().provider;
  const auto order = oauth::parse_revocation_order(r.order);
  return order ? order->url : "";
}

// The account's present secrets are better than stored ones, as long as it is the same grant.
std::shared_ptr<const config::Account> Retirer::present_config(const store::Retirement& r) const {
  const account::Account* account = accounts_.find(r.account);
  if (account == nullptr || account->config().identity != r.identity) return nullptr;
  return account->config().profile->revoke.how == provider::RevokeHow::kNone ? nullptr : account->shared_config();
}

// A provider may give the same access token again: queued twice, it waits for the promises of both.
std::optional<WallTime> Retirer::held_elsewhere(const store::Retirement& r) const {
  std::optional<WallTime> until;
  each_of(r.account, [&](const store::Retirement& other) {
    if (other.id == r.id || other.attempts > 0) return;
    if (other.not_before > clock_.wall() && same_secret(other.token, r.token)) until = other.not_before;
  });
  return until;
}

void Retirer::revoke(std::int64_t id) {
  const store::Retirement& r = queue_.at(id)->retirement;
  const account::Account* account = accounts_.find(r.account);
  const account::Live* live = account != nullptr ? account->live() : nullptr;
  if (live != nullptr && holds(*live, r.token) && !mutated(Mutation::kRevokeCurrent))
    return over(id, false, "the provider gave the same token again");
  if (clock_.wall() >= r.give_up_at) return over(id, false, "it has ended by itself");
  if (const auto later = r.by_sign_out ? std::nullopt : held_elsewhere(r)) {
    queue_.at(id)->retirement.not_before = *later;
    return schedule(*queue_.at(id));
  }
  auto config = present_config(r);
  if (config == nullptr && r.order.empty()) return over(id, false, "there is no way to revoke it");
  oauth::RevokeCall call;
  call.account = std::move(config);
  call.order = r.order.clone();
  call.kind = r.kind == store::RetiredKind::kAccess ? oauth::TokenKind::kAccess : oauth::TokenKind::kRefresh;
  call.token = r.token.clone();
  queue_.at(id)->at_work = true;
  CREDSYNC_FAIL_POINT("revoke.sending");
  ++under_way_;
  ++lines_[queue_.at(id)->line].under_way;
  endpoint_.revoke(std::move(call), [this, id, line = queue_.at(id)->line](oauth::RevocationOutcome outcome) {
    --under_way_;
    Line& of = lines_.at(line);
    --of.under_way;
    of.silent = outcome.result == oauth::RevocationResult::kRetry && outcome.failure.status == 0;
    answered(id, outcome);
    next();
  });
}

namespace {

bool asks_for_a_client(const oauth::RevocationOutcome& outcome) {
  constexpr int kUnauthorized = 401, kForbidden = 403;
  return outcome.failure.status == kUnauthorized || outcome.failure.status == kForbidden;
}

// A personal access token without a client: nobody can mend what a server asks for that revokes for clients only.
bool has_no_client(const store::Retirement& r) {
  const auto order = oauth::parse_revocation_order(r.order);
  return order && order->client_id.empty();
}

}  // namespace

void Retirer::answered(std::int64_t id, const oauth::RevocationOutcome& outcome) {
  Item& item = *queue_.at(id);
  CREDSYNC_FAIL_POINT("revoke.answered");
  item.at_work = false;
  store::Retirement& r = item.retirement;
  if (outcome.result == oauth::RevocationResult::kDone) return over(id, true, "revoked");
  if (outcome.result == oauth::RevocationResult::kRefused) return over(id, false, outcome.failure.words);
  if (asks_for_a_client(outcome) && has_no_client(r)) return over(id, false, outcome.failure.words);
  if (mutated(Mutation::kRevokeOnce)) return over(id, false, outcome.failure.words);
  ++counters_.retried;
  ++r.attempts;
  Duration delay = kFirstRetry;
  for (unsigned i = 1; i < r.attempts && delay < kLongestRetry; ++i)
    delay *= 2;
  delay = std::min(delay, kLongestRetry);
  delay = Duration(static_cast<Duration::rep>(static_cast<double>(delay.count()) * (0.5 + 0.5 * random_.unit())));
  if (outcome.failure.retry_after) delay = std::max(delay, *outcome.failure.retry_after);
  r.not_before = saturating_add(clock_.wall(), delay);
  log::info("revoking is to be tried again", {{"ACCOUNT", r.account},
                                              {"GENERATION", std::to_string(r.generation)},
                                              {"ATTEMPTS", std::to_string(r.attempts)},
                                              {"REASON", outcome.failure.words}});
  store_.apply(store::RetirementTried{id, r.attempts, r.not_before},
               [](Result<store::Ids>) { CREDSYNC_FAIL_POINT("revoke.put-off"); });
  schedule(item);
}

void Retirer::over(std::int64_t id, bool revoked, std::string_view why) {
  const store::Retirement& r = queue_.at(id)->retirement;
  revoked ? ++counters_.revoked : ++counters_.given_up;
  const bool ended = !revoked && clock_.wall() >= r.give_up_at;
  if (!revoked && !ended && r.by_sign_out) ++unrevoked_[r.account];
  // What dies by itself, or could not be revoked anyway, is nothing to act on; a refusal leaves a token alive out there.
  const auto level = revoked || ended ? log::Level::kInfo : log::Level::kWarning;
  log::write(level, revoked ? message_id::kRevoked.id : message_id::kUnrevoked.id,
             revoked ? "revoked" : "erased without revocation",
             {{"ACCOUNT", r.account},
              {"GENERATION", std::to_string(r.generation)},
              {"KIND", r.kind == store::RetiredKind::kAccess ? "access" : "refresh"},
              {"REASON", std::string(why)}});
  if (observer_) observer_(r, revoked, why);
  leave_queue(id);
  erase(id);
}

// Until the store has done it: a token that is over is not kept.
void Retirer::erase(std::int64_t id) {
  store_.apply(store::RetirementOver{id}, [this, id](Result<store::Ids> erased) {
    CREDSYNC_FAIL_POINT("revoke.erased");
    if (erased) return void(unerased_.erase(id));
    auto& again = unerased_[id];
    if (!again) again = std::make_unique<Agenda::Entry>(agenda_, [this, id] { erase(id); });
    again->set(clock_.boot() + kEraseAgain);
  });
}

Retirer::Pending Retirer::pending(std::string_view account) const {
  Pending pending;
  each_of(account, [&](const store::Retirement& r) {
    ++pending.count;
    if (!pending.next || r.not_before < *pending.next) pending.next = r.not_before;
  });
  return pending;
}

unsigned Retirer::unrevoked(std::string_view account) const {
  const auto at = unrevoked_.find(account);
  return at == unrevoked_.end() ? 0 : at->second;
}

}  // namespace credsync::retire
