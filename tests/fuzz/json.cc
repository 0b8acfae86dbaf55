// The JSON of providers (RFC 8259), as lenient as it must be: what it takes, another parser takes too once the defects that
// are mended on purpose are mended, and reads the same.
#include "daemon/oauth/json_value.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "daemon/oauth/json_repair.h"
#include "tests/fuzz/fuzz.h"

using namespace credsync;
using namespace credsync::fuzz;
using oauth::JsonValue;

namespace {

std::size_t depth_of(const JsonValue& value) {
  std::size_t deepest = 0;
  for (const JsonValue& item : value.items())
    deepest = std::max(deepest, depth_of(item));
  return deepest + 1;
}

void check_same(const JsonValue& ours, const nlohmann::json& theirs) {
  switch (ours.kind()) {
    case JsonValue::Kind::kNull: HOLDS(theirs.is_null()); break;
    case JsonValue::Kind::kBool: HOLDS(theirs.is_boolean() && theirs.get<bool>() == *ours.as_bool()); break;
    case JsonValue::Kind::kString:
      HOLDS(theirs.is_string() && theirs.get_ref<const std::string&>() == ours.text());
      break;
    case JsonValue::Kind::kNumber: {
      HOLDS(theirs.is_number() && ours.as_number());
      const double a = *ours.as_number(), b = theirs.get<double>();
      HOLDS(a == b || std::abs(a - b) <= std::abs(b) * 1e-15);
      break;
    }
    case JsonValue::Kind::kArray:
      HOLDS(theirs.is_array() && theirs.size() == ours.items().size());
      for (std::size_t i = 0; i < theirs.size(); ++i)
        check_same(ours.items()[i], theirs[i]);
      break;
    case JsonValue::Kind::kObject:
      HOLDS(theirs.is_object() && ours.names().size() == ours.items().size());
      HOLDS(theirs.size() <= ours.names().size());
      for (const std::string& name : ours.names()) {  // of equal keys the last wins, in both
        HOLDS(theirs.contains(name));
        check_same(*ours.member(name), theirs[name]);
      }
      break;
  }
}

void check_texts(const JsonValue& value) {
  HOLDS(oauth::is_utf8(value.text()));
  for (const std::string& name : value.names())
    HOLDS(oauth::is_utf8(name) && name.find('\0') == name.npos);
  for (const JsonValue& item : value.items())
    check_texts(item);
}

}  // namespace

void run(Input input) {
  const std::string text = with_repeats(input.rest(), oauth::kMaxJsonBytes + 64);
  const auto value = JsonValue::parse(text);
  static_cast<void>(oauth::parse_number(text));
  if (!value) return;
  HOLDS(text.size() <= oauth::kMaxJsonBytes);
  HOLDS(depth_of(*value) <= oauth::kMaxJsonDepth + 1);
  check_texts(*value);
  HOLDS(value->at("") == &*value);
  const auto repaired = oauth::repair_json(text);
  HOLDS(repaired);
  const auto again = oauth::repair_json(repaired->text());
  HOLDS(again && again->text() == repaired->text());
  const auto theirs = nlohmann::json::parse(repaired->text(), nullptr, false);
  HOLDS(!theirs.is_discarded());
  check_same(*value, theirs);
}
