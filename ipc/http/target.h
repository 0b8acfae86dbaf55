// A request target (RFC 9112, 3.2) taken apart: path segments and query parameters, escapes undone. Pure and
// strict: whatever could be read in two ways is refused.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace credsync::ipc::http {

struct Target {
  std::string path;                                        // escapes not undone
  std::vector<std::pair<std::string, std::string>> query;  // in order, each name once
};

// Origin form and absolute form ("http://…"). Refused: other forms, a fragment, bytes outside visible ASCII,
// broken escapes, NUL, a parameter without a name or given twice, more than kMostParameters.
Result<Target> parse_target(std::string_view target);
inline constexpr std::size_t kMostParameters = 8;  // no path knows more than two

// One path segment with its escapes undone; nothing when it is empty.
std::optional<std::string> decode_segment(std::string_view segment);

// Decimal digits only, at most `most`.
std::optional<std::uint64_t> parse_whole(std::string_view text, std::uint64_t most);
// RFC 3339 with any offset (fractions are dropped), or whole seconds since 1970.
std::optional<WallTime> parse_moment(std::string_view text);

}  // namespace credsync::ipc::http
