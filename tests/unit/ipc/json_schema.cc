#include "tests/unit/ipc/json_schema.h"

#include <algorithm>
#include <regex>
#include <set>

namespace credsync::ipc::http {
namespace {

using Json = nlohmann::json;

bool is_type(const std::string& type, const Json& value) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "integer") return value.is_number_integer();
  if (type == "boolean") return value.is_boolean();
  return type == "null" && value.is_null();
}

bool is_one_of(const Json& type, const Json& value) {
  if (type.is_string()) return is_type(type, value);
  return std::any_of(type.begin(), type.end(), [&](const Json& one) { return is_type(one, value); });
}

bool is_time(const Json& value) {
  static const std::regex kTime("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z");
  return !value.is_string() || std::regex_match(value.get<std::string>(), kTime);
}

const std::set<std::string> kWords{"description", "examples", "default"};                  // say nothing about a value
const std::set<std::string> kOfObjects{"properties", "required", "additionalProperties"};  // seen to together

}  // namespace

const Json& JsonSchema::resolve(const Json& maybe_reference) const {
  const auto reference = maybe_reference.find("$ref");
  if (reference == maybe_reference.end()) return maybe_reference;
  return document_.at(Json::json_pointer(reference->get<std::string>().substr(1)));
}

std::vector<std::string> JsonSchema::check(const Json& schema, const Json& value) {
  wrong_.clear();
  check(schema, value, "");
  return wrong_;
}

void JsonSchema::expect(bool holds, const std::string& where, const std::string& what) {
  if (!holds) wrong_.push_back((where.empty() ? "/" : where) + ": " + what);
}

void JsonSchema::check(const Json& schema_or_reference, const Json& value, const std::string& where) {
  const Json& schema = resolve(schema_or_reference);
  for (const auto& [keyword, ignored] : schema.items())
    check_keyword(keyword, schema, value, where);
  if (value.is_object()) check_object(schema, value, where);
}

void JsonSchema::check_keyword(const std::string& keyword, const Json& schema, const Json& value,
                               const std::string& where) {
  const Json& wanted = schema.at(keyword);
  if (keyword == "type") {
    expect(is_one_of(wanted, value), where, "is not " + wanted.dump());
  } else if (keyword == "enum") {
    expect(std::find(wanted.begin(), wanted.end(), value) != wanted.end(), where, value.dump() + " is not listed");
  } else if (keyword == "const") {
    expect(value == wanted, where, "is not " + wanted.dump());
  } else if (keyword == "minimum") {
    expect(!value.is_number() || value >= wanted, where, "is less than " + wanted.dump());
  } else if (keyword == "maximum") {
    expect(!value.is_number() || value <= wanted, where, "is more than " + wanted.dump());
  } else if (keyword == "format") {
    expect(wanted == "date-time" && is_time(value), where, "is no time");
  } else if (keyword == "pattern") {
    expect(!value.is_string() || std::regex_match(value.get<std::string>(), std::regex(wanted.get<std::string>())),
           where, "does not match " + wanted.dump());
  } else if (keyword == "items") {
    for (std::size_t i = 0; value.is_array() && i < value.size(); ++i)
      check(wanted, value[i], where + "/" + std::to_string(i));
  } else {
    expect(kWords.contains(keyword) || kOfObjects.contains(keyword), where,
           "the schema's " + keyword + " is not understood");
  }
}

void JsonSchema::check_object(const Json& schema, const Json& value, const std::string& where) {
  const Json none = Json::object();
  const Json& properties = schema.contains("properties") ? schema.at("properties") : none;
  for (const Json& name : schema.value("required", Json::array())) {
    expect(value.contains(name), where, "lacks " + name.get<std::string>());
  }
  for (const auto& [name, member] : value.items()) {
    const std::string place = where + "/" + name;
    if (properties.contains(name)) {
      check(properties.at(name), member, place);
    } else if (schema.contains("additionalProperties") && schema.at("additionalProperties").is_object()) {
      check(schema.at("additionalProperties"), member, place);
    } else {
      expect(false, place, "is not in the document");
    }
  }
}

}  // namespace credsync::ipc::http
