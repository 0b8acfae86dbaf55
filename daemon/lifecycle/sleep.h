// Notices that the machine has slept: CLOCK_BOOTTIME has counted on meanwhile, CLOCK_MONOTONIC has not. Two tell of a
// wake-up, the wall clock's step and logind; what follows is to be done once. Loop only.
#pragma once

#include <functional>
#include <optional>

#include "base/time.h"

namespace credsync::lifecycle {

// Within it two tell of the same wake-up.
inline constexpr Duration kSameWakeUp = 4s;

class Sleep {
 public:
  // How long the machine has slept since it booted.
  using Asleep = std::function<Duration()>;
  explicit Sleep(const Clock& clock, Asleep asleep = {});  // without: as the kernel counts

  // Whether it has slept since the last wake-up that was told.
  bool was_asleep() const;
  // Somebody tells that it has woken up: how long it slept, or nothing where that is known already.
  std::optional<Duration> wake_up();

 private:
  const Clock& clock_;
  const Asleep asleep_;
  Duration known_;  // in all, as far as we have noticed
  std::optional<BootTime> woken_at_;
};

}  // namespace credsync::lifecycle
