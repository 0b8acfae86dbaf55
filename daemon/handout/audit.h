// Who got or was refused what. Kept in memory for `credsync log` and written to the log; never blocks. Loop only.
//
// Hand-outs and refusals repeat: the first of a user, unit, account, generation, action and decision is recorded at
// once, what follows is counted and told each minute, also when nothing follows any more.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/agenda.h"
#include "ipc/service.h"

namespace credsync::handout {

constexpr std::size_t kKeptRecords = 4096;  // for `credsync log`; the journal has them all
constexpr Duration kRepeatEvery = 60s;
// Different repeats remembered at a time; beyond that all are told and forgotten.
constexpr std::size_t kDistinctRepeats = 8192;
// A user's processes whose unit is read for the audit alone, a second: who opens more connections than that is recorded
// without a unit, instead of costing everybody's time.
constexpr unsigned kLooksPerSecond = 100;
// Different refusals of a user recorded a minute; beyond that they are counted as one, so that nobody can fill the log
// with names of accounts that he makes up.
constexpr unsigned kRefusalsPerMinute = 64;
constexpr std::size_t kUsersRemembered = 4096;

class Audit {
 public:
  Audit(const Clock& clock, Agenda& agenda) : clock_(clock), minute_(agenda, [this] { tell_due(); }) {}

  struct Entry {
    const ipc::Caller& caller;
    std::string_view action, decision, account;
    std::uint64_t generation = 0;
    std::string_view rule, detail;
  };
  // Always recorded.
  void record(const Entry& entry);
  // At once the first time, then once a minute with the number.
  void record_repeating(const Entry& entry);
  // What the daemon did by itself: nobody asked.
  void record_own(std::string_view action, std::string_view decision, std::string_view account,
                  std::uint64_t generation, std::string_view detail);
  // Tells what has been counted and not told: the daemon stops.
  void flush();

  std::vector<ipc::AuditRecord> since(std::optional<WallTime> when) const;

 private:
  // What makes two hand-outs the same. Views while it is looked up, strings once it is kept.
  template <typename Text>
  struct Key {
    uid_t uid;
    std::uint64_t generation;
    Text unit, account, action, decision;
  };
  using KeptKey = Key<std::string>;
  using SoughtKey = Key<std::string_view>;
  struct Hash {
    using is_transparent = void;
    template <typename Text>
    std::size_t operator()(const Key<Text>& key) const;
  };
  struct Same {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const Key<A>& a, const Key<B>& b) const;
  };
  struct Repeat {
    BootTime told;
    std::uint64_t untold = 0;
    ipc::AuditRecord last;  // the one that will be told, without its time and number
  };
  using Repeats = std::unordered_map<KeptKey, Repeat, Hash, Same>;
  struct Allowance {  // what is left to a user of the present second, or minute
    BootTime second, minute;
    unsigned looks = 0, refusals = 0;
  };

  std::string_view unit_of(const ipc::Caller& caller, BootTime now);
  Allowance& allowance_of(uid_t uid, BootTime now);
  static SoughtKey key_of(const Entry& entry, std::string_view unit);
  ipc::AuditRecord describe(const Entry& entry, std::string_view unit) const;
  void keep(ipc::AuditRecord record);
  void count(Repeat& repeat, const Entry& entry);
  void tell(Repeat& repeat, BootTime now);
  void tell_due();
  void make_room(BootTime now);

  const Clock& clock_;
  std::deque<ipc::AuditRecord> records_;
  Repeats repeats_;
  std::set<std::pair<BootTime, Repeat*>> due_;  // those with something untold, by the end of their minute
  std::unordered_map<uid_t, Allowance> allowances_;
  Agenda::Entry minute_;
};

}  // namespace credsync::handout
