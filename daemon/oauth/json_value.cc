#include "daemon/oauth/json_value.h"

#include <Poco/Exception.h>
#include <Poco/JSON/Parser.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "base/mutation.h"
#include "daemon/oauth/json_repair.h"

namespace credsync::oauth {
namespace {

// Builds our tree from the parser's events, so that the library makes no tree of its own.
class TreeBuilder final : public Poco::JSON::Handler {
 public:
  void reset() override {}
  void startObject() override { open_.push_back({JsonValue(JsonValue::Kind::kObject), std::exchange(key_, {})}); }
  void startArray() override { open_.push_back({JsonValue(JsonValue::Kind::kArray), std::exchange(key_, {})}); }
  void endObject() override { close(); }
  void endArray() override { close(); }
  void key(const std::string& name) override { key_ = name; }
  void null() override { put(JsonValue()); }
  void value(int v) override { put(JsonValue::number(std::to_string(v))); }
  void value(unsigned v) override { put(JsonValue::number(std::to_string(v))); }
  void value(Poco::Int64 v) override { put(JsonValue::number(std::to_string(v))); }
  void value(Poco::UInt64 v) override { put(JsonValue::number(std::to_string(v))); }
  void value(const std::string& v) override { put(JsonValue::string(v)); }
  void value(bool v) override { put(JsonValue::boolean(v)); }
  void value(double v) override {
    char text[32];  // the shortest form that reads back as the same double takes 24 at most
    const auto [end, error] = std::to_chars(text, text + sizeof text, v);
    put(JsonValue::number(error == std::errc{} ? std::string(text, end) : std::string()));
  }

  std::optional<JsonValue> take() { return done_ ? std::optional<JsonValue>(std::move(root_)) : std::nullopt; }

 private:
  struct Open {
    JsonValue value;
    std::string name;  // under which it goes into the one that holds it
  };

  void close() {
    if (open_.empty()) return;
    Open finished = std::move(open_.back());
    open_.pop_back();
    key_ = std::move(finished.name);
    put(std::move(finished.value));
  }

  void put(JsonValue value) {
    if (open_.empty()) {
      root_ = std::move(value);
      done_ = true;
    } else if (open_.back().value.is_object()) {
      open_.back().value.add_member(std::exchange(key_, {}), std::move(value));
    } else {
      open_.back().value.add_item(std::move(value));
    }
  }

  std::vector<Open> open_;
  std::string key_;
  JsonValue root_;
  bool done_ = false;
};

// ["xxx…",document,"xxx…"]. The parser collects every string in one growing buffer that it frees with what is
// in it: the first padding makes the buffer grow before a secret is in it, the last leaves nothing else
// there.
WipedString between_padding(std::string_view document) {
  const std::string padding(document.size(), 'x');
  WipedString out;
  out.text().reserve(3 * document.size() + 16);
  out.text().append("[\"").append(padding).append("\",");
  out.text().append(document);
  out.text().append(",\"").append(padding).append("\"]");
  return out;
}

}  // namespace

JsonValue JsonValue::string(std::string text) {
  JsonValue value(Kind::kString);
  value.text_ = WipedString(std::move(text));
  return value;
}

JsonValue JsonValue::number(std::string text) {
  JsonValue value(Kind::kNumber);
  value.text_ = WipedString(std::move(text));
  return value;
}

JsonValue JsonValue::boolean(bool on) {
  JsonValue value(Kind::kBool);
  value.text_ = WipedString(on ? "true" : "false");
  return value;
}

std::optional<JsonValue> JsonValue::parse(std::string_view text, std::size_t max_bytes) {
  if (text.size() > max_bytes) return std::nullopt;
  const std::optional<WipedString> repaired = repair_json(text);
  if (!repaired) return std::nullopt;
  const WipedString document = between_padding(repaired->text());
  try {
    Poco::SharedPtr<TreeBuilder> builder(new TreeBuilder);
    Poco::JSON::Parser parser(builder);
    parser.setDepth(mutated(Mutation::kDeepJson) ? max_bytes : kMaxJsonDepth + 1);
    parser.parse(document.text());
    std::optional<JsonValue> outer = builder->take();
    if (!outer || outer->items_.size() != 3) return std::nullopt;  // more than one document
    // The library ends at a bracket that closes ours and looks at nothing behind it. No text within the document is as long
    // as the padding.
    if (outer->items_[2].text().size() != repaired->text().size()) return std::nullopt;
    return std::move(outer->items_[1]);
  } catch (const Poco::Exception&) {
    return std::nullopt;  // its text quotes the document
  }
}

bool JsonValue::is_empty() const {
  switch (kind_) {
    case Kind::kNull: return true;
    case Kind::kString: return text().empty();
    case Kind::kArray:
    case Kind::kObject: return items_.empty();
    case Kind::kBool:
    case Kind::kNumber: return false;
  }
  return false;
}

const JsonValue* JsonValue::member(std::string_view name) const {
  if (!is_object()) return nullptr;
  // From the end, so that of equal keys the last wins.
  for (std::size_t i = names_.size(); i > 0; --i) {
    if (names_[i - 1] == name) return &items_[i - 1];
  }
  return nullptr;
}

const JsonValue* JsonValue::at(std::string_view path) const {
  if (path.empty()) return this;
  if (const JsonValue* exact = member(path)) return exact;
  const std::size_t dot = path.find('.');
  const std::string_view step = path.substr(0, dot);
  const JsonValue* next = member(step);
  if (kind_ == Kind::kArray) {
    std::size_t index = 0;
    const auto [end, error] = std::from_chars(step.data(), step.data() + step.size(), index);
    if (error == std::errc{} && end == step.data() + step.size() && index < items_.size()) next = &items_[index];
  }
  if (next == nullptr || dot == std::string_view::npos) return next;
  const std::string_view rest = path.substr(dot + 1);
  return rest.empty() ? nullptr : next->at(rest);
}

std::optional<double> JsonValue::as_number() const {
  if (kind_ != Kind::kNumber && kind_ != Kind::kString) return std::nullopt;
  return parse_number(text());
}

std::optional<bool> JsonValue::as_bool() const {
  if (text() == "true") return true;
  if (text() == "false") return false;
  return std::nullopt;
}

void JsonValue::add_member(std::string name, JsonValue value) {
  names_.push_back(std::move(name));
  items_.push_back(std::move(value));
}

std::string_view text_of(const JsonValue& object, std::string_view name) {
  const JsonValue* value = object.member(name);
  return value != nullptr && value->kind() == JsonValue::Kind::kString ? value->text() : std::string_view();
}

std::optional<double> parse_number(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return std::nullopt;
  text = text.substr(first, text.find_last_not_of(kSpace) - first + 1);
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);  // from_chars knows no plus sign
  if (text.empty() || text.find_first_not_of("0123456789.eE+-") != std::string_view::npos)
    return std::nullopt;  // no "inf"
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end != text.data() + text.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) {
    // Too large or too small: the sign of the exponent tells, and without one it was too large.
    const std::size_t exponent = text.find_first_of("eE");
    if (exponent != std::string_view::npos && text.substr(exponent + 1).starts_with('-')) return 0.0;
    return text.starts_with('-') ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
  }
  if (error != std::errc{}) return std::nullopt;
  return value;
}

bool is_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = utf8_length(text, at);
    if (size == 0) return false;
    at += size;
  }
  return true;
}

}  // namespace credsync::oauth
