#include "daemon/store/database_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/fail_point.h"
#include "base/file.h"
#include "base/log.h"
#include "base/message_ids.h"
#include "daemon/store/data_key.h"
#include "daemon/store/migrations.h"
#include "daemon/store/state_directory.h"

namespace credsync::store {
namespace {

constexpr std::string_view kNothingChanged = "; nothing was changed";

Result<void> write_schema(const std::string& path, const Key& master, const FillDatabase& fill) {
  auto opened = Database::open(path);
  if (!opened) return opened.error();
  Database& database = **opened;
  CREDSYNC_TRY(database.execute("PRAGMA application_id = " + std::to_string(kApplicationId)));
  CREDSYNC_TRY(migrate(database, migrations()));
  CREDSYNC_FAIL_POINT("database.schema");
  CREDSYNC_TRY(wrap(database, Wrapper::kMaster, master, Key::random()));
  return fill ? fill(database) : Result<void>();
}

Result<void> check_ours(Database& database) {
  const auto id = database.integer("PRAGMA application_id");
  if (!id) return id.error();
  if (*id != kApplicationId) return corrupt("not a credsyncd database");
  const auto version = database.integer("PRAGMA user_version");
  if (!version) return version.error();
  if (*version < 1) return corrupt("has no schema");
  return check_version(database, migrations());
}

Result<std::unique_ptr<Database>> open_unread(const std::string& path) {
  auto database = Database::open(path);
  if (!database) return database.error();
  CREDSYNC_TRY(check_ours(**database));
  return database;
}

// By the master key, or by the one to come: then this is it.
Result<Key> unwrap_data_key(Database& database, const Key& master) {
  for (const Wrapper wrapper : {Wrapper::kMaster, Wrapper::kNext}) {
    auto key = unwrap(database, wrapper, master);
    if (key) return key;
    const ErrorCode code = key.error().code();
    if (code != ErrorCode::kNotFound && code != ErrorCode::kDenied) return key;
  }
  const auto id = wrapped_by(database, Wrapper::kMaster);
  if (!id) return id.error();
  if (!*id) return corrupt("holds no data key");
  return corrupt("the master key (id " + master.id() +
                 ") does not open this database, it was made with the key of id " + **id + "; " +
                 ways_to_open(database));
}

// The first start with a new master key ends the time of the one before. A full disk must not keep us from starting.
Result<void> end_key_change(Database& database, const Key& master) {
  const auto next = wrapped_by(database, Wrapper::kNext);
  if (!next) return next.error();
  if (*next != master.id()) return {};
  const auto ended = change_wrappings(database, [&] { return promote_next(database); });
  if (ended) {
    log::notice("the master key was changed: the one before opens nothing any more", {{"KEY", master.id()}});
  } else {
    log::write(log::Level::kError, message_id::kNotStored.id,
               "the wrapping by the master key of before could not be erased; it is tried at the next start",
               {{"WHY", ended.error().message()}});
  }
  return {};
}

Result<OpenDatabase> open_checked(const std::string& path, const Key& master) {
  auto database = open_unread(path);
  if (!database) return database.error();
  auto key = unwrap_data_key(**database, master);
  if (!key) return key.error();
  CREDSYNC_TRY(make_writable(**database));
  CREDSYNC_TRY(end_key_change(**database, master));
  std::string id = key->id();
  return OpenDatabase{std::move(*database), Sealer(std::move(*key)), std::move(id)};
}

// SQLite takes a last page that is cut off for one that ends in zeros. While there is a write-ahead log, it may be one that
// a crash cut off, and is in the log.
bool ends_within_a_page(const std::string& path, std::int64_t size) {
  struct stat log {};
  if (::stat((path + "-wal").c_str(), &log) == 0 && log.st_size > 0) return false;
  constexpr off_t kPageSizeAt = 16;  // in the file's header; 1 stands for 65536
  unsigned char bytes[2] = {};
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file || ::pread(file.get(), bytes, sizeof bytes, kPageSizeAt) != sizeof bytes) return false;
  const int page = bytes[0] << 8 | bytes[1];
  return page > 1 && size % page != 0;
}

Result<void> check_file(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return from_errno(path, errno);
  if (status.st_uid != ::geteuid()) return denied(path + " belongs to another user than the daemon's");
  if (status.st_size == 0) {
    return corrupt(path +
                   " is empty, it was cut to nothing: put a backup back, or begin anew (credsyncd --start-over)" +
                   std::string(kNothingChanged));
  }
  if (ends_within_a_page(path, status.st_size)) {
    return corrupt(path + " was cut off within a page: put a backup back" + std::string(kNothingChanged));
  }
  if ((status.st_mode & 077) != 0 && ::chmod(path.c_str(), 0600) != 0) return from_errno("chmod 600 " + path, errno);
  return {};
}

}  // namespace

Error explained(const Error& error, const std::string& path) {
  const std::string& words = error.message();
  switch (error.code()) {
    case ErrorCode::kTaken: return Error(error.code(), path + " is in use by another program: " + words);
    case ErrorCode::kInvalid: return corrupt(path + ": damaged (" + words + ")" + std::string(kNothingChanged));
    case ErrorCode::kCorrupt:
    case ErrorCode::kTooNew: return Error(error.code(), path + ": " + words + std::string(kNothingChanged));
    default: return error.within(path);
  }
}

Result<void> make_writable(Database& database) {
  const auto mode = database.text("PRAGMA journal_mode = WAL");
  if (!mode) return mode.error();
  if (*mode != "wal") return Error(ErrorCode::kIo, "no write-ahead log is possible here (journal mode " + *mode + ")");
  CREDSYNC_TRY(migrate(database, migrations()));
  database.allow_checkpoints();
  return {};
}

std::string ways_to_open(Database& database) {
  const auto recovery = wrapped_by(database, Wrapper::kRecovery);
  std::string words = "put the right key back";
  if (recovery && *recovery) words += ", or open it with the recovery key (credsyncd --recover)";
  return words + ", or begin anew with every account signed out (credsyncd --start-over)";
}

Result<void> write_database(const std::string& path, const Key& master, const FillDatabase& fill) {
  for (const char* rest : {"", "-journal", "-wal"})
    ::unlink((path + rest).c_str());
  CREDSYNC_TRY(create_file(path, "", 0600));
  if (const auto written = write_schema(path, master, fill); !written) {
    ::unlink(path.c_str());
    return written.error().within("make " + path);
  }
  return {};
}

Result<void> make_database(const std::string& path, const Key& master) {
  const std::string fresh = path + ".new";
  CREDSYNC_TRY(write_database(fresh, master, {}));
  CREDSYNC_FAIL_POINT("database.made");
  if (::rename(fresh.c_str(), path.c_str()) != 0) return from_errno("create " + path, errno);
  CREDSYNC_FAIL_POINT("database.named");
  return sync_folder_of(path);
}

Result<OpenDatabase> open_database(const std::string& path, const Key& master) {
  CREDSYNC_TRY(check_file(path));
  auto opened = open_checked(path, master);
  if (!opened) return explained(opened.error(), path);
  return opened;
}

Result<std::unique_ptr<Database>> open_without_key(const std::string& path) {
  CREDSYNC_TRY(check_file(path));
  auto opened = open_unread(path);
  if (!opened) return explained(opened.error(), path);
  return opened;
}

}  // namespace credsync::store
