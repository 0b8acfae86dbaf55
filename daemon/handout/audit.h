// Who got or was refused what. Kept in memory for `credsync log` and written to the log; never blocks. Loop only.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "ipc/service.h"

namespace credsync::handout {

constexpr std::size_t kKeptRecords = 4096;  // for `credsync log`; the journal has them all
constexpr Duration kRepeatEvery = 60s;      // repeats of one hand-out or refusal are counted and told each minute
constexpr std::size_t kDistinctRepeats =
    8192;  // callers x accounts remembered; beyond that the oldest minute is forgotten

class Audit {
 public:
  explicit Audit(const Clock& clock) : clock_(clock) {}

  struct Entry {
    const ipc::Caller& caller;
    std::string_view action, decision, account;
    std::uint64_t generation = 0;
    std::string_view rule, detail;
  };
  // Always recorded.
  void record(const Entry& entry);
  // Recorded at once the first time (per user, account, generation, action and decision), then at most once a minute
  // with the number since.
  void record_repeating(const Entry& entry);

  std::vector<ipc::AuditRecord> since(std::optional<WallTime> when) const;

 private:
  using Key = std::tuple<uid_t, std::string, std::uint64_t, std::string, std::string>;
  struct Repeat {
    BootTime told;
    std::uint64_t untold = 0;
  };

  const Clock& clock_;
  std::deque<ipc::AuditRecord> records_;
  std::map<Key, Repeat> repeats_;
};

}  // namespace credsync::handout
