// The model that the daemon is held to. It sees what goes in and out: what is sent to providers and comes back, what is
// durable, what callers are given and told, what people order. It never looks at the daemon's own notes. A broken
// invariant is thrown as Broken, at the step at which it breaks.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "daemon/oauth/token_endpoint.h"
#include "ipc/service.h"
#include "tests/fakes/memory_store.h"
#include "tests/simulation/servers.h"

namespace credsync::simulation {

class Judge {
 public:
  Judge(const Plan& plan, const Timeline& time, Servers& servers, const fakes::MemoryDisk& disk, Trace& trace);

  // People: what the configuration says (null: nothing), and what was ordered.
  void configured(const std::string& account, std::shared_ptr<const config::Account> config);
  void order_given(const std::string& account);
  void sign_out_asked(const std::string& account) { known(account).sign_out_asked = true; }

  // The process and its clocks.
  void started();
  void loaded();  // the store has been read
  void ended(bool crashed);
  void dismiss() { dismissed_ = true; }
  void clock_steps();  // before that
  void clock_stepped() { stepped_at_ = time_.now(); }
  void disk_full(bool full) {
    disk_full_ = full;
    disk_full_until_ = time_.now();
  }
  void falls_asleep() { fell_asleep_ = time_.now(); }
  void awake() { awake_since_ = time_.now(); }
  // From now on nothing goes wrong any more.
  void calm_begins() {
    calm_ = true;
    calm_since_ = time_.now();
  }

  // Before a call leaves, and before its outcome reaches the daemon. `reply`: what the server gave out, if it acted.
  void sent(std::uint64_t call, const oauth::TokenCall& what);
  void outcome(std::uint64_t call, const oauth::TokenOutcome& outcome);
  // Of a sign-in: it is known who that was.
  void identified(std::string_view access);
  void revoking(const config::Account* account, std::size_t provider, std::string_view token);
  void revocation_refused(std::string_view token) { refused_.insert(std::string(token)); }

  // The store: a change is in the database; an answer is in its slot; a change was refused.
  void applied(const store::Change& change);
  void in_slot(const store::Change& change);
  void refused(const store::Change& change);

  // What becomes visible, and what callers get.
  void published(const std::string& account, std::uint64_t generation, std::string_view access);
  struct Asked {
    std::string account;
    Duration min_valid{0};
    bool at_once_expected = false;
    True at{0};
  };
  Asked asked(const std::string& account, Duration min_valid) const;
  void handed_out(const Asked& asked, const ipc::TokenView& view, bool at_once);
  void told_problem(const Asked& asked, const ipc::Problem& problem);
  void still_waiting(const Asked& asked) const;

  // Nothing has been wrong for a while: what must be true now. Names of accounts that must work.
  void check_placed(Duration patience) const;
  bool must_work(const std::string& account) const;
  void check_fresh(const std::string& account) const;
  void check_retired() const;
  std::uint64_t checks() const { return checks_; }
  bool answers_wait() const { return !disk_.answers.empty(); }

 private:
  // What reached the daemon and what was said of it.
  struct Delivered {
    std::string account, access, refresh, sent_refresh;
    std::shared_ptr<const config::Account> config;
    True sent{0}, at{0};
    True identified{-1};
    Duration offset{0};  // of the wall clock when it was sent
    unsigned run = 0;    // of the daemon
    std::optional<Duration> lifetime;
    std::optional<WallTime> expires_at;
    bool placed = false, lost = false;
    bool replaced = false;             // a later sign-in was in force before it had its place
    std::shared_ptr<Delivered> shown;  // what is in force, while the same access token came again
  };
  struct Call {
    std::string account, refresh;
    std::shared_ptr<const config::Account> config;
    True sent{0};
    Duration offset{0};
    bool rotates = false;
    bool own = false;   // a refresh of what the account has
    std::string grant;  // account and identity
  };
  struct Sends {
    unsigned unknown = 0;  // outcomes that nobody knows
    unsigned unclear = 0;  // refusals that may mean anything
    True first{0};
    bool given_up_rightly = false;
    bool ordered = false;         // by a person, when its outcome was unknown
    bool within_overlap = false;  // the last outcome was known to be unknown while the overlap lasted
  };
  struct Promise {
    WallTime until;
    WallTime ever;  // whatever the clock did since
    True at{0};
  };
  struct Known {
    std::shared_ptr<const config::Account> config;
    bool sign_out_asked = false;
    std::string visible;  // the access token that the daemon shows
    std::string row_access, row_refresh, row_identity;
    std::optional<WallTime> row_ends;
    True row_since{0};
    WallTime promised_by_store;  // what the daemon knows of earlier promises for it
    True parked_at{-1};
    bool signed_out = false;
    std::size_t row_grant = SIZE_MAX;
    std::uint64_t row_generation = 0;
    std::size_t signed_out_before = 0;  // grants up to this one are over by order
    True installed_at{0};
    std::map<std::uint64_t, std::string> by_generation;
    std::uint64_t highest_shown = 0;
    std::vector<True> on_demand;  // the last ones
    std::vector<True> sent;       // likewise
    True troubled_at{-1};         // a failure, a start, an order: retries have reasons of their own
  };

  Known& known(const std::string& account) { return known_[account]; }
  void demand(bool holds, const char* invariant, const std::string& account, const std::string& words) const;
  const store::StoredAccount* row(const std::string& account) const;
  bool durable(const std::string& account, std::string_view access) const;
  std::optional<True> end_of(const std::string& access) const;
  bool good(const std::string& access) const;
  void check_intent(const oauth::TokenCall& what, const std::string& refresh, Sends& sends);
  void check_rate(const oauth::TokenCall& what, bool own);
  void check_bounded(Known& of, const std::string& account);
  void check_end(const store::Install& install) const;
  void check_on_demand(Known& of, const config::Account& config);
  bool revokes_always(const std::string& account) const;
  const store::Retirement* queued(std::string_view token) const;
  void check_superseded(const Known& of, const store::Install& install);
  void check_order(const Known& of, const store::Install& install);
  void take_row(const std::string& account);
  std::optional<WallTime> stored_promise(const std::string& access) const;
  void check_promise_kept(const std::string& access, Promise& promise, bool crashed);
  void check_promise_short(const std::string& account, WallTime until, std::optional<True> in_slot = {}) const;
  void excuse_what_was_sent_again();
  void check_over(const store::RetirementOver& over);
  void place(std::string_view refresh, std::string_view access);
  void note_places(const store::Change& change);
  bool may_be_erased(const Delivered& d) const;
  bool excused(const std::string& refresh) const;
  bool steady_since(True when) const { return stepped_at_ < when; }
  bool replaced_in_slot(const std::string& account, std::string_view access) const;
  bool superseded_in_slot(const std::string& account, std::string_view token) const;
  void note_replaced(const std::string& account);
  // The last moment at which the machine could do anything.
  True last_awake() const { return time_.asleep() ? std::max(fell_asleep_, awake_since_) : time_.now(); }

  const Plan& plan_;
  const Timeline& time_;
  Servers& servers_;
  const fakes::MemoryDisk& disk_;
  Trace& trace_;
  std::map<std::string, Known> known_;
  std::map<std::uint64_t, Call> calls_;
  std::map<std::string, Delivered> delivered_;           // by access token
  std::map<std::string, Sends> sends_;                   // by refresh token
  std::map<std::string, unsigned> flying_;               // refresh tokens on their way
  std::map<std::string, Promise> promised_;              // by access token
  std::map<store::SlotId, True> in_slot_since_;          // answers; no number of a slot is given twice
  std::set<std::string> refused_;                        // tokens that a provider would not revoke
  std::map<std::string, True> superseded_;               // when its successor was durable
  std::map<std::string, std::pair<True, True>> paused_;  // by endpoint and client: since, until
  std::map<std::string, std::vector<True>> posts_;       // within the last second, where a rate is declared
  struct Queued {
    std::string account, token;
    WallTime give_up_at;
    bool ended = false;  // as the wall clock said at some time
  };
  std::map<std::int64_t, Queued> queued_;  // retirements that are durable
  unsigned run_ = 0;
  Duration offset_at_start_{0};
  True started_at_{0};
  True stepped_at_{-1};
  True awake_since_{0}, fell_asleep_{0};
  bool disk_full_ = false;
  True disk_full_until_{Duration(-days(1))};
  std::map<std::string, True> promise_refused_;  // by account: when the store last could not take what was promised
  bool calm_ = false;
  bool dismissed_ = false;
  True calm_since_{0};
  mutable std::uint64_t checks_ = 0;
};

}  // namespace credsync::simulation
