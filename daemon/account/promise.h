// How far ahead promises are stored (docs/decisions/032). A caller is promised its token until a moment; what is stored
// lies a step beyond the last promise, so that one write covers many hand-outs. Pure.
#pragma once

#include <algorithm>
#include <optional>

#include "base/time.h"

namespace credsync::account {

constexpr Duration kLongestPromise = 1h;  // design section 2
// As far ahead as the promise is long, within these: who asks for a minute at a time costs a write a minute, and a token
// that is replaced just after a crash is kept for twice as long as it was promised, or by ten minutes.
constexpr Duration kLeastStep = 1min;
constexpr Duration kMostStep = 10min;

inline Duration promise_step(Duration longest) {
  return std::clamp<Duration>(longest, kLeastStep, kMostStep);
}

// What to store for a token that ends at `ends` and was promised until `promised`, at most for `longest` at a time.
inline WallTime promise_to_keep(WallTime promised, Duration longest, std::optional<WallTime> ends) {
  return std::min(saturating_add(promised, promise_step(longest)), ends.value_or(kWallMax));
}

// What was stored, as far as it can be true: the wall clock may have been set back since.
inline WallTime believable_promise(WallTime stored, WallTime now) {
  return std::min(stored, saturating_add(now, kLongestPromise + kMostStep));
}

}  // namespace credsync::account
