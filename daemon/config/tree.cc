#include "daemon/config/tree.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <tuple>

#include "base/text.h"

namespace credsync::config {
namespace {

std::string number_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, value);
  std::string text(buffer, result.ptr);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";  // else it would be read back as an integer
  return text;
}

std::string array_text(const Node& node) {
  std::string out = "[";
  for (const Node& item : node.items)
    out += (out.size() > 1 ? ", " : "") + toml_value(item);
  return out + "]";
}

std::string table_text(const Node& node) {
  std::string out = "{";
  for (const auto& [key, value] : node.fields) {
    out += (out.size() > 1 ? ", " : " ") + toml_key(key) + " = " + toml_value(value);
  }
  return out + (node.fields.empty() ? "}" : " }");
}

}  // namespace

std::string_view kind_name(Node::Kind kind) {
  switch (kind) {
    case Node::Kind::kTable: return "a table";
    case Node::Kind::kArray: return "an array";
    case Node::Kind::kString: return "text";
    case Node::Kind::kInteger: return "a whole number";
    case Node::Kind::kFloat: return "a number";
    case Node::Kind::kBoolean: return "true or false";
    case Node::Kind::kDate: return "a date";
  }
  return "?";
}

void merge(Node& base, Node over) {
  if (!base.is_table() || !over.is_table()) {
    base = std::move(over);
    return;
  }
  base.spot = over.spot;
  for (auto& [key, value] : over.fields) {
    if (const auto found = base.fields.find(key); found != base.fields.end()) {
      merge(found->second, std::move(value));
    } else {
      base.fields.emplace(key, std::move(value));
    }
  }
}

std::string toml_key(std::string_view key) {
  const auto bare = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  if (!key.empty() && std::all_of(key.begin(), key.end(), bare)) return std::string(key);
  return json_string(key);
}

std::string toml_value(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kTable: return table_text(node);
    case Node::Kind::kArray: return array_text(node);
    case Node::Kind::kInteger: return std::to_string(node.integer);
    case Node::Kind::kFloat: return number_text(node.real);
    case Node::Kind::kBoolean: return node.boolean ? "true" : "false";
    case Node::Kind::kString:
    case Node::Kind::kDate: break;
  }
  return json_string(node.text);
}

void Problems::add(Place place, std::string key, std::string words, bool fatal) {
  fatal_ += fatal ? 1 : 0;
  if (problems_.size() >= kMost) {
    ++left_out_;
    fatal_left_out_ = fatal_left_out_ || fatal;
    return;
  }
  problems_.push_back({std::move(place), std::move(key), std::move(words), fatal});
}

std::vector<Problem> Problems::take() {
  std::stable_sort(problems_.begin(), problems_.end(), [](const Problem& a, const Problem& b) {
    return std::tie(a.place.file, a.place.line, a.place.column) < std::tie(b.place.file, b.place.line, b.place.column);
  });
  if (left_out_ > 0) {
    problems_.push_back({{}, "", "and " + std::to_string(left_out_) + " more problems", fatal_left_out_});
  }
  return std::move(problems_);
}

}  // namespace credsync::config
