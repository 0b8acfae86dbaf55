// The data key seals everything; the database holds it only wrapped: by the master key, by the master key to come while
// that is being changed, and by the recovery key if there is one. Owned by whoever opens the database, at its start or for
// a change of keys; callers bring the transaction.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "daemon/store/key.h"
#include "daemon/store/sqlite.h"

namespace credsync::store {

enum class Wrapper {
  kMaster,
  kNext,  // a new master key: made, but not yet seen where the daemon reads it. Seeing it makes it the master
  kRecovery,
};

// The id of the key that wraps, or nothing when there is no such wrapping.
Result<std::optional<std::string>> wrapped_by(Database& database, Wrapper wrapper);

// kNotFound: no such wrapping. kDenied: it is another key's. kCorrupt: it is this key's and damaged.
Result<Key> unwrap(Database& database, Wrapper wrapper, const Key& key);
// Replaces an earlier wrapping of the kind.
Result<void> wrap(Database& database, Wrapper wrapper, const Key& key, const Key& data_key);
Result<void> drop_wrapping(Database& database, Wrapper wrapper);
// The master key to come is the master from now on; the one before opens nothing any more.
Result<void> promote_next(Database& database);

// Makes one step durable, and cuts the write-ahead log so that what it replaced is in no file any more.
template <typename Step>
Result<void> change_wrappings(Database& database, Step&& step) {
  CREDSYNC_TRY(database.execute("BEGIN IMMEDIATE"));
  Result<void> done = step();
  if (done) done = database.execute("COMMIT");
  if (!done) {
    if (database.in_transaction()) [[maybe_unused]]
      const auto undone = database.execute("ROLLBACK");
    return done;
  }
  return database.truncate_log();
}

}  // namespace credsync::store
