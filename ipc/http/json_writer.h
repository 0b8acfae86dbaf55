// Writes JSON, one value after the other, into a string it is given; commas are its business, nesting the
// caller's. Pure. Strings are escaped, broken UTF-8 becomes U+FFFD, so the text is always JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace credsync::ipc::http {

class JsonWriter {
 public:
  // `out` must be empty or end where a first value may stand.
  explicit JsonWriter(std::string& out) : out_(out) {}

  // Members of an object.
  void begin_object(std::string_view key) { member(key), out_ += '{'; }
  void begin_array(std::string_view key) { member(key), out_ += '['; }
  void text(std::string_view key, std::string_view value);
  void number(std::string_view key, std::uint64_t value);
  void flag(std::string_view key, bool value);
  void nothing(std::string_view key);
  void text_or_nothing(std::string_view key, std::string_view value);  // null when empty
  void time(std::string_view key, std::optional<WallTime> value);      // RFC 3339 in UTC, or null
  void seconds(std::string_view key, std::optional<Duration> value);   // whole seconds, or null
  void texts(std::string_view key, const std::vector<std::string>& values);

  // Elements of an array, and the outermost value.
  void begin_object() { separate(), out_ += '{'; }
  void begin_array() { separate(), out_ += '['; }
  void text(std::string_view value);

  void end_object() { out_ += '}'; }
  void end_array() { out_ += ']'; }

 private:
  void separate();
  void member(std::string_view key);

  std::string& out_;
};

}  // namespace credsync::ipc::http
