// The regular expressions that a profile holds its variables' values to. The standard library compiles and runs them by
// recursion, and as it is usually asked to (backtracking) its time can grow exponentially. So what is compiled is bounded,
// and run by its other way, which never goes back: time is at most values times states. Pure; safe on any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace credsync::provider {

constexpr std::size_t kMaxPatternBytes = 256;  // several times the longest in the catalogue
// Characters, those in a counted repetition as often as it counts. At most so many frames are on the stack: with this
// bound half a MiB of it, unoptimised and under sanitizers two.
constexpr std::size_t kMaxPatternCharacters = 1024;

// Whether it can be used: an ECMAScript expression within these bounds, without back references and without a lookahead
// inside another (their time would grow with powers of the value's length). The error says what is wrong with it, as in
// "is longer than …".
Result<void> check_pattern(const std::string& pattern);

// Whether it matches all of `value`. Errors are those of check_pattern(). The caller bounds the value.
Result<bool> matches_pattern(const std::string& pattern, std::string_view value);

}  // namespace credsync::provider
