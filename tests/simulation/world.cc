#include "tests/simulation/world.h"

#include <algorithm>
#include <utility>

namespace credsync::simulation {

using Where = Timeline::Where;

namespace {

// What the disk was told, for who looks at a world.
std::string described(const store::Change& change) {
  std::string words = fakes::words_of(change);
  const auto tokens = [&](const account::TokenSet& of) {
    words += " " + std::string(of.access_token.expose()) + " " + std::string(of.refresh_token.expose());
  };
  std::visit(
      [&](const auto& c) {
        if constexpr (requires { c.tokens; }) tokens(c.tokens);
        if constexpr (requires { c.grant; })
          tokens(c.grant.tokens),
              words += " as " + std::to_string(c.grant.id) + " g" + std::to_string(c.grant.generation);
        if constexpr (requires { c.slot.has_value(); }) words += c.slot ? " slot " + std::to_string(*c.slot) : "";
        if constexpr (requires { c.retire; }) {
          for (const store::Retirement& r : c.retire)
            words += ", retires " + std::string(r.token.expose()) + " from " + to_rfc3339(r.not_before);
        }
        if constexpr (requires { c.until; }) words += " until " + to_rfc3339(c.until);
        if constexpr (requires { c.not_before; }) words += " from " + to_rfc3339(c.not_before);
      },
      change);
  return words;
}

}  // namespace

World::World(Plan plan)
    : plan_(std::move(plan)),
      servers_(plan_, time_, trace_),
      judge_(plan_, time_, servers_, disk_, trace_),
      network_(plan_, time_, servers_, judge_, tasks_, trace_),
      crashes_(plan_.seed, "crashes"),
      disk_chance_(plan_.seed, "disk"),
      ambush_(plan_.seed, "ambush") {
  network_.on_step = [this] { maybe_crash(); };
  network_.on_sent = [this](const std::string& account) { ambush(account); };
  for (const AccountPlan& account : plan_.accounts)
    settings_[account.name] = {};
  config_ = make_config();
  tell_judge_of(config_);
}

World::~World() {
  if (core_ == nullptr) return;
  judge_.dismiss();  // it has spoken
  end_run(true);
}

config::Config World::make_config() const {
  config::Config config;
  for (const AccountPlan& account : plan_.accounts) {
    const Setting& setting = settings_.at(account.name);
    if (!setting.present) continue;
    auto made = config_of(account, provider_of(account), setting.variant, setting.edition);
    if (!setting.enabled) {
      auto off = std::make_shared<config::Account>(*made);
      off->enabled = false;
      made = std::move(off);
    }
    config.accounts[account.name] = std::move(made);
  }
  return config;
}

void World::tell_judge_of(const config::Config& config) {
  for (const AccountPlan& account : plan_.accounts) {
    const auto at = config.accounts.find(account.name);
    judge_.configured(account.name, at != config.accounts.end() && at->second->enabled ? at->second : nullptr);
  }
}

// --- the machine --------------------------------------------------------------------------------------------------

void World::start() {
  if (core_ != nullptr) return;
  ++counters_.starts;
  const std::size_t slots = calm_ ? 64 : plan_.faults.slots;
  store_ = std::make_unique<fakes::MemoryStore>(disk_, tasks_, slots);
  store_->hold();
  const auto aside = [this](const char* what, const store::Change& c) {
    if (trace_.shown()) trace_.aside(what, described(c));
  };
  store_->watch({[this, aside](const store::Change& c) { aside("committed", c), judge_.applied(c); },
                 [this, aside](const store::Change& c) { aside("in its slot", c), judge_.in_slot(c); },
                 [this, aside](const store::Change& c) { aside("not stored", c), judge_.refused(c); }});
  if (disk_full_) store_->fill_disk();
  trace_.note("", "daemon starts", {}, static_cast<std::int64_t>(run_number_));
  const auto published = [this](account::Account& account, account::What what) {
    if (what != account::What::kToken) return;
    judge_.published(account.name(), account.generation(), account.live()->tokens.access_token.expose());
  };
  core_ =
      std::make_unique<Core>(*store_, network_, time_, Chance(plan_.seed, "run", run_number_++), config_, published);
  judge_.started();
  if (const auto begun = core_->start(config_, [this] { judge_.loaded(); }); !begun)
    throw Broken("start", "", begun.error().message());
  settle();
}

void World::end_run(bool crashed) {
  if (crashed) {
    store_->crash();
  } else {
    store_->drain();
  }
  network_.cut();
  callers_.clear();
  errands_.clear();
  tasks_.clear();
  core_.reset();
  store_.reset();
  syncing_ = stopping_ = crash_due_ = false;
  judge_.ended(crashed);
}

void World::crash() {
  ++counters_.crashes;
  trace_.note("", "crash");
  end_run(true);
  if (crashes_.odds(plan_.faults.reboots)) time_.reboot();
  time_.after(crashes_.between(Duration(100ms), std::max<Duration>(200ms, plan_.faults.down_for)), Where::kWorld,
              [this] { start(); });
}

void World::maybe_crash() {
  if (core_ != nullptr && !calm_ && crashes_.odds(plan_.faults.crash_at_step)) crash_due_ = true;
}

// As SIGTERM does it.
void World::stop() {
  if (core_ == nullptr || stopping_) return;
  stopping_ = true;
  trace_.note("", "daemon stops");
  core_->stop();
  auto check = std::make_shared<std::function<void()>>();
  constexpr Duration kPatience = 35s;
  *check = [this, run = run_number_, until = time_.now() + kPatience, weak = std::weak_ptr(check)] {
    if (core_ == nullptr || run != run_number_) return;
    if (!core_->idle() && time_.now() < until) {
      if (auto self = weak.lock()) time_.after(100ms, Where::kMachine, [self] { (*self)(); });
      return;
    }
    end_run(false);
    time_.after(crashes_.between(Duration(200ms), std::max<Duration>(400ms, plan_.faults.down_for)), Where::kWorld,
                [this] { start(); });
  };
  time_.after(100ms, Where::kMachine, [check] { (*check)(); });
}

void World::settle() {
  constexpr unsigned kMostTurns = 200'000;  // a loop that never rests
  unsigned turns = 0;
  bool woke = false, busy = false;
  const auto seen = [this] { return trace_.lines() + (store_ != nullptr ? store_->waiting() : 0); };
  const std::uint64_t before = seen();
  while (core_ != nullptr) {
    if (crash_due_) return crash();
    if (!tasks_.empty()) {
      busy = true;
      tasks_.run_one();
    } else if (core_->armed && *core_->armed <= time_.boot() && !time_.asleep()) {
      woke = true;
      core_->armed.reset();
      core_->agenda.run(time_.boot());
    } else {
      break;
    }
    if (++turns > kMostTurns) throw Broken("11 everything is bounded", "", "the loop does not come to rest");
  }
  counters_.wakes += woke ? 1U : 0U;
  counters_.idle_wakes += woke && !busy && seen() == before ? 1U : 0U;
  std::erase_if(callers_, [](const auto& entry) { return entry.second.outcome->answered; });
  if (errands_.size() > 64) errands_.erase(errands_.begin(), errands_.begin() + 32);
  poke_disk();
}

void World::run_until(True end) {
  while (true) {
    True timer = kNever;
    if (core_ != nullptr && core_->armed) timer = std::max(time_.true_of(*core_->armed), time_.now());
    if (timer != kNever && time_.asleep()) timer = std::max(timer, time_.asleep_until());
    const True next = std::min(timer, time_.next());
    if (next > end) break;
    if (timer <= time_.next()) {
      time_.move_to(timer);
    } else {
      time_.run_next();
    }
    settle();
  }
  time_.move_to(end);
}

// --- the disk: first the answers into their slots, then one transaction for all -----------------------------------

void World::poke_disk() {
  if (core_ == nullptr || syncing_ || store_->waiting() == 0) return;
  syncing_ = true;
  const Duration latency = calm_ ? Duration(2ms) : plan_.faults.disk_latency;
  const Duration wait = disk_full_ && judge_.answers_wait() ? Duration(60s) : Duration::zero();
  time_.after(wait + disk_chance_.between(latency / 4, latency), Where::kMachine, [this, run = run_number_] {
    if (core_ != nullptr && run == run_number_) sync_batch();
  });
}

void World::sync_batch() {
  const double error = calm_ ? 0 : plan_.faults.disk_error;
  const bool fails = disk_chance_.odds(error);
  if (!fails || disk_chance_.odds(0.7)) store_->put_answers();  // their file is another than the database
  maybe_crash();
  const Duration latency = calm_ ? Duration(2ms) : plan_.faults.disk_latency;
  time_.after(disk_chance_.between(latency / 4, latency), Where::kMachine, [this, fails, run = run_number_] {
    if (core_ == nullptr || run != run_number_) return;
    if (fails) {
      trace_.note("", "the disk fails");
      store_->fail_all(Error(ErrorCode::kIo, "the disk fails"));
    } else {
      commit_batch();
    }
    syncing_ = false;
    maybe_crash();
  });
}

void World::commit_batch() {
  store_->let_go_of(store_->waiting());
}

// --- what goes on -------------------------------------------------------------------------------------------------

void World::every(Duration mean, const char* stream, std::function<void(Chance&)> act) {
  if (mean == kNever) return;
  struct Loop {
    Chance chance;
    std::function<void(Chance&)> act;
    std::function<void()> next;
  };
  auto loop = std::make_shared<Loop>(Loop{Chance(plan_.seed, stream), std::move(act), {}});
  loop->next = [this, mean, weak = std::weak_ptr(loop)] {
    auto self = weak.lock();
    time_.after(std::max<Duration>(1ms, self->chance.wait(mean)), Where::kWorld, [this, self] {
      if (calm_) return;
      self->act(self->chance);
      self->next();
    });
  };
  loop->next();
}

const AccountPlan& World::any_account(Chance& chance) const {
  return plan_
      .accounts[static_cast<std::size_t>(chance.between(0, static_cast<std::int64_t>(plan_.accounts.size()) - 1))];
}

void World::begin_callers() {
  for (const AccountPlan& account : plan_.accounts) {
    const Duration life = provider_of(account).lifetime;
    every(account.calls_every, ("calls of " + account.name).c_str(), [this, &account, life](Chance& chance) {
      const Duration min_valid = chance.odds(0.6) ? Duration::zero() : chance.between(Duration(0), life * 6 / 5);
      const Duration wait = chance.odds(0.2) ? Duration::zero() : chance.between(Duration(1s), Duration(60s));
      if (up()) get(account, min_valid, wait);
    });
  }
  every(plan_.faults.reject_every, "rejects", [this](Chance& chance) { reject(any_account(chance)); });
}

void World::begin_people() {
  every(plan_.faults.sign_in_every, "sign-ins", [this](Chance& chance) { sign_in(any_account(chance)); });
  every(plan_.faults.sign_out_every, "sign-outs", [this](Chance& chance) { sign_out(any_account(chance)); });
  every(plan_.faults.order_every, "orders", [this](Chance& chance) { order_refresh(any_account(chance)); });
  every(plan_.faults.reload_every, "reloads", [this](Chance& chance) { edit(any_account(chance), chance); });
  every(plan_.faults.death_every, "deaths", [this](Chance& chance) {
    auto& grants = servers_.grants();
    if (!grants.empty())
      servers_.withdraw(
          grants[static_cast<std::size_t>(chance.between(0, static_cast<std::int64_t>(grants.size()) - 1))]);
  });
}

void World::begin_machine_faults() {
  every(plan_.faults.crash_every, "crash times", [this](Chance&) {
    if (core_ != nullptr) crash();
  });
  every(plan_.faults.stop_every, "stops", [this](Chance&) {
    if (up()) stop();
  });
  every(plan_.faults.suspend_every, "suspends", [this](Chance& chance) {
    suspend(chance.between(Duration(1s), std::max<Duration>(2s, plan_.faults.suspended_for)));
  });
  every(plan_.faults.clock_step_every, "clock steps", [this](Chance& chance) {
    const Duration most = plan_.faults.clock_step_most;
    step_clock(chance.between(-most, most));
  });
  every(plan_.faults.disk_full_every, "full disks", [this](Chance& chance) {
    if (disk_full_) return;
    disk_full_ = true;
    judge_.disk_full(true);
    trace_.note("", "the disk is full");
    if (store_ != nullptr) store_->fill_disk();
    time_.after(chance.between(Duration(1s), std::max<Duration>(2s, plan_.faults.disk_full_for)), Where::kWorld,
                [this] {
                  disk_full_ = false;
                  judge_.disk_full(false);
                  trace_.note("", "the disk has room");
                  if (store_ != nullptr) store_->make_room();
                });
  });
}

void World::begin_provider_faults() {
  const auto strike = [this](Chance& chance, Outage outage, Duration length) {
    const auto provider =
        static_cast<std::size_t>(chance.between(0, static_cast<std::int64_t>(plan_.providers.size()) - 1));
    trace_.note("", "outage begins", plan_.providers[provider].profile->id, static_cast<std::int64_t>(outage));
    network_.set_outage(provider, outage);
    time_.after(chance.between(Duration(1s), std::max<Duration>(2s, length)), Where::kWorld, [this, provider] {
      trace_.note("", "outage ends", plan_.providers[provider].profile->id);
      network_.set_outage(provider, Outage::kNone);
    });
  };
  every(plan_.faults.outage_every, "outages", [this, strike](Chance& chance) {
    strike(chance, static_cast<Outage>(chance.between(1, 3)), plan_.faults.outage_lasts);
  });
  every(plan_.faults.storm_every, "storms",
        [this, strike](Chance& chance) { strike(chance, Outage::kLimits, plan_.faults.storm_lasts); });
}

// --- acts ---------------------------------------------------------------------------------------------------------

namespace {

// The daemon's own user, who may do everything in an instance of its own.
ipc::Caller somebody() {
  ipc::Caller caller;
  caller.uid = kOwner;
  caller.pid = 4711;
  return caller;
}

}  // namespace

std::shared_ptr<const World::Outcome> World::get(const AccountPlan& account, Duration min_valid, Duration wait) {
  ++counters_.calls;
  const std::uint64_t id = next_caller_++;
  Caller& caller = callers_[id];
  caller.asked = judge_.asked(account.name, min_valid);
  auto outcome = caller.outcome = std::make_shared<Outcome>();
  ipc::TokenQuery query;
  query.account = account.name;
  query.min_valid = min_valid;
  query.wait = wait;
  auto pending = core_->service.token(somebody(), query,
                                      [this, outcome, asked = caller.asked](ipc::Answer<ipc::TokenView> answer) {
                                        outcome->answered = true;
                                        if (const auto* problem = std::get_if<ipc::Problem>(&answer)) {
                                          outcome->words = problem->detail;
                                          return judge_.told_problem(asked, *problem);
                                        }
                                        const auto& view = std::get<ipc::TokenView>(answer);
                                        outcome->given = true;
                                        last_given_[asked.account] = view.generation;
                                        judge_.handed_out(asked, view, time_.now() == asked.at);
                                      });
  if (outcome->answered) return outcome;
  judge_.still_waiting(caller.asked);
  caller.pending = std::move(pending);
  time_.after(wait + Duration(1ms), Where::kMachine, [this, outcome, name = account.name, run = run_number_] {
    if (run != run_number_ || core_ == nullptr) return;
    time_.after(Duration(1ms), Where::kMachine, [this, outcome, name, run] {
      if (run == run_number_ && core_ != nullptr && !outcome->answered)
        throw Broken("11 everything is bounded", name, "a caller waits longer than it said");
    });
  });
  return outcome;
}

void World::reject(const AccountPlan& account) {
  const auto last = last_given_.find(account.name);
  if (!up() || last == last_given_.end()) return;
  trace_.note(account.name, "rejects", {}, static_cast<std::int64_t>(last->second));
  ipc::Rejected rejected;
  rejected.generation = last->second;
  errands_.push_back(
      core_->service.reject(somebody(), account.name, std::move(rejected), [](ipc::Answer<ipc::RejectAnswer>) {}));
}

void World::order_refresh(const AccountPlan& account) {
  if (!up()) return;
  trace_.note(account.name, "orders a refresh");
  judge_.order_given(account.name);
  errands_.push_back(core_->service.refresh(somebody(), account.name, [](ipc::Answer<ipc::AccountStatus>) {}));
}

void World::sign_in(const AccountPlan& account) {
  using provider::Grant;
  const auto at = config_.accounts.find(account.name);
  if (!up() || at == config_.accounts.end() || !at->second->enabled) return;
  if (account.grant == Grant::kClientCredentials) return;  // it signs in by itself
  ++counters_.sign_ins;
  ipc::LoginRequest request;
  std::size_t grant = 0;
  switch (account.grant) {
    case Grant::kRefreshToken:
      request.method = ipc::LoginMethod::kRefreshToken;
      request.secret = Secret(servers_.refresh_token_of(servers_.consent(account, at->second->identity)));
      break;
    case Grant::kPassword:
      request.method = ipc::LoginMethod::kPassword;
      request.secret = Secret("the password");
      break;
    case Grant::kStatic:
      request.method = ipc::LoginMethod::kToken;
      request.secret = Secret(servers_.personal_token_of(servers_.consent(account, at->second->identity)));
      break;
    case Grant::kAuthorizationCode: grant = servers_.consent(account, at->second->identity).number; break;
    default: break;
  }
  trace_.note(account.name, "signs in");
  errands_.push_back(
      core_->service.login(somebody(), account.name, std::move(request), [](ipc::Answer<ipc::LoginAnswer>) {}));
  if (account.grant != Grant::kAuthorizationCode) return;
  time_.after(5s, Where::kMachine, [this, &account, grant, run = run_number_] {
    if (run == run_number_ && up()) finish_browser(account, grant);
  });
}

void World::finish_browser(const AccountPlan& account, std::size_t grant) {
  if (core_->doors.open_doors() == 0) return;
  const std::string answer = "code=code-" + std::to_string(grant) + "&state=" + network_.state_of(account.name);
  (void)core_->doors.come_back(answer);
}

void World::sign_out(const AccountPlan& account) {
  const auto at = config_.accounts.find(account.name);
  if (!up() || at == config_.accounts.end() || !at->second->enabled) return;
  ++counters_.sign_outs;
  trace_.note(account.name, "signs out");
  judge_.sign_out_asked(account.name);
  errands_.push_back(core_->service.sign_out(somebody(), account.name, [](ipc::Answer<ipc::SignOutAnswer>) {}));
}

// While a request is on its way: its answer comes late.
void World::ambush(const std::string& name) {
  if (calm_ || !ambush_.odds(plan_.faults.ambush)) return;
  const auto account = std::find_if(plan_.accounts.begin(), plan_.accounts.end(),
                                    [&](const AccountPlan& plan) { return plan.name == name; });
  time_.after(ambush_.spread(1ms, 3s), Where::kWorld, [this, account] {
    if (calm_) return;
    ambush_.odds(0.15) && plan_.faults.sign_out_every != kNever ? sign_out(*account) : edit(*account, ambush_);
  });
}

void World::edit(const AccountPlan& account, Chance& chance) {
  ++counters_.reloads;
  Setting& setting = settings_.at(account.name);
  const double what = chance.real();
  if (what < 0.4) {
    setting.variant = 1 - setting.variant;
  } else if (what < 0.6) {
    setting.present = !setting.present;
  } else if (what < 0.75) {
    setting.enabled = !setting.enabled;
  } else {
    ++setting.edition;
  }
  reload(account);
  if (what >= 0.4 || chance.odds(0.5)) return;
  // A typo, and soon mended.
  time_.after(chance.spread(1ms, 1min), Where::kWorld, [this, &account, variant = 1 - setting.variant] {
    if (calm_) return;
    settings_.at(account.name).variant = variant;
    reload(account);
  });
}

void World::reload(const AccountPlan& account) {
  const Setting& setting = settings_.at(account.name);
  trace_.note(account.name, "configuration",
              !setting.present       ? "absent"
              : !setting.enabled     ? "off"
              : setting.variant == 0 ? "first"
                                     : "second");
  const config::Config before = std::exchange(config_, make_config());
  tell_judge_of(config_);
  if (up()) core_->reconciler.change(before, config_);
  if (core_ != nullptr && !up()) crash_due_ = true;  // what a reload misses, a start sees
}

void World::step_clock(Duration by) {
  trace_.note("", "the wall clock is set", {}, by.count());
  judge_.clock_steps();
  time_.step_wall_clock(by);
  judge_.clock_stepped();
  time_.after(Duration::zero(), Where::kMachine, [this] {
    if (core_ == nullptr) return;
    core_->refresher.replan_all();
    core_->forewarner.replan_all();
    core_->retirer.replan();
  });
}

void World::suspend(Duration length) {
  if (core_ == nullptr || time_.asleep()) return;
  trace_.note("", "suspended", {}, length.count());
  judge_.falls_asleep();
  time_.suspend_until(time_.now() + length);
  time_.after(length, Where::kMachine, [this] {
    judge_.awake();
    if (core_ != nullptr) core_->refresher.hurry(5s);  // as daemon/resume does it
  });
}

// --- a life -------------------------------------------------------------------------------------------------------

void World::run() {
  time_.after(Duration::zero(), Where::kWorld, [this] { start(); });
  for (const AccountPlan& account : plan_.accounts) {
    Chance chance(plan_.seed, "first sign-in of " + account.name);
    time_.after(chance.between(Duration(1s), Duration(5s)), Where::kWorld, [this, &account] { sign_in(account); });
  }
  begin_callers();
  begin_people();
  begin_machine_faults();
  begin_provider_faults();
  run_until(plan_.active);
  calm_down();
  check_all_alive();
  end_run(true);
}

void World::calm_down() {
  calm_ = true;
  if (disk_full_) judge_.disk_full(false);
  disk_full_ = false;
  trace_.note("", "all is well from now on");
  network_.heal();
  if (store_ != nullptr) store_->make_room();
  if (core_ != nullptr && plan_.faults.slots < 64) end_run(true);
  run_until(std::max(time_.now(), time_.asleep_until()) + Duration(1min));  // who was asleep or down is up
  start();
  for (auto& [name, setting] : settings_)
    setting.present = setting.enabled = true;
  const config::Config before = std::exchange(config_, make_config());
  tell_judge_of(config_);
  core_->reconciler.change(before, config_);
  settle();
  // The longest that anything is put off: a Retry-After, a pause, the floor of a token whose refresh is unknown.
  run_until(time_.now() + plan_.faults.most_retry_after + plan_.scale * 2 + Duration(20min));
  judge_.check_placed(Duration(10min));
  judge_.calm_begins();
}

void World::check_all_alive() {
  for (const AccountPlan& account : plan_.accounts)
    check_alive(account);
  const True end = time_.now() + plan_.scale * 2 + Duration(1min);
  Chance chance(plan_.seed, "last calls");
  while (time_.now() < end) {
    run_until(time_.now() + plan_.scale / 7 + Duration(chance.between(0, plan_.scale.count() / 7)));
    check_alive(any_account(chance));
  }
  judge_.check_placed(Duration(10min));
  judge_.check_retired();
}

void World::check_alive(const AccountPlan& account) {
  if (!judge_.must_work(account.name)) return;
  judge_.check_fresh(account.name);
  const auto outcome = get(account, Duration::zero(), 60s);
  const True patience = time_.now() + Duration(61s);
  while (!outcome->answered && time_.now() < patience)
    run_until(time_.now() + Duration(1s));
  settle();
  if (!outcome->given)
    throw Broken("4 a rotation is never lost to us", account.name,
                 "the provider takes what the account has, and still it does not work: " + outcome->words);
}

}  // namespace credsync::simulation
