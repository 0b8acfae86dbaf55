// state.db as a file: made whole under another name and then renamed, so that an empty or half-made one under the right
// name is always damage, never a first start; opened only with the right key. Nothing is written before that is known.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "daemon/store/sealer.h"
#include "daemon/store/sqlite.h"

namespace credsync::store {

struct OpenDatabase {
  std::unique_ptr<Database> database;
  Sealer sealer;   // with the data key that `master` unwrapped
  std::string id;  // of that key: what tells this database from all others
};

// Makes a database with a new data key, wrapped by `master`. `path` must not exist.
Result<void> make_database(const std::string& path, const Key& master);

// The same under a name that nobody opens, with more in it; a leftover of that name goes. The caller renames it.
using FillDatabase = std::function<Result<void>(Database&)>;
Result<void> write_database(const std::string& path, const Key& master, const FillDatabase& fill);

// kCorrupt: damaged, cut to nothing, no credsyncd database, or another key's. kTooNew: left for the newer version.
// A master key that was prepared by a change of keys (key_change.h) is the master key from here on.
Result<OpenDatabase> open_database(const std::string& path, const Key& master);

// An error of the start as a person is to read it, with what it means for the file.
Error explained(const Error& error, const std::string& path);

// For those who have no master key: what is not sealed can be read. The same errors, but for the key.
Result<std::unique_ptr<Database>> open_without_key(const std::string& path);
// Write-ahead log and schema, for who has found the data key of a database opened without one.
Result<void> make_writable(Database& database);

// What an admin can do who lost the master key, as words.
std::string ways_to_open(Database& database);

}  // namespace credsync::store
