#include "daemon/store/key_change.h"

#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "base/fail_point.h"
#include "base/file.h"
#include "base/log.h"
#include "base/time.h"
#include "daemon/store/data_key.h"

namespace credsync::store {
namespace {

// A link may lead to where keys are kept: the new key belongs beside the old one, not beside the link.
std::string resolved(const std::string& path) {
  const std::unique_ptr<char, decltype(&::free)> real(::realpath(path.c_str(), nullptr), &::free);
  return real ? real.get() : path;
}

struct Opened {
  StateDirectory directory;
  std::unique_ptr<Database> database;
  std::string key_file;  // empty: a credential
};

// The file that holds the key; empty: a credential, or it cannot be known, and then the new key must come by hand and
// counts wherever the daemon finds it.
std::string place_of_key(const KeyTask& task, const StateDirectory& directory) {
  switch (task.source.kind) {
    case KeySource::Kind::kFile: return resolved(task.source.path);
    case KeySource::Kind::kCredential: return {};
    case KeySource::Kind::kDefault: break;
  }
  if (task.given) return {};
  const auto file = key_file_of(task.source, directory.key());
  if (!file || file->empty()) return {};
  return file_exists(*file) || !task.new_key ? resolved(*file) : std::string();
}

Result<Opened> open_for_change(const KeyTask& task) {
  start_sealing();
  auto directory = take_with_database(task.state_dir);
  if (!directory) return directory.error();
  std::string key_file = place_of_key(task, *directory);
  auto database = open_without_key(directory->database());
  if (!database) return database.error();
  return Opened{std::move(*directory), std::move(*database), std::move(key_file)};
}

Result<Key> master_of(KeyTask& task, const StateDirectory& directory) {
  if (task.given) return std::move(*task.given);
  auto master = read_master_key(task.source, directory.key(), directory.database(), false);
  if (!master) return master.error();
  return std::move(master->key);
}

// The data key by the master key, or by the one that a change which was cut off has prepared.
Result<Key> data_key_by(Database& database, const Key& master) {
  for (const Wrapper wrapper : {Wrapper::kMaster, Wrapper::kNext}) {
    auto key = unwrap(database, wrapper, master);
    if (key) return key;
    const ErrorCode code = key.error().code();
    if (code != ErrorCode::kNotFound && code != ErrorCode::kDenied) return key;
  }
  return denied("the master key (id " + master.id() + ") does not open this database");
}

// The place of the key to come must be free, also when a change was cut off after the key was put in place.
Result<void> end_earlier_change(Database& database, const Key& master) {
  const auto next = wrapped_by(database, Wrapper::kNext);
  if (!next) return next.error();
  if (*next != master.id()) return {};
  return change_wrappings(database, [&] { return promote_next(database); });
}

// The id of the key in a file; empty when it holds none.
std::string id_in(const std::string& file) {
  auto text = read_checked_file(file, kMaxKeyFile, Secrecy::kSecret);
  if (!text) return {};
  const auto key = decode_key(std::move(*text), file);
  return key ? key->id() : std::string();
}

// Takes back the key to come of a file's change. Its file goes last: while that is there, the next start does it. False:
// that is left to do.
bool take_back(Database& database, const std::string& key_file, const std::string& id) {
  const auto prepared = [&] {
    const auto next = wrapped_by(database, Wrapper::kNext);
    return !next || (*next && **next == id);
  };
  if (prepared()) [[maybe_unused]]
    const auto dropped = change_wrappings(database, [&] { return drop_wrapping(database, Wrapper::kNext); });
  if (prepared()) return false;
  ::unlink(fresh_key_file(key_file).c_str());
  return true;
}

// From here on a crash leaves a database that the key in the key's place opens.
Result<KeyChanged> put_in_place(const KeyTask& task, Opened& opened, const Key& data_key, const Key& fresh) {
  Database& database = *opened.database;
  KeyChanged changed{fresh.id(), opened.key_file};
  if (!changed.file.empty()) {
    CREDSYNC_TRY(write_fresh_key(changed.file, fresh));
    task.step("written");
    CREDSYNC_FAIL_POINT("key.written");
  }
  const auto prepared = change_wrappings(database, [&] { return wrap(database, Wrapper::kNext, fresh, data_key); });
  if (!prepared) {
    if (!changed.file.empty()) take_back(database, changed.file, fresh.id());
    return prepared.error();
  }
  task.step("prepared");
  CREDSYNC_FAIL_POINT("key.prepared");
  if (changed.file.empty()) return changed;  // the daemon's first start with it does the rest
  CREDSYNC_TRY(use_fresh_key(changed.file));
  task.step("in place");
  CREDSYNC_FAIL_POINT("key.in-place");
  CREDSYNC_TRY(change_wrappings(database, [&] { return promote_next(database); }));
  task.step("promoted");
  CREDSYNC_FAIL_POINT("key.promoted");
  return changed;
}

Result<Key> new_key_of(KeyTask& task, const Opened& opened) {
  if (task.new_key) return std::move(*task.new_key);
  if (!opened.key_file.empty()) return Key::random();
  return invalid(
      "the master key is a credential: make a new one, (umask 077; head -c32 /dev/urandom | base64 > FILE), and name that file with --new-key");
}

// Put there by somebody, and maybe another database's: not ours to overwrite.
Result<void> keep_wrong_key(const std::string& file) {
  if (file.empty() || !file_exists(file)) return {};
  const std::string kept = file + ".wrong-" + to_rfc3339(SystemClock().wall());
  if (::link(file.c_str(), kept.c_str()) != 0) return from_errno("keep " + file + " as " + kept, errno);
  log::notice("the key file that does not open the database was kept", {{"FILE", kept}});
  return sync_folder_of(file);
}

}  // namespace

Result<StateDirectory> take_with_database(const std::string& state_dir) {
  const std::string database = state_dir + "/state.db";
  if (!file_exists(database)) return not_found("there is no database: " + database);
  auto directory = StateDirectory::take(state_dir);
  if (!directory && directory.error().code() == ErrorCode::kTaken) {
    return Error(ErrorCode::kTaken, directory.error().message() + "; stop it first");
  }
  return directory;
}

Result<KeyChanged> change_master_key(KeyTask task) {
  auto opened = open_for_change(task);
  if (!opened) return opened.error();
  const auto master = master_of(task, opened->directory);
  if (!master) return master.error();
  const auto data_key = data_key_by(*opened->database, *master);
  if (!data_key) return data_key.error();
  const auto fresh = new_key_of(task, *opened);
  if (!fresh) return fresh.error();
  if (fresh->id() == master->id()) return invalid("the new master key is the one in use");
  CREDSYNC_TRY(make_writable(*opened->database));
  CREDSYNC_TRY(end_earlier_change(*opened->database, *master));
  return put_in_place(task, *opened, *data_key, *fresh);
}

Result<void> make_recovery_key(KeyTask task, const std::function<bool(const WipedString&)>& show) {
  auto opened = open_for_change(task);
  if (!opened) return opened.error();
  const auto master = master_of(task, opened->directory);
  if (!master) return master.error();
  Database& database = *opened->database;
  const auto data_key = data_key_by(database, *master);
  if (!data_key) return data_key.error();
  CREDSYNC_TRY(make_writable(database));
  const RecoveryKey recovery = RecoveryKey::random();
  if (!show(recovery.text()))
    return Error(ErrorCode::kCancelled, "the recovery key was not shown; nothing was changed");
  task.step("shown");
  CREDSYNC_TRY(
      change_wrappings(database, [&] { return wrap(database, Wrapper::kRecovery, recovery.key(), *data_key); }));
  task.step("wrapped");
  return {};
}

Result<KeyChanged> recover_with(KeyTask task, const RecoveryKey& recovery) {
  auto opened = open_for_change(task);
  if (!opened) return opened.error();
  Database& database = *opened->database;
  const auto data_key = unwrap(database, Wrapper::kRecovery, recovery.key());
  if (!data_key) {
    const ErrorCode code = data_key.error().code();
    if (code == ErrorCode::kNotFound) return not_found("this database has no recovery key");
    if (code == ErrorCode::kDenied) return denied("this recovery key is written well, but it is not this database's");
    return data_key.error();
  }
  const auto master = master_of(task, opened->directory);
  if (master && data_key_by(database, *master)) {
    return invalid("the master key opens the database: there is nothing to recover");
  }
  const auto fresh = new_key_of(task, *opened);
  if (!fresh) return fresh.error();
  CREDSYNC_TRY(make_writable(database));
  CREDSYNC_TRY(keep_wrong_key(opened->key_file));
  return put_in_place(task, *opened, *data_key, *fresh);
}

void abandon_key_change(Database& database, const MasterKey& master) {
  if (master.file.empty()) return;  // its new key may come with any start
  const std::string file = resolved(master.file);
  const auto next = wrapped_by(database, Wrapper::kNext);
  if (!next || !*next || **next == master.key.id()) return;
  // No change of this file prepared it: it is a key made by hand, for a credential that will take the file's place.
  if (id_in(fresh_key_file(file)) != **next) return;
  const bool tidied = take_back(database, file, **next);
  log::warning("a change of the master key was cut off before it was complete; the old key stays",
               {{"FILE", master.file}, {"TIDIED", tidied ? "yes" : "no"}});
}

}  // namespace credsync::store
