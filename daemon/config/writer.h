// Profiles and accounts as lines of TOML, `key = value` with dotted keys: what dump() prints and what
// fingerprints hash. Secrets are not in them, only where they come from.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "daemon/config/config.h"

namespace credsync::config {

using Lines = std::vector<std::pair<std::string, std::string>>;

// Every key, in the order of the schema, the defaults too.
Lines lines_of(const provider::Profile& profile);
Lines lines_of(const Account& account);

// Rules of `allow` as one inline array.
std::string toml_rules(const std::vector<AllowRule>& rules);
// One secret source: { file = "…" }.
std::string toml_source(const SecretSource& source);

}  // namespace credsync::config
