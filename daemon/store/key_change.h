// Changing who can open the database, while no daemon has it open: another master key, a recovery key, and the way back
// with it when the master key is lost. The data key stays, so no row is touched. Blocking.
//
// The order makes every moment safe: a new master key is first whole on the disk beside the old one, then wraps the data
// key as well as that, then takes its place, and only then the old one's wrapping goes. Whatever stops this in between,
// the key that lies in the key's place opens the database; the next start, or the next change, tidies up.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "daemon/store/database_file.h"
#include "daemon/store/master_key.h"
#include "daemon/store/recovery_key.h"
#include "daemon/store/state_directory.h"

namespace credsync::store {

struct KeyTask {
  std::string state_dir;
  KeySource source;            // where the daemon reads the master key
  std::optional<Key> given;    // the master key, by hand: for a credential that is not passed here
  std::optional<Key> new_key;  // the new one, by hand; else a random one is made
  // Called after each step that reached the disk; tests end the process in it.
  std::function<void(std::string_view)> step = [](std::string_view) {};
};

struct KeyChanged {
  std::string id;    // of the new master key
  std::string file;  // where it lies; empty: its admin must put it where the credential comes from
};

// All of these: kTaken while a daemon runs, kNotFound when there is no database, and after an error too the key that lies
// in the key's place opens the database.

// Another master key. kInvalid: the key is a credential, and no new one was given.
Result<KeyChanged> change_master_key(KeyTask task);

// A recovery key in place of an earlier one. `show` gets its text before it counts, once; false: it was not seen, and
// nothing changes.
Result<void> make_recovery_key(KeyTask task, const std::function<bool(const WipedString&)>& show);

// A new master key by the recovery key. kDenied: it is not this database's. A key file that is there and does not open
// the database is kept under another name.
Result<KeyChanged> recover_with(KeyTask task, const RecoveryKey& recovery);

// What the daemon does at its start when a change of its key file was cut off before the new key was in its place: known
// by the new key beside it. Another key to come stays, until a start with it: a credential will take the file's place.
// Only logged when it fails: the old key opens the database all the same.
void abandon_key_change(Database& database, const MasterKey& master);

// The state directory, locked, with a database in it.
Result<StateDirectory> take_with_database(const std::string& state_dir);

}  // namespace credsync::store
