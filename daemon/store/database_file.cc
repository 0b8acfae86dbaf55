#include "daemon/store/database_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "daemon/store/migrations.h"
#include "daemon/store/state_directory.h"

namespace credsync::store {
namespace {

constexpr Place kDataKeyPlace = {"data_keys.wrapped", "", 0, 0};
constexpr std::string_view kNothingChanged = "; nothing was changed";

Key copy_of(const Key& key) {
  return Key::from(key.expose());
}

Result<void> write_schema(const std::string& path, const Key& master) {
  auto opened = Database::open(path);
  if (!opened) return opened.error();
  Database& database = **opened;
  CREDSYNC_TRY(database.execute("PRAGMA application_id = " + std::to_string(kApplicationId)));
  CREDSYNC_TRY(migrate(database, migrations()));
  const Key data_key = Key::random();
  const std::string wrapped = Sealer(copy_of(master)).seal(data_key.expose(), kDataKeyPlace);
  auto insert = database.prepare("INSERT INTO data_keys (wrapped_by, key_id, wrapped) VALUES ('master', ?1, ?2)");
  if (!insert) return insert.error();
  return insert->with(master.id(), Blob{wrapped}).run();
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

Result<Key> unwrap_data_key(Database& database, const Key& master) {
  auto select = database.prepare("SELECT key_id, wrapped FROM data_keys WHERE wrapped_by = 'master'");
  if (!select) return select.error();
  const Result<bool> row = select->next();
  if (!row) return row.error();
  if (!*row) return corrupt("holds no data key");
  const std::string id = select->text(0);
  if (id != master.id()) {
    return corrupt("the master key (id " + master.id() +
                   ") does not open this database, it was made with the key of id " + id + ": put the right key back");
  }
  auto key = Sealer(copy_of(master)).open(select->blob(1), kDataKeyPlace);
  if (!key || key->text().size() != kKeyBytes) return corrupt("the wrapped data key is damaged");
  return Key::from(key->text());
}

Result<OpenDatabase> open_checked(const std::string& path, const Key& master) {
  auto database = Database::open(path);
  if (!database) return database.error();
  CREDSYNC_TRY(check_ours(**database));
  auto key = unwrap_data_key(**database, master);
  if (!key) return key.error();
  const auto mode = (*database)->text("PRAGMA journal_mode = WAL");
  if (!mode) return mode.error();
  if (*mode != "wal") return Error(ErrorCode::kIo, "no write-ahead log is possible here (journal mode " + *mode + ")");
  CREDSYNC_TRY(migrate(**database, migrations()));
  (*database)->allow_checkpoints();
  return OpenDatabase{std::move(*database), Sealer(std::move(*key))};
}

Error explain(const Error& error, const std::string& path) {
  const std::string& words = error.message();
  switch (error.code()) {
    case ErrorCode::kTaken: return Error(error.code(), path + " is in use by another program: " + words);
    case ErrorCode::kInvalid: return corrupt(path + ": damaged (" + words + ")" + std::string(kNothingChanged));
    case ErrorCode::kCorrupt:
    case ErrorCode::kTooNew: return Error(error.code(), path + ": " + words + std::string(kNothingChanged));
    default: return error.within(path);
  }
}

}  // namespace

Result<void> make_database(const std::string& path, const Key& master) {
  const std::string fresh = path + ".new";
  for (const char* rest : {"", "-journal", "-wal"})
    ::unlink((fresh + rest).c_str());
  CREDSYNC_TRY(create_file(fresh, "", 0600));
  if (const auto written = write_schema(fresh, master); !written) {
    ::unlink(fresh.c_str());
    return written.error().within("make " + path);
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) return from_errno("create " + path, errno);
  return sync_folder_of(path);
}

Result<OpenDatabase> open_database(const std::string& path, const Key& master) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return from_errno(path, errno);
  if (status.st_uid != ::geteuid()) return denied(path + " belongs to another user than the daemon's");
  if (status.st_size == 0) {
    return corrupt(path + " is empty, it was cut to nothing: put a backup back, or move it away to begin anew" +
                   std::string(kNothingChanged));
  }
  if ((status.st_mode & 077) != 0 && ::chmod(path.c_str(), 0600) != 0) return from_errno("chmod 600 " + path, errno);
  auto opened = open_checked(path, master);
  if (!opened) return explain(opened.error(), path);
  return opened;
}

}  // namespace credsync::store
