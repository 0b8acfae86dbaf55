#include "daemon/oauth/answer_body.h"

#include <algorithm>
#include <string>

#include "base/encoding.h"

namespace credsync::oauth {
namespace {

constexpr std::size_t kMaxFormFields = 256;  // no answer has more than a dozen

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  return first == text.npos ? std::string_view() : text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string media_type(const HttpResponse& response) {
  const std::string_view value = response.header("Content-Type");
  std::string type(trim(value.substr(0, value.find(';'))));
  std::transform(type.begin(), type.end(), type.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return type;
}

bool is_form_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  });
}

// Nothing if it is not name=value pairs: prose must not be taken for an answer.
std::optional<JsonValue> parse_form(std::string_view text) {
  JsonValue object(JsonValue::Kind::kObject);
  std::size_t fields = 0;
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
    if (pair.empty()) continue;
    const std::size_t equals = pair.find('=');
    const auto name = decode_percent(pair.substr(0, equals), true);
    auto value = equals == pair.npos ? std::nullopt : decode_percent(pair.substr(equals + 1), true);
    if (!name || !value || !is_form_name(*name) || ++fields > kMaxFormFields) return std::nullopt;
    object.add_member(*name, JsonValue::string(std::move(*value)));
  }
  return fields == 0 ? std::nullopt : std::optional<JsonValue>(std::move(object));
}

AnswerBody of_value(std::optional<JsonValue> value) {
  if (!value) return {AnswerBody::Kind::kOther, {}};
  if (value->is_null()) return {AnswerBody::Kind::kEmpty, {}};
  const bool tree = value->kind() == JsonValue::Kind::kObject || value->kind() == JsonValue::Kind::kArray;
  if (!tree) return {AnswerBody::Kind::kOther, {}};
  return {AnswerBody::Kind::kObject, std::move(*value)};
}

}  // namespace

AnswerBody read_answer_body(const HttpResponse& response, provider::AnswerFormat format) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  std::string_view text = response.body.text();
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  text = trim(text);
  if (text.empty()) return {AnswerBody::Kind::kEmpty, {}};
  if (text.front() == '<') return {AnswerBody::Kind::kHtml, {}};
  if (text.front() == '{' || text.front() == '[') return of_value(JsonValue::parse(text));

  const std::string type = media_type(response);
  const bool form_allowed = format != provider::AnswerFormat::kJson || type == "application/x-www-form-urlencoded";
  if (form_allowed && text.size() <= kMaxJsonBytes) {
    if (auto form = parse_form(text)) return {AnswerBody::Kind::kObject, std::move(*form)};
  }
  if (type == "text/html" || type == "application/xhtml+xml") return {AnswerBody::Kind::kHtml, {}};
  return of_value(JsonValue::parse(text));
}

}  // namespace credsync::oauth
