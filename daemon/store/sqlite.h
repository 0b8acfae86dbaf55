// SQLite as RAII: one connection, its prepared statements, errors as values. Owned by one thread at a time: whoever opens
// the store first, the store thread later. A failed step leaves the statement reset; whether SQLite rolled the whole
// transaction back by itself (it may, on a full disk) is what in_transaction() tells.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/result.h"
#include "base/time.h"

struct sqlite3;
struct sqlite3_stmt;

namespace credsync::store {

// Bytes for a BLOB column. An empty one is bound as NULL: "there is none".
struct Blob {
  std::string_view bytes;
};

class Statement {
 public:
  Statement() = default;
  Statement(sqlite3* db, sqlite3_stmt* statement) : db_(db), statement_(statement) {}
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;
  ~Statement();

  // Binds the values to ?1, ?2, … in order. They are copied.
  template <typename... Values>
  Statement& with(const Values&... values) {
    reset();
    int index = 0;
    (bind(++index, values), ...);
    return *this;
  }

  // True: there is a row to read. False: done, and reset.
  Result<bool> next();
  // Runs to the end, rows unread.
  Result<void> run();
  void reset();

  bool null(int column) const;
  std::int64_t integer(int column) const;
  std::string text(int column) const;
  // Valid until the next step or reset.
  std::string_view blob(int column) const;
  WallTime time(int column) const { return WallTime(Duration(integer(column))); }
  std::optional<WallTime> optional_time(int column) const;

 private:
  template <typename Number>
  requires std::is_integral_v<Number> || std::is_enum_v<Number>
  void bind(int index, Number value) { bind_integer(index, static_cast<std::int64_t>(value)); }
  void bind(int index, WallTime value) { bind_integer(index, value.time_since_epoch().count()); }
  void bind(int index, const std::optional<WallTime>& value) { value ? bind(index, *value) : bind_null(index); }
  void bind(int index, const std::string& value) { bind_text(index, value); }
  void bind(int index, std::string_view value) { bind_text(index, value); }
  void bind(int index, const char* value) { bind_text(index, value); }
  void bind(int index, Blob value) { value.bytes.empty() ? bind_null(index) : bind_blob(index, value.bytes); }
  void bind(int index, std::nullptr_t) { bind_null(index); }

  void bind_integer(int index, std::int64_t value);
  void bind_text(int index, std::string_view value);
  void bind_blob(int index, std::string_view value);
  void bind_null(int index);

  sqlite3* db_ = nullptr;
  sqlite3_stmt* statement_ = nullptr;
  int bind_result_ = 0;  // the first binding that failed; step reports it
};

class Database {
 public:
  // Opens an existing file (it may be empty, when it is about to be made). Writes nothing to it, also not on close,
  // until allow_checkpoints() was called.
  static Result<std::unique_ptr<Database>> open(const std::string& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  Result<Statement> prepare(std::string_view sql);
  Result<void> execute(const std::string& sql);
  // Gives back what the page cache holds: after reading everything once, nobody reads it again.
  void release_memory();
  // The first column of the first row, for pragmas and counts.
  Result<std::int64_t> integer(std::string_view sql);
  Result<std::string> text(std::string_view sql);

  bool in_transaction() const;
  // Rows touched by the last INSERT, UPDATE or DELETE.
  std::int64_t changes() const;

  void allow_checkpoints();
  // Copies the write-ahead log into the database and cuts it to nothing, so that erased values leave the disk.
  Result<void> truncate_log();

 private:
  explicit Database(sqlite3* db) : db_(db) {}
  sqlite3* db_;
};

}  // namespace credsync::store
