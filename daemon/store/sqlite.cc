#include "daemon/store/sqlite.h"

#include <sqlite3.h>

#include <cerrno>
#include <utility>

namespace credsync::store {
namespace {

// Nobody else may hold the file for long: the state directory is locked by us, so only an admin's sqlite3 can be there.
constexpr int kBusyMilliseconds = 1000;

ErrorCode code_of(int result, int system_error) {
  switch (result & 0xff) {
    case SQLITE_FULL: return ErrorCode::kFull;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return ErrorCode::kCorrupt;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return ErrorCode::kTaken;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH: return ErrorCode::kDenied;
    case SQLITE_CANTOPEN: return system_error == EACCES ? ErrorCode::kDenied : ErrorCode::kIo;
    case SQLITE_IOERR: return system_error == ENOSPC || system_error == EDQUOT ? ErrorCode::kFull : ErrorCode::kIo;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_MISUSE:
    case SQLITE_TOOBIG:
    case SQLITE_RANGE:
    case SQLITE_ERROR: return ErrorCode::kInvalid;
    default: return ErrorCode::kIo;
  }
}

// SQLite's own words name tables and columns, never the values bound.
Error error_of(sqlite3* db, int result) {
  const int system_error = db == nullptr ? 0 : ::sqlite3_system_errno(db);
  const char* words = db == nullptr ? ::sqlite3_errstr(result) : ::sqlite3_errmsg(db);
  const ErrorCode code = code_of(result, system_error);
  return Error(code, code == ErrorCode::kCorrupt ? "damaged (" + std::string(words) + ")" : std::string(words));
}

}  // namespace

Statement::Statement(Statement&& other) noexcept
    : db_(other.db_), statement_(std::exchange(other.statement_, nullptr)), bind_result_(other.bind_result_) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(db_, other.db_);
  std::swap(statement_, other.statement_);
  std::swap(bind_result_, other.bind_result_);
  return *this;
}

Statement::~Statement() {
  ::sqlite3_finalize(statement_);
}

Result<bool> Statement::next() {
  if (bind_result_ != SQLITE_OK) {
    const Error error = error_of(nullptr, bind_result_);
    reset();
    return error;
  }
  const int result = ::sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result != SQLITE_DONE) {
    const Error error = error_of(db_, result);
    reset();
    return error;
  }
  reset();
  return false;
}

Result<void> Statement::run() {
  while (true) {
    const Result<bool> row = next();
    if (!row) return row.error();
    if (!*row) return {};
  }
}

void Statement::reset() {
  ::sqlite3_reset(statement_);  // repeats the error of the last step, which step already reported
  ::sqlite3_clear_bindings(statement_);
  bind_result_ = SQLITE_OK;
}

bool Statement::null(int column) const {
  return ::sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

std::int64_t Statement::integer(int column) const {
  return ::sqlite3_column_int64(statement_, column);
}

std::string Statement::text(int column) const {
  const unsigned char* bytes = ::sqlite3_column_text(statement_, column);
  if (bytes == nullptr) return {};
  return {reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(::sqlite3_column_bytes(statement_, column))};
}

std::string_view Statement::blob(int column) const {
  const void* bytes = ::sqlite3_column_blob(statement_, column);
  if (bytes == nullptr) return {};
  return {static_cast<const char*>(bytes), static_cast<std::size_t>(::sqlite3_column_bytes(statement_, column))};
}

std::optional<WallTime> Statement::optional_time(int column) const {
  return null(column) ? std::nullopt : std::optional<WallTime>(time(column));
}

void Statement::bind_integer(int index, std::int64_t value) {
  if (const int r = ::sqlite3_bind_int64(statement_, index, value); bind_result_ == SQLITE_OK) bind_result_ = r;
}

void Statement::bind_text(int index, std::string_view value) {
  const char* bytes = value.data() == nullptr ? "" : value.data();
  const int r = ::sqlite3_bind_text64(statement_, index, bytes, value.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  if (bind_result_ == SQLITE_OK) bind_result_ = r;
}

void Statement::bind_blob(int index, std::string_view value) {
  const int r = ::sqlite3_bind_blob64(statement_, index, value.data(), value.size(), SQLITE_TRANSIENT);
  if (bind_result_ == SQLITE_OK) bind_result_ = r;
}

void Statement::bind_null(int index) {
  if (const int r = ::sqlite3_bind_null(statement_, index); bind_result_ == SQLITE_OK) bind_result_ = r;
}

Result<std::unique_ptr<Database>> Database::open(const std::string& path) {
  sqlite3* raw = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
  const int result = ::sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
  std::unique_ptr<Database> database(new Database(raw));
  if (result != SQLITE_OK) return error_of(raw, result).within("open " + path);
  ::sqlite3_busy_timeout(raw, kBusyMilliseconds);
  // What a damaged or hostile file may make SQLite do is kept small.
  ::sqlite3_db_config(raw, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  ::sqlite3_db_config(raw, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  ::sqlite3_db_config(raw, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  // EXCLUSIVE before the first read: no -shm file, and no other process in the middle of our writes.
  CREDSYNC_TRY(
      database->execute("PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL;"
                        "PRAGMA secure_delete = ON; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;"));
  return database;
}

Database::~Database() {
  ::sqlite3_close_v2(db_);
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int result = ::sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                                          &statement, nullptr);
  if (result != SQLITE_OK) return error_of(db_, result);
  return Statement(db_, statement);
}

void Database::release_memory() {
  ::sqlite3_db_release_memory(db_);
}

Result<void> Database::execute(const std::string& sql) {
  const int result = ::sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) return error_of(db_, result);
  return {};
}

Result<std::int64_t> Database::integer(std::string_view sql) {
  auto statement = prepare(sql);
  if (!statement) return statement.error();
  const Result<bool> row = statement->next();
  if (!row) return row.error();
  return *row ? statement->integer(0) : 0;
}

Result<std::string> Database::text(std::string_view sql) {
  auto statement = prepare(sql);
  if (!statement) return statement.error();
  const Result<bool> row = statement->next();
  if (!row) return row.error();
  return *row ? statement->text(0) : std::string();
}

bool Database::in_transaction() const {
  return ::sqlite3_get_autocommit(db_) == 0;
}

std::int64_t Database::changes() const {
  return ::sqlite3_changes64(db_);
}

void Database::allow_checkpoints() {
  ::sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, nullptr);
}

Result<void> Database::truncate_log() {
  const int result = ::sqlite3_wal_checkpoint_v2(db_, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  if (result != SQLITE_OK) return error_of(db_, result);
  return {};
}

}  // namespace credsync::store
