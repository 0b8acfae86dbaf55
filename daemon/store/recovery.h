// The start: answered slots are installed, then everything is read. Blocking; once, before the store thread begins.
#pragma once

#include <functional>
#include <vector>

#include "daemon/store/answer_slots.h"
#include "daemon/store/state_writer.h"

namespace credsync::store {

struct Recovered {
  Snapshot state;                   // with all answers installed
  std::vector<Change> uncommitted;  // answers that are in `state` and in their slots, but could not be committed
  std::uint64_t next_sequence = 1;
  std::int64_t first_id = 1;  // ids of this run begin here
  Counts counts;              // that are in the database
  bool committed = false;     // false: the disk is full; the next start does it
};

// What is known of how old the database should be.
struct Past {
  Witness& witness;
  bool restored = false;  // an admin says that it is an older copy
  WallTime now;
};

// Where it is older than it should be, accounts are frozen, as decision 022 says. An error means that the state cannot be
// read; nothing was changed then.
Result<Recovered> recover(Database& database, const Sealer& sealer, StateWriter& writer, AnswerSlots& slots, Past past);

}  // namespace credsync::store
