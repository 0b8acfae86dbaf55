// Refreshes accounts: plans when, lets at most one refresh of a grant be under way, lets all who wait share its outcome,
// and decides what a failure means. Lives on the loop. The road: plan() -> agenda -> start() -> Exchanger -> Installer.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/agenda.h"
#include "daemon/account/accounts.h"
#include "daemon/refresh/exchanger.h"
#include "daemon/refresh/installer.h"
#include "daemon/refresh/outcome.h"

namespace credsync::refresh {

enum class Reason {
  kPlanned,  // the agenda says so
  kNeeded,   // a caller waits for a token that is over or nearly so
  kWished,   // min_valid, reject: counted against the allowance by who asks
  kOrdered,  // `credsync refresh`: a person; also tries what only a person may
};

// How one refresh ended, for those who waited.
struct Ended {
  bool installed = false;
  std::string words;  // why not
};

class Refresher {
 public:
  Refresher(account::Accounts& accounts, store::TokenStore& store, Exchanger& exchanger, Installer& installer,
            retire::Parking& parking, Agenda& agenda, const Clock& clock, Random& random);
  ~Refresher();

  // Can this account get a new token without a person? `ordered`: if a person asks for it.
  bool can_refresh(const account::Account& account, bool ordered = false) const;
  bool under_way(const account::Account& account) const;
  // Starts a refresh unless one is under way. False: it cannot be refreshed, or must wait until next_attempt().
  bool start(account::Account& account, Reason reason);
  // The earliest moment at which an attempt is possible or planned.
  std::optional<BootTime> next_attempt(const account::Account& account) const;

  // refresh, reject and min_valid share one allowance. True takes it.
  bool take_allowance(account::Account& account);
  Duration until_allowance(const account::Account& account) const;

  // Told when the account's next attempt ends. Destroying it ends the wait.
  class Waiting {
   public:
    ~Waiting();

   private:
    friend class Refresher;
    Refresher* refresher_ = nullptr;
    std::string account_;
    std::uint64_t id_ = 0;
  };
  std::unique_ptr<Waiting> wait(const account::Account& account, UniqueFunction<void(const Ended&)> on_end);

  // The API refused a token that was fresh. After three in a row the account pauses.
  void note_rejected(account::Account& account);
  // A hand-out: short or while-used tokens that slept are planned again.
  void note_used(account::Account& account);
  // When it will be refreshed next, for the status.
  std::optional<BootTime> planned(const account::Account& account) const;

  // At start: an intent without an answer was found.
  void resume_unknown(account::Account& account, account::UnknownOutcome unknown);
  // Its parked grant is in use again: who waits need not wait for a refresh.
  void came_back(const account::Account& account);
  // After a reload or a step of the clock.
  void replan_all();
  void retry_suspended();
  // The machine has woken up, or the network has changed: attempts that only back off are made within `spread`, each at a
  // moment of its own. What a provider asked for (Retry-After) stands, and so do attempts that are late for a reason.
  void hurry(Duration spread);
  // Whether an account waits for another attempt.
  bool any_retrying() const;
  // Its configuration changed: what failed before may work now.
  void retry_mended(account::Account& account);

  // Nothing new starts. What is under way ends as it may.
  void stop() { stopped_ = true; }
  std::size_t under_way() const { return flights_.size(); }

  // Told of each refresh that brought a new generation (`why` is empty) and of each new reason why one did not.
  using Observer = std::function<void(const account::Account&, std::string_view why)>;
  void observe(Observer observer) { observer_ = std::move(observer); }
  // Told when under_way() has changed.
  void observe_flights(std::function<void()> observer) { flights_changed_ = std::move(observer); }

  struct Counters {
    std::uint64_t started = 0, installed = 0, failed = 0;
  };
  const Counters& counters() const { return counters_; }

 private:
  struct Flight;
  struct Plan;
  struct ClientPause;

  std::optional<ExchangeOrder> make_order(const account::Account& account, bool ordered) const;
  void changed(account::Account& account, account::What what);
  account::Account* account_of(const Flight& flight) const;
  void detach_foreign_flight(const account::Account& account, Plan& plan);
  bool attach_own_flight(const account::Account& account);
  // `now` is the caller's, for the clock goes on between two looks: never before it, and it itself once the time has come.
  std::optional<BootTime> held_until(const account::Account& account, BootTime now) const;
  BootTime floor_reached(const account::Account& account, BootTime now) const;
  std::optional<BootTime> overlap_ends(const account::Account& account) const;
  void plan(account::Account& account);
  void on_due(account::Account& account);
  void exchanged(std::uint64_t flight_id, Exchanged exchanged);
  bool ended_on_its_way(const account::Account& account) const;
  void refuse_stranger(Flight& flight);
  void not_stored(Flight& flight, const std::string& why, std::optional<store::SlotId> slot);
  void complete(Flight& flight, account::TokenSet& tokens) const;
  void failed(Flight& flight, const oauth::Failure& failure, std::optional<store::SlotId> slot);
  void apply(account::Account& account, Flight& flight, const oauth::Failure& failure, const Verdict& verdict);
  void pause_client(account::Account& origin, const oauth::Failure& failure);
  void pause_more(const std::string& origin);
  void resume_client(const account::Account& origin);
  void note_pause(const account::Account& account);
  void end_slow_retries(account::Account& account);
  void set_standing(account::Account& account, account::State state, const oauth::Failure& failure, std::string words);
  void end(std::uint64_t flight_id, Ended ended);

  account::Accounts& accounts_;
  store::TokenStore& store_;
  Exchanger& exchanger_;
  Installer& installer_;
  retire::Parking& parking_;
  Agenda& agenda_;
  const Clock& clock_;
  Random& random_;
  std::map<std::uint64_t, std::unique_ptr<Flight>> flights_;
  std::set<std::pair<std::string, std::uint64_t>> flights_of_;    // the same by account: ten thousand may be under way
  std::unordered_map<std::string, std::unique_ptr<Plan>> plans_;  // by account
  std::uint64_t next_id_ = 1;
  bool stopped_ = false;
  std::map<std::string, std::unique_ptr<ClientPause>>
      pauses_;                                           // that have not come to all accounts yet, by whose try failed
  std::map<std::string, std::set<std::string>> paused_;  // accounts that wait for their client to work again, by it
  Observer observer_;
  std::function<void()> flights_changed_;
  Counters counters_;
};

}  // namespace credsync::refresh
