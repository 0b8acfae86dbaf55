// Raises an alarm when the disk hangs: a change that is neither stored nor refused after kStuckAfter. It stands between the
// daemon and its store and sees each change begin and end, so it needs a timer only while something is on its way. What
// hangs is waited for, for nothing else may happen to it: an answer is in its hands. Loop only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include "base/agenda.h"
#include "base/time.h"
#include "daemon/store/token_store.h"

namespace credsync::lifecycle {

// A commit takes milliseconds, seconds on a disk that is overloaded. Longer, and rotating grants wait behind it.
inline constexpr Duration kStuckAfter = 10s;

class StoreAlarm final : public store::TokenStore {
 public:
  StoreAlarm(store::TokenStore& store, Agenda& agenda, const Clock& clock, std::function<void()> on_change);

  // Since when something has been on its way that should be stored by now.
  std::optional<BootTime> stuck_since() const;

  Result<store::Snapshot> load() override { return store_.load(); }
  void apply(store::Change change, UniqueFunction<void(Result<store::Ids>)> done) override;
  std::int64_t new_id() override { return store_.new_id(); }
  void begin_rotation(store::Intent intent, UniqueFunction<void(Result<store::SlotId>)> done) override;
  void drain() override { store_.drain(); }

 private:
  std::uint64_t begin();
  void end(std::uint64_t number);
  void look();

  store::TokenStore& store_;
  const Clock& clock_;
  const std::function<void()> on_change_;
  std::map<std::uint64_t, BootTime> under_way_;  // in the order of their beginning
  std::uint64_t last_ = 0;
  bool raised_ = false;
  Agenda::Entry due_;
};

}  // namespace credsync::lifecycle
