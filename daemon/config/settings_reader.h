// The tables of credsyncd.toml that are not about accounts: [listen], [store], [refresh], [callers].
#pragma once

#include "daemon/config/tree.h"

namespace credsync::config {

// `settings` is the merged top level of all settings files. Fills `config` from its tables, defaults from
// `paths`.
void read_settings(const Node& settings, const Paths& paths, Config& config, Problems& problems);

}  // namespace credsync::config
