// Mends what is nearly JSON so that a strict parser takes it. Pure. Internal to json_value.cc.
#pragma once

#include <optional>
#include <string_view>

#include "base/secret.h"

namespace credsync::oauth {

// A copy of `text` without a byte order mark, with broken UTF-8, raw control characters and lone surrogates
// inside strings as U+FFFD, and with numbers that a 64-bit integer or a double may not hold as strings.
// Nothing when a key holds a NUL, which the parser would cut short into another key. Whether the rest is JSON
// is the parser's to say.
std::optional<WipedString> repair_json(std::string_view text);

// The length of the well-formed UTF-8 character at `at`, or 0.
std::size_t utf8_length(std::string_view text, std::size_t at);

}  // namespace credsync::oauth
