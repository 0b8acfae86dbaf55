// state.db as a file: made whole under another name and then renamed, so that an empty or half-made one under the right
// name is always damage, never a first start; opened only with the right key. Nothing is written before that is known.
#pragma once

#include <memory>

#include "base/result.h"
#include "daemon/store/sealer.h"
#include "daemon/store/sqlite.h"

namespace credsync::store {

struct OpenDatabase {
  std::unique_ptr<Database> database;
  Sealer sealer;  // with the data key that `master` unwrapped
};

// Makes a database with a new data key, wrapped by `master`. `path` must not exist.
Result<void> make_database(const std::string& path, const Key& master);

// kCorrupt: damaged, cut to nothing, no credsyncd database, or another key's. kTooNew: left for the newer version.
Result<OpenDatabase> open_database(const std::string& path, const Key& master);

}  // namespace credsync::store
