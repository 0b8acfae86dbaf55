#include "daemon/config/parse_toml.h"

#include <toml++/toml.h>

#include <sstream>

#include "base/text.h"

namespace credsync::config {
namespace {

Spot spot_of(const toml::source_region& source, const std::string* file) {
  return {file, static_cast<unsigned>(source.begin.line), static_cast<unsigned>(source.begin.column)};
}

class Converter {
 public:
  Converter(const std::string* file, Problems& problems) : file_(file), problems_(problems) {}

  std::optional<Node> convert(const toml::node& from, unsigned depth) {
    Node node;
    node.spot = spot_of(from.source(), file_);
    if (depth > kMaxTomlDepth) {
      problems_.add(node.spot, "", "tables are nested deeper than " + std::to_string(kMaxTomlDepth));
      return std::nullopt;
    }
    if (const toml::table* table = from.as_table()) return convert_table(*table, std::move(node), depth);
    if (const toml::array* array = from.as_array()) return convert_array(*array, std::move(node), depth);
    convert_value(from, node);
    return node;
  }

 private:
  std::optional<Node> convert_table(const toml::table& table, Node node, unsigned depth) {
    node.kind = Node::Kind::kTable;
    for (const auto& [key, value] : table) {
      auto child = convert(value, depth + 1);
      if (!child) return std::nullopt;
      child->spot = spot_of(key.source(), file_);
      node.fields.emplace(std::string(key.str()), std::move(*child));
    }
    return node;
  }

  std::optional<Node> convert_array(const toml::array& array, Node node, unsigned depth) {
    node.kind = Node::Kind::kArray;
    node.items.reserve(array.size());
    for (const toml::node& item : array) {
      auto child = convert(item, depth + 1);
      if (!child) return std::nullopt;
      node.items.push_back(std::move(*child));
    }
    return node;
  }

  static void convert_value(const toml::node& from, Node& node) {
    if (const auto* text = from.as_string()) {
      node.kind = Node::Kind::kString;
      node.text = text->get();
    } else if (const auto* integer = from.as_integer()) {
      node.kind = Node::Kind::kInteger;
      node.integer = integer->get();
    } else if (const auto* real = from.as_floating_point()) {
      node.kind = Node::Kind::kFloat;
      node.real = real->get();
    } else if (const auto* boolean = from.as_boolean()) {
      node.kind = Node::Kind::kBoolean;
      node.boolean = boolean->get();
    } else {
      node.kind = Node::Kind::kDate;  // no key takes one; the text only matters for messages
    }
  }

  const std::string* file_;
  Problems& problems_;
};

// toml++ quotes what it stumbled over, which may be part of a secret written without quotes. What it quotes stays only
// where it is a key or a single character.
std::string without_values(std::string_view description) {
  constexpr std::size_t kLongestEscape = 6;  // \u0000
  if (description.find("redefine") != description.npos) return clean_foreign_text(description);
  std::string out;
  while (!description.empty()) {
    const std::size_t open = description.find('\'');
    const std::size_t close = open == description.npos ? open : description.find('\'', open + 1);
    if (close == description.npos) break;
    const std::string_view quoted = description.substr(open + 1, close - open - 1);
    const bool one_character = quoted.size() <= 1 || (quoted.front() == '\\' && quoted.size() <= kLongestEscape);
    out += description.substr(0, open + 1);
    out += one_character ? quoted : "…";
    out += '\'';
    description.remove_prefix(close + 1);
  }
  return clean_foreign_text(out.append(description));
}

// "cannot redefine existing table 'account.a'": where the first one stands, if it is written as a plain header.
std::string first_definition(std::string_view text, std::string_view description, unsigned second_line) {
  constexpr std::string_view kWords = "cannot redefine existing table '";
  const std::size_t at = description.find(kWords);
  if (at == description.npos) return {};
  description.remove_prefix(at + kWords.size());
  const std::string header = "[" + std::string(description.substr(0, description.find('\''))) + "]";
  unsigned line = 1;
  for (std::size_t start = 0; start < text.size() && line < second_line; ++line) {
    if (text.substr(start).starts_with(header)) return "; it is already defined on line " + std::to_string(line);
    start = std::min(text.find('\n', start), text.size()) + 1;
  }
  return {};
}

std::string words_for(std::string_view text, const toml::parse_error& error) {
  const std::string_view description = error.description();
  std::string words = without_values(description);
  if (description.find("value type") != description.npos) words += "; text is written in \"quotes\"";
  return words + first_definition(text, description, error.source().begin.line);
}

}  // namespace

std::optional<Node> parse_toml(std::string_view text, const std::string* file, Problems& problems) {
  try {
    const toml::table table = toml::parse(text, std::string_view(*file));
    return Converter(file, problems).convert(table, 0);
  } catch (const toml::parse_error& error) {
    problems.add(spot_of(error.source(), file), "", words_for(text, error));
  } catch (const std::exception&) {
    problems.add(Spot{file, 1, 1}, "", "cannot be read as TOML");
  }
  return std::nullopt;
}

}  // namespace credsync::config
