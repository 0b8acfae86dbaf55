// A world: servers, a network, a disk, a daemon that runs, crashes and starts again, callers, people, and the judge. One
// seed decides everything; the same seed is the same world, step by step.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/simulation/core.h"

namespace credsync::simulation {

class World {
 public:
  explicit World(Plan plan);
  ~World();

  // Throws Broken.
  void run();
  Trace& trace() { return trace_; }
  const Timeline& time() const { return time_; }
  std::uint64_t checks() const { return judge_.checks(); }

  struct Counters {
    std::uint64_t calls = 0, starts = 0, crashes = 0, reloads = 0, sign_ins = 0, sign_outs = 0;
    std::uint64_t wakes = 0, idle_wakes = 0;  // of the core's timer; without anything that came of it
  };
  const Counters& counters() const { return counters_; }
  std::uint64_t tokens_given() const { return servers_.tokens_given(); }

 private:
  struct Outcome {
    bool answered = false;
    bool given = false;  // a token
    std::string words;
  };
  struct Caller {
    Judge::Asked asked;
    std::unique_ptr<ipc::Pending> pending;
    std::shared_ptr<Outcome> outcome;
  };
  struct Setting {  // of one account, as its admin has it
    unsigned variant = 0, edition = 0;
    bool present = true, enabled = true;
  };

  // The machine.
  void start();
  void crash();
  void stop();
  void end_run(bool crashed);
  void maybe_crash();
  void settle();
  void run_until(True end);
  void poke_disk();
  void sync_batch();
  void commit_batch();

  // What goes on, again and again.
  void every(Duration mean, const char* stream, std::function<void(Chance&)> act);
  void begin_callers();
  void begin_people();
  void begin_machine_faults();
  void begin_provider_faults();

  // Acts.
  std::shared_ptr<const Outcome> get(const AccountPlan& account, Duration min_valid, Duration wait);
  void reject(const AccountPlan& account);
  void order_refresh(const AccountPlan& account);
  void sign_in(const AccountPlan& account);
  void finish_browser(const AccountPlan& account, std::size_t grant);
  void sign_out(const AccountPlan& account);
  void edit(const AccountPlan& account, Chance& chance);
  void ambush(const std::string& account);
  void reload(const AccountPlan& account);
  void step_clock(Duration by);
  void suspend(Duration length);

  // The end: all is well again, and everything must come right.
  void calm_down();
  void check_alive(const AccountPlan& account);
  void check_all_alive();

  config::Config make_config() const;
  const AccountPlan& any_account(Chance& chance) const;
  const ProviderPlan& provider_of(const AccountPlan& account) const { return plan_.providers[account.provider]; }
  bool up() const { return core_ != nullptr && !stopping_ && !time_.asleep(); }
  void tell_judge_of(const config::Config& config);

  const Plan plan_;
  Timeline time_;
  Trace trace_{time_};
  Tasks tasks_;
  Servers servers_;
  fakes::MemoryDisk disk_;
  Judge judge_;
  Network network_;
  Chance crashes_, disk_chance_, ambush_;
  std::unique_ptr<fakes::MemoryStore> store_;
  config::Config config_;
  std::unique_ptr<Core> core_;
  std::map<std::string, Setting> settings_;
  std::map<std::string, std::uint64_t> last_given_;  // the generation a caller got last
  std::map<std::uint64_t, Caller> callers_;
  std::vector<std::unique_ptr<ipc::Pending>> errands_;  // of people; they wait for nothing
  std::uint64_t next_caller_ = 1;
  std::uint64_t run_number_ = 0;
  bool crash_due_ = false;
  bool stopping_ = false;
  bool syncing_ = false;
  bool disk_full_ = false;
  bool calm_ = false;
  Counters counters_;
};

}  // namespace credsync::simulation
