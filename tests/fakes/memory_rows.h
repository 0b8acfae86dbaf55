// What changes do to the rows of a MemoryDisk: the same as daemon/store/state_writer.h to the tables.
#pragma once

#include <optional>
#include <string>

#include "tests/fakes/memory_store.h"

namespace credsync::fakes {

// Refused whole, or done.
Result<store::Ids> apply_to(MemoryDisk& disk, const store::Change& change);

// The account that a late answer is stored for, as StateWriter::account_of(); nothing: it would be refused.
std::optional<std::string> account_of(const MemoryDisk& disk, const store::UpdateParked& update);

}  // namespace credsync::fakes
