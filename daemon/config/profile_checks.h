// What must hold between the fields of one profile, whatever account uses it.
#pragma once

#include "daemon/config/tree.h"
#include "daemon/provider/profile.h"

namespace credsync::config {

// Adds a problem for each thing that would make requests of this profile wrong or unsafe. `tree` gives the
// places.
void check_profile(const provider::Profile& profile, const Node& tree, Problems& problems);

// An endpoint with its TOML name.
struct NamedEndpoint {
  std::string_view name;
  const provider::Endpoint* endpoint;
};
std::vector<NamedEndpoint> endpoints_of(const provider::Profile& profile);

}  // namespace credsync::config
