#include "tests/simulation/judge.h"

#include <algorithm>
#include <utility>

#include "daemon/config/config.h"

namespace credsync::simulation {

using provider::Cascade;
using provider::RevokeHow;
using provider::Rotation;
using store::RetiredKind;

namespace {

constexpr const char* kOneFlight = "1 one flight";
constexpr const char* kPersist = "2 persist, then publish";
constexpr const char* kExpired = "3 nothing expired leaves";
constexpr const char* kRotation = "4 a rotation is never lost to us";
constexpr const char* kFailure = "5 a failure never costs a working token";
constexpr const char* kRetired = "6 superseded means retired";
constexpr const char* kBackfires = "7 revoking never backfires";
constexpr const char* kLate = "8 late results find their place";
constexpr const char* kBounded = "11 everything is bounded";
constexpr const char* kSlow = "12 one slow thing slows nothing else";
constexpr const char* kWhen = "when to refresh";

// Written anew from the design, not taken from the daemon: what it is compared with must not err with it.
Duration floor_of(Duration life) {
  const Duration wanted =
      life <= Duration(60s) ? std::clamp<Duration>(life / 4, 2s, 10s) : std::clamp<Duration>(life / 10, 10s, 60s);
  return std::min(wanted, life / 2);
}
Duration on_demand_every(std::optional<Duration> life) {
  return life ? std::clamp<Duration>(*life / 10, 10s, 5min) : Duration(10s);
}

std::string sent_refresh_token(const oauth::GrantInput& input) {
  const auto* refresh = std::get_if<oauth::RefreshInput>(&input);
  return refresh == nullptr ? std::string() : std::string(refresh->refresh_token.expose());
}

bool may_revoke(const config::Account& config, RetiredKind kind) {
  const provider::Revoke& revoke = config.profile->revoke;
  if (revoke.how == RevokeHow::kNone || config.revoke_superseded == config::RevokeSuperseded::kNever) return false;
  if (kind == RetiredKind::kAccess ? !revoke.access_tokens : !revoke.refresh_tokens) return false;
  if (config.revoke_superseded == config::RevokeSuperseded::kAlways) return true;
  return (kind == RetiredKind::kAccess ? revoke.access_cascade : revoke.refresh_cascade) == Cascade::kNone;
}

}  // namespace

Judge::Judge(const Plan& plan, const Timeline& time, Servers& servers, const fakes::MemoryDisk& disk, Trace& trace)
    : plan_(plan), time_(time), servers_(servers), disk_(disk), trace_(trace) {}

void Judge::demand(bool holds, const char* invariant, const std::string& account, const std::string& words) const {
  ++checks_;
  if (!holds) throw Broken(invariant, account, words);
}

const store::StoredAccount* Judge::row(const std::string& account) const {
  const auto at = disk_.accounts.find(account);
  return at == disk_.accounts.end() ? nullptr : &at->second;
}

// --- people and processes -----------------------------------------------------------------------------------------

void Judge::configured(const std::string& account, std::shared_ptr<const config::Account> config) {
  Known& of = known(account);
  const bool same = of.config != nullptr && config != nullptr && of.config->identity == config->identity;
  if (!same) of.visible.clear();
  of.config = std::move(config);
  of.troubled_at = time_.now();
}

void Judge::started() {
  ++run_;
  started_at_ = time_.now();
  for (auto& [id, r] : queued_)
    r.ended = false;
  offset_at_start_ = time_.offset();
  paused_.clear();
}

void Judge::loaded() {
  excuse_what_was_sent_again();
  for (auto& [name, of] : known_) {
    of.troubled_at = time_.now();
    of.on_demand.clear();
    const store::StoredAccount* stored = row(name);
    if (stored != nullptr) of.promised_by_store = stored->promised_until;
    const bool loaded = stored != nullptr && stored->tokens && of.config != nullptr &&
                        stored->identity == of.config->identity && of.visible.empty();
    if (!loaded) continue;
    of.visible = std::string(stored->tokens->access_token.expose());
    of.by_generation.emplace(stored->generation, of.visible);
    const auto d = delivered_.find(of.visible);
    if (d == delivered_.end() || !d->second.shown) continue;
    if (stored->tokens->expires_at == d->second.expires_at) {
      d->second.shown.reset();
    } else {  // what brought it again was lost
      const Delivered before = *d->second.shown;
      d->second = before;
    }
  }
}

// A resend that was counted, and whose outcome went with the process, counts: a start may give the refresh token up. Not
// while the overlap lasts by the clock that the daemon has, for then the provider takes it still. Of what is parked nobody can say
// when it comes back.
void Judge::excuse_what_was_sent_again() {
  for (const auto& [slot, intent] : disk_.intents) {
    if (intent.resends == 0) continue;
    const store::StoredAccount* stored = row(intent.account);
    const auto& config = known(intent.account).config;
    const Duration overlap =
        config != nullptr ? config->profile->refresh.overlap.value_or(Duration::zero()) : Duration::zero();
    const Duration since = time_.wall() - intent.sent_at;
    const bool lasts = since >= Duration::zero() && since < overlap;
    if (stored != nullptr && stored->tokens && !lasts)
      sends_[std::string(stored->tokens->refresh_token.expose())].given_up_rightly = true;
    for (const auto& [id, grant] : disk_.parked) {
      if (grant.account == intent.account && grant.generation == intent.grant_number())
        sends_[std::string(grant.tokens.refresh_token.expose())].given_up_rightly = true;
    }
  }
}

void Judge::ended(bool crashed) {
  if (dismissed_) return;
  for (const auto& [number, call] : calls_) {
    if (!call.refresh.empty()) {
      Sends& sends = sends_[call.refresh];
      const auto& overlap = call.config->profile->refresh.overlap;
      const bool no_risk = sends.unknown > 0 && overlap && call.sent - sends.first < *overlap;
      if (!no_risk) ++sends.unknown;
      sends.within_overlap = false;
    }
  }
  calls_.clear();
  flying_.clear();
  // An intent without an answer: whether its request left is for nobody to know.
  for (const auto& [slot, intent] : disk_.intents) {
    const store::StoredAccount* stored = row(intent.account);
    const bool answered = std::any_of(disk_.answers.begin(), disk_.answers.end(), [&](const store::Change& change) {
      return std::visit(
          [&](const auto& c) {
            if constexpr (requires { c.slot; }) return c.slot == intent.slot;
            return false;
          },
          change);
    });
    if (answered || stored == nullptr || !stored->tokens || intent.grant_number() != stored->generation) continue;
    Sends& sends = sends_[std::string(stored->tokens->refresh_token.expose())];
    if (sends.unknown == 0) sends.first = time_.now();
    sends.unknown = std::max(sends.unknown, 1U);
  }
  for (auto& [name, of] : known_) {
    of.visible.clear();
  }
  for (auto& [access, promise] : promised_)
    check_promise_kept(access, promise, crashed);
  if (!crashed) return;
  // What was on its way to the disk is gone, and no daemon could have kept it. A machine that sleeps writes nothing.
  for (auto& [access, d] : delivered_)
    d.lost = d.lost || (!d.placed && last_awake() - d.at < Duration(1min));
}

// What is stored ahead must not keep superseded tokens for long. An answer that was in its slot says what held when it came
// there: the clock may have been set since, while no daemon ran.
void Judge::check_promise_short(const std::string& account, WallTime until, std::optional<True> in_slot) const {
  constexpr Duration kLongest = 1h + 10min;
  const bool steady = steady_since(std::min(in_slot.value_or(time_.now()), time_.now() - kLongest));
  demand(until <= time_.wall() + kLongest || !steady, kRetired, account,
         "more is stored of a promise than anybody can have made");
}

// Until when the disk knows the access token to be promised, as the next start will find it: with the answers that are in
// their slots. Nothing: the token is nowhere, and nobody will revoke it.
std::optional<WallTime> Judge::stored_promise(const std::string& access) const {
  std::optional<WallTime> until;
  const auto found = [&](WallTime at) { until = std::max(until.value_or(WallTime()), at); };
  const auto of_answer = [&](const auto& c) {
    if constexpr (requires { c.promised_until; }) {
      if (c.tokens.access_token.expose() == access) found(c.promised_until);
    }
    if constexpr (requires { c.retire; }) {
      for (const store::Retirement& r : c.retire) {
        if (r.token.expose() == access && !r.by_sign_out) found(r.not_before);
      }
    }
  };
  for (const store::Change& answer : disk_.answers)
    std::visit(of_answer, answer);
  for (const auto& [name, a] : disk_.accounts) {
    if (a.tokens && a.tokens->access_token.expose() == access && !replaced_in_slot(name, access))
      found(a.promised_until);
  }
  for (const auto& [id, grant] : disk_.parked) {
    if (grant.tokens.access_token.expose() == access) found(grant.promised_until);
  }
  for (const auto& [id, r] : disk_.retirements) {
    if (r.token.expose() == access && !r.by_sign_out) found(r.not_before);
  }
  return until;
}

// What a caller was promised outlives the process; but for what was promised so lately that no disk could have it.
void Judge::check_promise_kept(const std::string& access, Promise& promise, bool crashed) {
  if (promise.until <= time_.wall() || !steady_since(promise.at)) return;
  const Token* token = servers_.find(access);
  const auto stored = stored_promise(access);
  if (token == nullptr || !stored || *stored >= promise.until - Duration(1ms)) return;
  const std::string& account = servers_.grant_of(*token).account;
  const Duration writing = plan_.faults.disk_latency * 8 + Duration(10ms);
  constexpr Duration kTriedAgain = 5s, kFullDiskIsTried = 60s;
  const True since = std::max(promise.at, awake_since_);
  // A machine that sleeps writes nothing: if it loses its power then, what counts is how long it was awake.
  const True now = last_awake();
  const bool on_its_way = now - since <= writing;
  const auto refused = promise_refused_.find(account);
  const bool failing = refused != promise_refused_.end() && now - refused->second <= kTriedAgain + writing;
  const bool full = disk_full_ || now - disk_full_until_ <= kFullDiskIsTried + writing;
  demand((crashed && on_its_way) || failing || full, kRetired, account,
         "what was promised of " + access + " is not stored");
  promise.until = *stored;
}

// A person may try again what is given up.
void Judge::order_given(const std::string& account) {
  Known& of = known(account);
  of.troubled_at = time_.now();
  if (of.row_refresh.empty()) return;
  Sends& sends = sends_[of.row_refresh];
  if (sends.given_up_rightly) sends.unknown = 0;  // the provider has refused it since
  sends.unknown = std::min(sends.unknown, 1U);
  sends.ordered = sends.unknown > 0;
}

// --- the network --------------------------------------------------------------------------------------------------

void Judge::sent(std::uint64_t number, const oauth::TokenCall& what) {
  Known& of = known(what.account->name);
  Call call;
  call.account = what.account->name;
  call.config = what.account;
  call.refresh = sent_refresh_token(what.input);
  call.sent = time_.now();
  call.offset = time_.offset();
  call.rotates = !call.refresh.empty() && what.account->profile->refresh.rotation != Rotation::kNone;
  call.own = (!call.refresh.empty() && call.refresh == of.row_refresh) ||
             std::holds_alternative<oauth::ClientCredentialsInput>(what.input);
  check_rate(what, call.own);
  check_bounded(of, call.account);
  if (!call.refresh.empty()) {
    const unsigned flying = ++flying_[call.refresh];
    demand(flying == 1, kOneFlight, call.account, "refresh token " + call.refresh + " is sent twice at a time");
    Sends& sends = sends_[call.refresh];
    if (sends.unknown == 0) sends.first = time_.now();
    if (call.rotates && call.own) check_intent(what, call.refresh, sends);
  }
  if (call.own) {
    call.grant = call.account + " " + what.account->identity;
    if (const Token* token = servers_.find(call.refresh)) call.grant += " " + std::to_string(token->grant);
    demand(++flying_[call.grant] == 1, kOneFlight, call.account, "two refreshes of the account at a time");
    check_on_demand(of, *what.account);
  }
  trace_.note(call.account, "sends", call.refresh, static_cast<std::int64_t>(number));
  calls_.emplace(number, std::move(call));
}

void Judge::check_intent(const oauth::TokenCall& what, const std::string& refresh, Sends& sends) {
  const std::string& name = what.account->name;
  const store::StoredAccount* stored = row(name);
  const store::Intent* intent = nullptr;
  for (const auto& [slot, candidate] : disk_.intents) {
    const bool of_row = candidate.account == name && stored != nullptr && candidate.generation <= stored->generation &&
                        candidate.generation > 0 && candidate.identity == what.account->identity;
    if (of_row) intent = &candidate;
  }
  demand(intent != nullptr, kRotation, name, refresh + " rotates and is sent without a durable intent");
  if (sends.unknown == 0) return;
  const Known& of = known(name);
  demand(intent->resends > 0, kRotation, name, refresh + " is sent again, and that was not counted durably");
  const bool ordered = sends.ordered;
  demand(sends.unknown < 2, kRotation, name, refresh + " is sent again more than once");
  const auto& overlap = what.account->profile->refresh.overlap;
  const bool in_overlap = overlap && (time_.now() - sends.first < *overlap || sends.within_overlap);
  if (in_overlap || ordered || !good(of.visible)) return;
  const auto end = end_of(of.visible);
  const auto life = stored->tokens ? stored->tokens->lifetime() : std::nullopt;
  const bool at_floor = !end || !life || *end - time_.now() <= floor_of(*life) + Duration(1ms);
  demand(at_floor, kRotation, name, refresh + " is sent again before the present token is nearly over");
}

void Judge::check_rate(const oauth::TokenCall& what, bool) {
  const config::Account& config = *what.account;
  const std::string key = config.profile->id + " " + config.client_id;
  if (const auto at = paused_.find(key); at != paused_.end()) {
    const auto [since, until] = at->second;
    constexpr Duration kInsideAlready = 15s;  // let in before the 429, and on its way to the disk since
    demand(time_.now() >= until || time_.now() < since + kInsideAlready || plan_.faults.disk_full_every != kNever ||
               plan_.faults.slots < 64,
           kWhen, config.name, "a request is sent although a 429 asked for a pause");
  }
  const auto rate = config.profile->limits.requests_per_second;
  // The gate paces what it lets in; a slow disk lets it go in bunches.
  const bool quick_disk = plan_.faults.disk_latency <= Duration(20ms) && plan_.faults.slots >= 64;
  if (!rate || !quick_disk) return;
  std::vector<True>& posts = posts_[key];
  std::erase_if(posts, [&](True at) { return time_.now() - at >= Duration(1s) || at < started_at_; });
  posts.push_back(time_.now());
  demand(static_cast<double>(posts.size()) <= std::max(1.0, *rate), kWhen, config.name,
         "more requests within a second than the provider allows");
}

void Judge::check_bounded(Known& of, const std::string& account) {
  constexpr std::size_t kMost = 60;  // in ten seconds: the shortest tokens with the worst provider need a quarter of it
  of.sent.push_back(time_.now());
  if (of.sent.size() > kMost) of.sent.erase(of.sent.begin());
  const bool flood = of.sent.size() == kMost && time_.now() - of.sent.front() < Duration(10s);
  demand(!flood, kBounded, account, "requests without an end");
}

// Lifetimes count from the request: what is stored never says more than the provider meant.
void Judge::check_end(const store::Install& install) const {
  const auto d = delivered_.find(std::string(install.tokens.access_token.expose()));
  if (d == delivered_.end() || !install.tokens.expires_at || !steady_since(d->second.sent)) return;
  const Token* token = servers_.find(d->first);
  if (token == nullptr || token->ends == kNever) return;
  demand(*install.tokens.expires_at <= time_.wall_at(token->ends) + Duration(1ms), kExpired, install.account,
         d->first + " is stored with an end that is too late");
}

// Planned refreshes come near the end, retries after failures. What comes earlier was wished for by callers.
void Judge::check_on_demand(Known& of, const config::Account& config) {
  const store::StoredAccount* stored = row(config.name);
  if (stored == nullptr || !stored->tokens || !good(of.visible) || config.profile->refresh.idle_life) return;
  const auto life = stored->tokens->lifetime();
  const auto end = end_of(of.visible);
  if (!life || !end) return;
  Duration margin = *life < Duration(10min) ? *life / 2 : std::min<Duration>(*life / 3, days(7));
  if (config.margin) margin = *config.margin;
  margin = std::clamp(margin, floor_of(*life), std::max(floor_of(*life), *life * 9 / 10));
  const bool planned = *end - time_.now() <= margin * 6 / 5 + Duration(1ms);
  if (planned || of.troubled_at >= of.installed_at) return;
  of.on_demand.push_back(time_.now());
  constexpr std::size_t kMost =
      4;  // within two intervals: what waits at a gate or for the disk may come closer together
  if (of.on_demand.size() > kMost) of.on_demand.erase(of.on_demand.begin());
  const bool too_many = of.on_demand.size() == kMost && time_.now() - of.on_demand.front() < 2 * on_demand_every(life);
  demand(!too_many, kWhen, config.name, "callers cause more requests than their allowance");
}

void Judge::outcome(std::uint64_t number, const oauth::TokenOutcome& outcome) {
  const auto at = calls_.find(number);
  const Call call = at->second;
  calls_.erase(at);
  Known& of = known(call.account);
  if (!call.refresh.empty()) --flying_[call.refresh];
  if (call.own) --flying_[call.grant];
  if (const auto* failure = std::get_if<oauth::Failure>(&outcome)) {
    using oauth::FailureClass;
    trace_.note(call.account, "failure", oauth::to_string(failure->failure_class), failure->status);
    of.troubled_at = time_.now();
    const bool unknown =
        failure->failure_class == FailureClass::kAmbiguous || failure->failure_class == FailureClass::kNoToken;
    if (unknown && !call.refresh.empty()) {
      Sends& sends = sends_[call.refresh];
      const auto& overlap = call.config->profile->refresh.overlap;
      const bool no_risk = sends.unknown > 0 && overlap && call.sent - sends.first < *overlap;
      if (!no_risk) ++sends.unknown;
      sends.within_overlap = overlap && time_.now() - call.sent < *overlap;
    }
    const bool verdict = failure->failure_class == FailureClass::kNeedsLogin ||
                         failure->failure_class == FailureClass::kUnclear ||
                         failure->failure_class == FailureClass::kStartOver;
    if (verdict && !call.refresh.empty()) sends_[call.refresh].given_up_rightly = true;
    // The provider has looked at it and said no: whatever became of it before, nothing can be lost by it any more. What is not
    // clear is so when it was said three times.
    constexpr unsigned kSaidClearly = 3;
    const bool unclear = failure->failure_class == FailureClass::kUnclear;
    const bool settled = verdict && (!unclear || ++sends_[call.refresh].unclear >= kSaidClearly);
    if (settled && !call.refresh.empty()) sends_[call.refresh].unknown = 0;
    if (failure->rate_limited && failure->retry_after) {
      auto& pause = paused_[call.config->profile->id + " " + call.config->client_id];
      if (time_.now() + *failure->retry_after > pause.second)
        pause = {time_.now(), time_.now() + *failure->retry_after};
    }
    return;
  }
  const auto& tokens = std::get<account::TokenSet>(outcome);
  Delivered d;
  d.account = call.account;
  d.config = call.config;
  d.access = std::string(tokens.access_token.expose());
  d.refresh = std::string(tokens.refresh_token.expose());
  d.sent_refresh = call.refresh;
  d.sent = call.sent;
  d.at = time_.now();
  d.offset = call.offset;
  d.run = run_;
  d.lifetime = tokens.lifetime();
  d.expires_at = tokens.expires_at;
  // What the answer says counts from the wall clock when it was asked for. If that was set back on the way, the token ends
  // as much earlier by the clock that is in force now, and so for all who will know it by the wall clock alone: a later run.
  // Without this the end was too late for them, which excused hand-outs and called resends at the floor too early ones.
  const Duration back = call.offset - time_.offset();
  if (d.expires_at && back > Duration::zero()) {
    *d.expires_at -= back;
    d.offset = time_.offset();
  }
  if (!call.refresh.empty()) sends_[call.refresh].unknown = 0;
  // The same access token again: until the daemon has stored and shown that, the end it had counts.
  if (const auto had = delivered_.find(d.access); had != delivered_.end() && d.access == of.visible)
    d.shown = std::make_shared<Delivered>(had->second.shown ? *had->second.shown : had->second);
  trace_.note(call.account, "answer", d.access, static_cast<std::int64_t>(number));
  delivered_.insert_or_assign(d.access, std::move(d));
  note_replaced(call.account);
}

void Judge::identified(std::string_view access) {
  if (const auto at = delivered_.find(std::string(access)); at != delivered_.end()) at->second.identified = time_.now();
}

// Answers of grants that a later sign-in has replaced while they were on their way, or held for that. What becomes of
// them is decided by the rules for what is replaced; that the later grant is signed out afterwards says nothing of them.
// It is noted before the sign-out, so that an answer of the grant that is signed out is never among them.
void Judge::note_replaced(const std::string& account) {
  const Known& of = known(account);
  const Token* shown = servers_.find(of.visible);
  if (shown == nullptr || of.signed_out) return;
  for (auto& [access, d] : delivered_) {
    if (d.account != account || d.placed) continue;
    const Token* token = servers_.find(access);
    d.replaced = d.replaced || (token != nullptr && token->grant < shown->grant);
  }
}

bool Judge::revokes_always(const std::string& account) const {
  return std::any_of(plan_.accounts.begin(), plan_.accounts.end(), [&](const AccountPlan& plan) {
    return plan.name == account && plan.revoke == config::RevokeSuperseded::kAlways;
  });
}

const store::Retirement* Judge::queued(std::string_view token) const {
  for (const auto& [id, r] : disk_.retirements) {
    if (r.token.expose() == token) return &r;
  }
  const store::Retirement* found = nullptr;
  for (const store::Change& answer : disk_.answers) {
    std::visit(
        [&](const auto& c) {
          if constexpr (requires { c.retire; }) {
            for (const store::Retirement& r : c.retire)
              if (r.token.expose() == token) found = &r;
          }
        },
        answer);
  }
  return found;
}

void Judge::revoking(const config::Account* config, std::size_t provider, std::string_view token) {
  const Token* record = servers_.find(token);
  if (record == nullptr) return;
  const Grant& grant = servers_.grant_of(*record);
  const std::string& name = grant.account;
  const Known& of = known(name);
  trace_.note(name, "asks to revoke", token);
  const store::Retirement* retirement = queued(token);
  demand(retirement != nullptr, kRetired, name, std::string(token) + " is revoked but not queued durably");
  const bool in_use = (token == of.row_access || token == of.row_refresh) && !of.signed_out &&
                      !superseded_.contains(std::string(token));
  demand(!in_use, kBackfires, name, std::string(token) + " is revoked while it is in use");
  const ProviderPlan& rules = servers_.provider(provider);
  const bool cascades = record->refresh ? rules.refresh_cascades : rules.access_cascades;
  const bool harms = cascades && !grant.dead && of.row_grant == grant.number && !of.signed_out;
  const bool always = revokes_always(name);
  demand(!harms || always, kBackfires, name, "revoking " + std::string(token) + " kills the grant in use");
  const auto promise = promised_.find(std::string(token));
  const bool ended_by_order = record->grant < of.signed_out_before;
  demand(promise == promised_.end() || ended_by_order || !steady_since(promise->second.at) || grant.dead ||
             time_.wall() >= promise->second.until - Duration(1ms),
         kRetired, name, std::string(token) + " is revoked before the last promise is over");
  if (retirement->by_sign_out) return;
  const provider::Revoke& declared = rules.profile->revoke;
  demand(always || (record->refresh ? declared.refresh_cascade : declared.access_cascade) == Cascade::kNone, kBackfires,
         name, std::string(token) + " is revoked although its cascade is not known to be harmless");
  const auto at = superseded_.find(std::string(token));
  if (at == superseded_.end() || config == nullptr || !steady_since(at->second) || started_at_ > at->second) return;
  demand(time_.now() >= at->second + config->revoke_grace - Duration(1ms), kRetired, name,
         std::string(token) + " is revoked before its grace is over");
}

// --- the store ----------------------------------------------------------------------------------------------------

void Judge::place(std::string_view refresh, std::string_view access) {
  for (auto& [key, d] : delivered_) {
    if (d.placed) continue;
    if (d.access == access || (!d.refresh.empty() && d.refresh == refresh)) d.placed = true;
  }
}

void Judge::note_places(const store::Change& change) {
  std::visit(
      [this](const auto& c) {
        if constexpr (requires { c.tokens; }) place(c.tokens.refresh_token.expose(), c.tokens.access_token.expose());
        if constexpr (requires { c.retire; }) {
          for (const store::Retirement& r : c.retire)
            place(r.token.expose(), r.token.expose());
        }
      },
      change);
}

void Judge::in_slot(const store::Change& change) {
  note_places(change);
  if (const auto* install = std::get_if<store::Install>(&change)) {
    const Known& of = known(install->account);
    check_promise_short(install->account, install->promised_until);
    if (install->slot) in_slot_since_[*install->slot] = time_.now();
    superseded_.emplace(of.row_access, time_.now());
    superseded_.emplace(of.row_refresh, time_.now());
  }
  std::visit(
      [this](const auto& c) {
        if constexpr (requires { c.account; }) trace_.note(c.account, "answer in its slot");
      },
      change);
}

void Judge::refused(const store::Change& change) {
  std::visit(
      [this](const auto& c) {
        if constexpr (requires { c.tokens.access_token; }) {
          const auto at = delivered_.find(std::string(c.tokens.access_token.expose()));
          if (at != delivered_.end()) at->second.lost = true;
        }
        if constexpr (requires { c.account; }) {
          trace_.note(c.account, "store refuses");
          known(c.account).troubled_at = time_.now();
        }
        if constexpr (std::is_same_v<std::decay_t<decltype(c)>, store::SetPromised>)
          promise_refused_[c.account] = time_.now();
        if constexpr (requires { c.retire; }) {  // what could not be queued is not ours to account for
          for (const store::Retirement& r : c.retire) {
            for (auto& [access, d] : delivered_)
              d.lost = d.lost || d.access == r.token.expose() || d.refresh == r.token.expose();
          }
        }
      },
      change);
}

void Judge::take_row(const std::string& name) {
  Known& of = known(name);
  const store::StoredAccount* stored = row(name);
  const std::string before = std::exchange(of.row_access, {});
  of.row_refresh.clear();
  of.row_grant = SIZE_MAX;
  if (stored == nullptr) return;
  of.row_identity = stored->identity;
  of.row_generation = stored->generation;
  of.signed_out = stored->standing.state == account::State::kSignedOut;
  if (!stored->tokens) return;
  of.row_access = std::string(stored->tokens->access_token.expose());
  if (of.row_access != before) {
    of.row_since = time_.now();
    of.promised_by_store = {};
  }
  of.row_refresh = std::string(stored->tokens->refresh_token.expose());
  of.row_ends = stored->tokens->expires_at;
  // The provider may have given the same again. What comes back into its row although its successor is durable already,
  // in its slot, is replaced since then: the transaction that restores a parked grant may have waited behind that.
  if (!superseded_in_slot(name, of.row_access)) superseded_.erase(of.row_access);
  if (!superseded_in_slot(name, of.row_refresh)) superseded_.erase(of.row_refresh);
  if (const Token* token = servers_.find(of.row_access)) of.row_grant = token->grant;
}

bool Judge::replaced_in_slot(const std::string& account, std::string_view access) const {
  return std::any_of(disk_.answers.begin(), disk_.answers.end(), [&](const store::Change& change) {
    const auto* install = std::get_if<store::Install>(&change);
    return install != nullptr && install->account == account && install->tokens.access_token.expose() != access;
  });
}

bool Judge::superseded_in_slot(const std::string& account, std::string_view token) const {
  return std::any_of(disk_.answers.begin(), disk_.answers.end(), [&](const store::Change& change) {
    const auto* install = std::get_if<store::Install>(&change);
    return install != nullptr && install->account == account && install->tokens.access_token.expose() != token &&
           install->tokens.refresh_token.expose() != token;
  });
}

void Judge::check_order(const Known& of, const store::Install& install) {
  const std::string access(install.tokens.access_token.expose());
  const Token* fresh = servers_.find(access);
  demand(fresh != nullptr, kLate, install.account, "tokens that nobody gave are stored");
  const bool replaces = of.row_grant != SIZE_MAX && of.row_identity == install.identity;
  // Of two that were asked for at the same time either may come last: a sign-in, and a password that was used meanwhile.
  const auto one = delivered_.find(access), other = delivered_.find(of.row_access);
  // A sign-in of a person lasts until it is known who that was.
  const bool at_a_time = one != delivered_.end() && other != delivered_.end() && one->second.sent_refresh.empty() &&
                         std::max(one->second.at, one->second.identified) >= other->second.sent;
  demand(!replaces || fresh->grant >= of.row_grant || at_a_time, kLate, install.account,
         "an answer of an earlier sign-in is stored over a later one");
  demand(fresh->grant >= of.signed_out_before, kLate, install.account,
         "an answer of a grant that was signed out is stored as the account's");
}

// Design section 5, 6: the transaction that stores a generation queues what it replaces.
void Judge::check_superseded(const Known& of, const store::Install& install) {
  if (of.row_access.empty() || of.config == nullptr || of.row_identity != of.config->identity) return;
  const config::Account& config = *of.config;
  const auto listed = [&](const std::string& token) {
    return std::any_of(install.retire.begin(), install.retire.end(),
                       [&](const store::Retirement& r) { return r.token.expose() == token; });
  };
  const bool new_access = of.row_access != install.tokens.access_token.expose();
  const bool new_refresh = !of.row_refresh.empty() && of.row_refresh != install.tokens.refresh_token.expose();
  // A refresh that was stored while this sign-in was on its way was never visible; the transaction after this one queues it.
  // Its number says so: the access token may be the one before once more.
  if (!of.by_generation.contains(of.row_generation)) return;
  if (new_access) superseded_.emplace(of.row_access, time_.now());
  if (new_refresh) superseded_.emplace(of.row_refresh, time_.now());
  WallTime not_before = saturating_add(time_.wall(), config.revoke_grace);
  if (const auto at = promised_.find(of.row_access); at != promised_.end())
    not_before = std::max({not_before, at->second.until, at->second.ever});
  not_before = std::max(not_before, of.promised_by_store);
  const auto end = end_of(of.row_access);  // a clock that was set back since may say less than the row
  const bool lives =
      (!of.row_ends || *of.row_ends > not_before) && (!end || *end - time_.now() > not_before - time_.wall());
  const auto& kills = config.profile->refresh.access_overlap;
  const bool dead_already = kills && *kills == Duration::zero() && !of.row_refresh.empty();
  if (new_access && lives && !dead_already && may_revoke(config, RetiredKind::kAccess) && steady_since(of.row_since)) {
    demand(listed(of.row_access), kRetired, install.account, of.row_access + " is replaced and not queued");
  }
  if (new_refresh && may_revoke(config, RetiredKind::kRefresh)) {
    demand(listed(of.row_refresh), kRetired, install.account, of.row_refresh + " is replaced and not queued");
  }
}

// A wall clock that was ahead told the daemon that a token has ended; its row may go when the clock is right again, because the
// disk was full or slow before. It counts only if the clock did say so since the daemon that erases it has started and the
// token was queued: another daemon looks at the clock once more.
void Judge::clock_steps() {
  for (auto& [id, r] : queued_)
    r.ended = r.ended || time_.wall() >= r.give_up_at;
}

void Judge::check_over(const store::RetirementOver& over) {
  const auto at = queued_.find(over.id);
  if (at == queued_.end()) return;
  const Queued& r = at->second;
  const Token* token = servers_.find(r.token);
  const Known& of = known(r.account);
  const bool current = r.token == of.row_access || r.token == of.row_refresh;
  const bool gone = token == nullptr || token->revoked || servers_.grant_of(*token).dead || token->ends <= time_.now();
  demand(gone || current || refused_.contains(r.token) || r.ended || time_.wall() >= r.give_up_at, kRetired, r.account,
         r.token + " is given up although it lives");
  trace_.note(r.account, "retired", r.token);
  queued_.erase(at);
}

// The change is in the rows; what the judge remembers of them is what it replaced.
void Judge::applied(const store::Change& change) {
  note_places(change);
  std::visit(
      [this](const auto& c) {
        if constexpr (requires { c.retire; }) {
          for (const store::Retirement& r : c.retire)
            queued_[r.id] = {r.account, std::string(r.token.expose()), r.give_up_at};
        }
      },
      change);
  if (const auto* install = std::get_if<store::Install>(&change)) {
    Known& of = known(install->account);
    check_order(of, *install);
    check_end(*install);
    const auto slot = in_slot_since_.find(install->slot.value_or(0));
    check_promise_short(install->account, install->promised_until,
                        slot != in_slot_since_.end() ? std::optional(slot->second) : std::nullopt);
    check_superseded(of, *install);
    trace_.note(install->account, "stored", install->tokens.access_token.expose(),
                static_cast<std::int64_t>(install->generation));
    take_row(install->account);
  } else if (const auto* out = std::get_if<store::SignOut>(&change)) {
    Known& of = known(out->account);
    demand(of.sign_out_asked, kFailure, out->account, "signed out without an order");
    of.visible.clear();
    of.signed_out_before = of.row_grant != SIZE_MAX ? of.row_grant + 1 : of.signed_out_before;
    trace_.note(out->account, "signed out");
    take_row(out->account);
  } else if (const auto* forget = std::get_if<store::Forget>(&change)) {
    demand(known(forget->account).row_access.empty(), kFailure, forget->account, "tokens are erased without an order");
    take_row(forget->account);
  } else if (const auto* standing = std::get_if<store::SetStanding>(&change)) {
    take_row(standing->account);
  } else if (const auto* park = std::get_if<store::Park>(&change)) {
    known(park->grant.account).parked_at = time_.now();
    trace_.note(park->grant.account, "parked", park->grant.tokens.access_token.expose());
    take_row(park->grant.account);
  } else if (std::holds_alternative<store::Restore>(change)) {
    for (auto& [name, of] : known_) {
      const bool restored = of.row_access.empty();
      take_row(name);
      if (restored && row(name) != nullptr) of.promised_by_store = row(name)->promised_until;
    }
  } else if (const auto* promised = std::get_if<store::SetPromised>(&change)) {
    check_promise_short(promised->account, promised->until);
  } else if (const auto* over = std::get_if<store::RetirementOver>(&change)) {
    check_over(*over);
  }
}

// --- callers ------------------------------------------------------------------------------------------------------

bool Judge::durable(const std::string& account, std::string_view access) const {
  const store::StoredAccount* stored = row(account);
  if (stored != nullptr && stored->tokens && stored->tokens->access_token.expose() == access) return true;
  for (const auto& [id, grant] : disk_.parked) {
    if (grant.tokens.access_token.expose() == access) return true;
  }
  return std::any_of(disk_.answers.begin(), disk_.answers.end(), [&](const store::Change& change) {
    const auto* install = std::get_if<store::Install>(&change);
    const auto* update = std::get_if<store::UpdateParked>(&change);
    return (install != nullptr && install->tokens.access_token.expose() == access) ||
           (update != nullptr && update->tokens.access_token.expose() == access);
  });
}

// By the clock that says less: the wall clock as it is now, and the boot clock since the request was sent. What an earlier
// run got can be known by the wall clock alone, as it was at the start.
std::optional<True> Judge::end_of(const std::string& access) const {
  const auto at = delivered_.find(access);
  if (at == delivered_.end()) return std::nullopt;
  const Delivered& d = at->second.shown ? *at->second.shown : at->second;
  if (!d.expires_at) return std::nullopt;
  const True by_wall = *d.expires_at - wall_from_seconds(1'790'000'000) - time_.offset();
  const True by_boot = *d.expires_at - wall_from_seconds(1'790'000'000) - (d.run == run_ ? d.offset : offset_at_start_);
  return std::min(by_wall, by_boot);
}

bool Judge::good(const std::string& access) const {
  if (access.empty() || !delivered_.contains(access)) return false;  // of what a person brought nobody knows the end
  const auto end = end_of(access);
  return !end || *end > time_.now() + Duration(1ms);
}

void Judge::published(const std::string& account, std::uint64_t generation, std::string_view access) {
  Known& of = known(account);
  trace_.note(account, "published", access, static_cast<std::int64_t>(generation));
  demand(durable(account, access), kPersist, account, std::string(access) + " is published and not durable");
  const auto [at, added] = of.by_generation.emplace(generation, std::string(access));
  demand(added || at->second == access, kPersist, account, "one generation means two tokens");
  demand(generation >= of.highest_shown, kRetired, account, "the generation goes back");
  of.highest_shown = generation;
  of.visible = std::string(access);
  of.installed_at = time_.now();
  if (const auto d = delivered_.find(of.visible); d != delivered_.end()) d->second.shown.reset();
  note_replaced(account);
}

Judge::Asked Judge::asked(const std::string& account, Duration min_valid) const {
  Asked asked{account, min_valid, false, time_.now()};
  const auto at = known_.find(account);
  if (at == known_.end() || at->second.config == nullptr) return asked;
  const Known& of = at->second;
  if (!good(of.visible)) return asked;
  const auto d = delivered_.find(of.visible);
  if (d == delivered_.end() || !(d->second.shown ? *d->second.shown : d->second).lifetime) {
    asked.at_once_expected = true;  // an end that is not known is no reason to wait
    return asked;
  }
  const Delivered& shown = d->second.shown ? *d->second.shown : d->second;
  const Duration life = *shown.lifetime;
  const Duration left = *end_of(of.visible) - time_.now();
  asked.at_once_expected = left >= std::max(floor_of(life), std::min(min_valid, life * 9 / 10)) + Duration(1ms);
  return asked;
}

void Judge::still_waiting(const Asked& asked) const {
  demand(!asked.at_once_expected, kSlow, asked.account, "a caller waits although the present token is good enough");
}

void Judge::handed_out(const Asked& asked, const ipc::TokenView& view, bool at_once) {
  Known& of = known(asked.account);
  const std::string access(view.access_token);
  trace_.note(asked.account, "handed out", access, static_cast<std::int64_t>(view.generation));
  demand(durable(asked.account, access), kPersist, asked.account, access + " is handed out and not durable");
  demand(access == of.visible, kRetired, asked.account, access + " is handed out, in force is " + of.visible);
  demand(view.generation >= of.highest_shown, kRetired, asked.account, "an earlier generation is handed out");
  const auto [at, added] = of.by_generation.emplace(view.generation, access);
  demand(added || at->second == access, kPersist, asked.account, "one generation means two tokens");
  of.highest_shown = view.generation;
  const auto end = end_of(access);
  demand(!end || time_.now() < *end, kExpired, asked.account, access + " is handed out after its end");
  const Token* token = servers_.find(access);
  const auto d = delivered_.find(access);
  const bool clocks_right = d == delivered_.end() || steady_since(d->second.sent);
  demand(token == nullptr || token->ends > time_.now() || !clocks_right || !end, kExpired, asked.account,
         access + " is handed out, and its provider takes it no more");
  if (calm_ && at_once && end && d->second.lifetime && must_work(asked.account)) {
    const bool low = *end - time_.now() < floor_of(*d->second.lifetime) - Duration(1ms);
    demand(!low, kExpired, asked.account, access + " is nearly over and handed out without a refresh");
  }
  // Of what a person brought, only what is stored says when it ends.
  const bool told_by_row = !end && of.row_access == access && of.row_ends;
  const Duration life = end ? *end - time_.now() : told_by_row ? *of.row_ends - time_.wall() : Duration(1h);
  Promise& promise = promised_[access];
  if (!steady_since(promise.at)) promise.until = {};  // by another clock
  promise.until = std::max(promise.until, time_.wall() + std::min<Duration>({asked.min_valid, life, 1h}));
  promise.ever = std::max(promise.ever, promise.until);
  promise.at = time_.now();
}

void Judge::told_problem(const Asked& asked, const ipc::Problem& problem) {
  const Known& of = known(asked.account);
  trace_.note(asked.account, "refused", problem.detail, static_cast<std::int64_t>(problem.kind));
  const bool of_token = problem.kind == ipc::ProblemKind::kNeedsLogin || problem.kind == ipc::ProblemKind::kSuspended ||
                        problem.kind == ipc::ProblemKind::kUnavailable || problem.kind == ipc::ProblemKind::kTimeout;
  demand(!of_token || !good(of.visible), kFailure, asked.account,
         "a caller is refused although " + of.visible + " is still good");
}

// --- when all is quiet --------------------------------------------------------------------------------------------

bool Judge::may_be_erased(const Delivered& d) const {
  const auto at = known_.find(d.account);
  const Token* token = servers_.find(d.access);
  if (token == nullptr || at == known_.end()) return true;
  const bool current = at->second.row_grant == token->grant && !at->second.signed_out;
  if (current) return false;
  const bool over_by_order = token->grant < at->second.signed_out_before;
  if (over_by_order && !d.replaced) return d.config->profile->revoke.how == RevokeHow::kNone;
  return !may_revoke(*d.config, RetiredKind::kRefresh);
}

void Judge::check_placed(Duration patience) const {
  for (const auto& [access, d] : delivered_) {
    if (d.placed || d.lost || time_.now() - d.at < patience || may_be_erased(d)) continue;
    if (d.refresh.empty() || d.refresh == d.sent_refresh) continue;
    demand(false, kLate, d.account, d.refresh + " came with an answer and is nowhere");
  }
  ++checks_;
}

bool Judge::excused(const std::string& refresh) const {
  const auto at = sends_.find(refresh);
  return at != sends_.end() && (at->second.unknown >= 2 || at->second.given_up_rightly);
}

// The account has, durably, what its provider still takes: then nothing excuses that it does not work.
bool Judge::must_work(const std::string& account) const {
  const auto at = known_.find(account);
  if (at == known_.end() || at->second.config == nullptr) return false;
  const Known& of = at->second;
  if (of.signed_out && of.row_access.empty()) return false;
  if (of.config->grant == provider::Grant::kClientCredentials) return !of.signed_out;
  if (of.row_identity != of.config->identity || of.row_refresh.empty()) return false;
  const Token* token = servers_.find(of.row_refresh);
  return token != nullptr && servers_.works(*token) && !excused(of.row_refresh);
}

// An account that is refreshed ahead always has a token, with nobody asking.
void Judge::check_fresh(const std::string& account) const {
  const Known& of = known_.at(account);
  const auto d = delivered_.find(of.row_access);
  if (of.config->refresh != config::RefreshMode::kAhead || d == delivered_.end() || !d->second.lifetime) return;
  if (*d->second.lifetime <= Duration(60s)) return;
  const auto end = end_of(of.row_access);
  demand(!end || *end > time_.now(), kWhen, account, of.row_access + " is over, and nothing renewed it in time");
}

void Judge::check_retired() const {
  constexpr Duration kLongestRetry = 70min;
  if (time_.now() - calm_since_ < kLongestRetry) return;
  for (const auto& [id, r] : disk_.retirements) {
    const bool due_long = time_.wall() - r.not_before > kLongestRetry;
    demand(!due_long, kRetired, r.account, std::string(r.token.expose()) + " is due to be revoked and still is not");
  }
}

}  // namespace credsync::simulation
