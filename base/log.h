// Log records: constant text and fields. Written by a thread of their own, so that a stuck journal never holds the
// caller; at most 4,096 wait, the oldest give way, are counted, and the count is told in their place when there is room
// again (each minute while it goes on).
// Thread-safe after start().
// Nothing secret goes in: tokens are named by account and generation.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace credsync::log {

enum class Level { kDebug, kInfo, kNotice, kWarning, kError, kCritical };

struct Field {
  std::string_view key;  // upper case for the journal: ACCOUNT, GENERATION
  std::string value;
};

// `message_id`: 32 hex digits of a documented record, or empty.
void write(Level level, std::string_view message_id, std::string_view text, std::initializer_list<Field> fields);

// The same for a record that programs read, at any level: on standard error it is the JSON object `json`, on one line.
void write_structured(Level level, std::string_view message_id, std::string_view text,
                      std::initializer_list<Field> fields, std::string_view json);

inline void debug(std::string_view text, std::initializer_list<Field> fields = {}) {
  write(Level::kDebug, {}, text, fields);
}
inline void info(std::string_view text, std::initializer_list<Field> fields = {}) {
  write(Level::kInfo, {}, text, fields);
}
inline void notice(std::string_view text, std::initializer_list<Field> fields = {}) {
  write(Level::kNotice, {}, text, fields);
}
inline void warning(std::string_view text, std::initializer_list<Field> fields = {}) {
  write(Level::kWarning, {}, text, fields);
}
inline void error(std::string_view text, std::initializer_list<Field> fields = {}) {
  write(Level::kError, {}, text, fields);
}

// Starts the writer: the journal's native protocol when standard error is the journal ($JOURNAL_STREAM names it),
// else lines on standard error, of at least this level. Before start() records go to standard error at once.
void start(Level least);
// Who ends waits so long for a writer that writes nothing: a stuck journal does not keep the program.
constexpr std::chrono::seconds kFarewell{5};
// Writes what waits and ends the writer; what is not written when nothing moved for `patience` is lost. Records of later
// go to standard error at once.
void stop(std::chrono::milliseconds patience = kFarewell);
// Records lost because the writer could not keep up; 0 when there is none.
std::uint64_t lost();

}  // namespace credsync::log
