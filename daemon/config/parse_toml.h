// TOML text to a tree. The only place that knows toml++.
#pragma once

#include <optional>
#include <string_view>

#include "daemon/config/tree.h"

namespace credsync::config {

constexpr unsigned kMaxTomlDepth = 32;  // tables in tables; the deepest key of the schema is at 8

// Nothing if the text is not TOML; then one problem says where and why (toml++ stops at the first). Words of
// a problem never repeat a value: an unquoted secret is the likeliest mistake.
std::optional<Node> parse_toml(std::string_view text, const std::string* file, Problems& problems);

}  // namespace credsync::config
