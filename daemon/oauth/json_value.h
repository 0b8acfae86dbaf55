// A JSON document from outside as a plain tree; the only place that knows the JSON library. Pure,
// thread-safe, and every input is hostile: size and depth are bounded, what the library says in its
// exceptions never leaves (it quotes the document). Text is wiped when the tree goes, for most of these
// documents hold tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"

namespace credsync::oauth {

constexpr std::size_t kMaxJsonBytes = 64 * 1024;  // as much as the transport lets through
constexpr std::size_t kMaxJsonDepth = 16;         // token answers nest four deep at most

class JsonValue {
 public:
  enum class Kind { kNull, kBool, kNumber, kString, kArray, kObject };

  JsonValue() = default;
  explicit JsonValue(Kind kind) : kind_(kind) {}
  static JsonValue string(std::string text);
  static JsonValue number(std::string text);
  static JsonValue boolean(bool value);

  // Nothing if it is not one JSON document within the bounds, or has a key with a NUL. Broken UTF-8 and raw
  // control characters inside strings become U+FFFD, and numbers too long for the library become strings: a
  // defect in a field that nobody reads must not cost the tokens beside it. Of equal keys the last wins.
  static std::optional<JsonValue> parse(std::string_view text, std::size_t max_bytes = kMaxJsonBytes);

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::kNull; }
  bool is_object() const { return kind_ == Kind::kObject; }
  // An empty object, array or string, or null.
  bool is_empty() const;

  // The member of that name, or null.
  const JsonValue* member(std::string_view name) const;
  // The value at a dotted path such as "data.0.token": numbers index arrays, and a key that holds dots itself
  // is found too. The empty path is this value. Null if there is nothing.
  const JsonValue* at(std::string_view path) const;
  const std::vector<JsonValue>& items() const { return items_; }
  const std::vector<std::string>& names() const { return names_; }  // of an object, parallel to items()

  // What a string, number or bool is as text ("true"); empty for everything else.
  std::string_view text() const { return text_.text(); }
  // A number, or a string that is one; infinite when it is too large for a double.
  std::optional<double> as_number() const;
  std::optional<bool> as_bool() const;

  // For whoever builds a tree.
  void add_member(std::string name, JsonValue value);
  void add_item(JsonValue value) { items_.push_back(std::move(value)); }

 private:
  Kind kind_ = Kind::kNull;
  WipedString text_;
  std::vector<std::string> names_;  // of an object, parallel to items_
  std::vector<JsonValue> items_;
};

// The member of that name if it is a string, else nothing.
std::string_view text_of(const JsonValue& object, std::string_view name);

// "3600", " 3600.0 ", "1e3": the whole text must be a number. Infinite when it is too large for a double.
std::optional<double> parse_number(std::string_view text);

bool is_utf8(std::string_view text);

}  // namespace credsync::oauth
