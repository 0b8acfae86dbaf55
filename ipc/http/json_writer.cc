#include "ipc/http/json_writer.h"

#include <charconv>

#include "base/text.h"

namespace credsync::ipc::http {
namespace {

template <typename Number>
void append_number(std::string& out, Number value) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, end);
}

}  // namespace

void JsonWriter::separate() {
  if (out_.empty()) return;
  const char last = out_.back();  // a value never ends in one of these: strings end in a quote
  if (last != '{' && last != '[' && last != ':') out_ += ',';
}

void JsonWriter::member(std::string_view key) {
  separate();
  append_json_string(out_, key);
  out_ += ':';
}

void JsonWriter::text(std::string_view key, std::string_view value) {
  member(key);
  append_json_string(out_, value);
}

void JsonWriter::number(std::string_view key, std::uint64_t value) {
  member(key);
  append_number(out_, value);
}

void JsonWriter::flag(std::string_view key, bool value) {
  member(key);
  out_ += value ? "true" : "false";
}

void JsonWriter::nothing(std::string_view key) {
  member(key);
  out_ += "null";
}

void JsonWriter::text_or_nothing(std::string_view key, std::string_view value) {
  value.empty() ? nothing(key) : text(key, value);
}

void JsonWriter::time(std::string_view key, std::optional<WallTime> value) {
  value ? text(key, to_rfc3339(*value)) : nothing(key);
}

void JsonWriter::seconds(std::string_view key, std::optional<Duration> value) {
  if (!value) return nothing(key);
  member(key);
  append_number(out_, to_seconds(*value));
}

void JsonWriter::texts(std::string_view key, const std::vector<std::string>& values) {
  begin_array(key);
  for (const std::string& value : values)
    text(value);
  end_array();
}

void JsonWriter::text(std::string_view value) {
  separate();
  append_json_string(out_, value);
}

}  // namespace credsync::ipc::http
