#include "daemon/lifecycle/sleep.h"

#include <time.h>

#include <utility>

namespace credsync::lifecycle {
namespace {

constexpr Duration kNoticed = 100ms;  // the two clocks are not read in the same moment

Duration time_asleep(const Clock& clock) {
  timespec awake{};
  ::clock_gettime(CLOCK_MONOTONIC, &awake);
  return clock.boot().time_since_epoch() - std::chrono::seconds(awake.tv_sec) -
         std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(awake.tv_nsec));
}

}  // namespace

Sleep::Sleep(const Clock& clock, Asleep asleep)
    : clock_(clock), asleep_(asleep ? std::move(asleep) : [&clock] { return time_asleep(clock); }), known_(asleep_()) {}

bool Sleep::was_asleep() const {
  return asleep_() - known_ > kNoticed;
}

std::optional<Duration> Sleep::wake_up() {
  if (woken_at_ && clock_.boot() - *woken_at_ < kSameWakeUp) return std::nullopt;
  woken_at_ = clock_.boot();
  const Duration now = asleep_();
  return now - std::exchange(known_, now);
}

}  // namespace credsync::lifecycle
