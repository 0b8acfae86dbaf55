// Provider profiles from merged trees: `extends` applied, every key checked, every fact with its place.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "daemon/config/tree.h"

namespace credsync::config {

using Profiles = std::map<std::string, std::shared_ptr<const provider::Profile>>;

struct ReadProfiles {
  Profiles good;
  std::set<std::string> broken;  // ids whose profile has a problem already: their accounts need no second one
};

// `providers` is the merged [provider] table of all files: id -> profile.
ReadProfiles read_profiles(const Node& providers, Problems& problems);

// endpoints.token = "https://…" is short for endpoints.token.url; made long before files are merged.
void normalise_profiles(Node& providers);

}  // namespace credsync::config
