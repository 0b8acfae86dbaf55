// Reads the whole state. What does not open is left in its row, named in Snapshot::damage and in the log, and costs
// nothing but itself. Blocking; at start.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "daemon/store/records.h"
#include "daemon/store/sealer.h"
#include "daemon/store/sqlite.h"

namespace credsync::store {

// An error means that the rows themselves cannot be read.
Result<Snapshot> read_state(Database& database, const Sealer& sealer);
Result<std::vector<Intent>> read_intents(Database& database);

}  // namespace credsync::store
