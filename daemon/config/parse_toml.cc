#include "daemon/config/parse_toml.h"

#include <toml++/toml.h>

#include <algorithm>

#include "base/text.h"

namespace credsync::config {
namespace {

Spot spot_of(const toml::source_region& source, const std::string* file) {
  return {file, static_cast<unsigned>(source.begin.line), static_cast<unsigned>(source.begin.column)};
}

// Finds the place where keys or brackets nest too deeply, before toml++ sees the text: it recurses for every
// level, and a file of a million dots would cost the stack. Knows just enough of TOML to skip strings and
// comments.
class DepthCheck {
 public:
  explicit DepthCheck(std::string_view text) : text_(text) {}

  // Line and column, from 1; nothing if all is well.
  std::optional<std::pair<unsigned, unsigned>> run() {
    for (; at_ < text_.size(); ++at_) {
      switch (text_[at_]) {
        case '\n': next_line(); [[fallthrough]];
        case '=':
        case ',': dots_ = 0; break;
        case '#': skip_to('\n'); break;
        case '"':
        case '\'': skip_string(text_[at_]); break;
        case '[':
        case '{':
          ++open_;
          dots_ = 0;
          break;
        case ']':
        case '}': open_ -= open_ > 0 ? 1 : 0; break;
        case '.': ++dots_; break;
        default: break;
      }
      if (dots_ > kMaxTomlDepth || open_ > kMaxTomlDepth) {
        return std::pair(line_, static_cast<unsigned>(at_ - line_start_ + 1));
      }
    }
    return std::nullopt;
  }

 private:
  void next_line() {
    ++line_;
    line_start_ = at_ + 1;
  }

  // Leaves at_ before `end`, which is then seen as usual.
  void skip_to(char end) { at_ = std::min(text_.find(end, at_), text_.size()) - 1; }

  // Leaves at_ on the last quote. One line, or three quotes and many lines; \ escapes inside double quotes
  // only. Of up to five quotes that end many lines the first two are the text's.
  void skip_string(char quote) {
    const bool many = text_.substr(at_, 3) == std::string(3, quote);
    at_ += many ? 3 : 1;
    for (; at_ < text_.size(); ++at_) {
      if (text_[at_] == '\n' && !many) {
        --at_;
        return;  // not closed: toml++ will say so
      }
      if (text_[at_] == '\n') next_line();
      if (text_[at_] == '\\' && quote == '"' && at_ + 1 < text_.size() && text_[at_ + 1] != '\n')
        ++at_;
      else if (text_[at_] == quote && (!many || text_.substr(at_, 3) == std::string(3, quote)))
        break;
    }
    constexpr std::size_t kMostQuotes = 5;
    const std::size_t end = std::min(text_.find_first_not_of(quote, at_), text_.size());
    if (many && at_ < end) at_ += std::min(end - at_, kMostQuotes) - 1;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t line_start_ = 0;
  unsigned line_ = 1;
  unsigned dots_ = 0;  // in the key being read
  unsigned open_ = 0;  // brackets and braces
};

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

// toml++ quotes what it stumbled over, which may be part of a secret written without quotes. What it quotes
// stays only where it is a key or a single character.
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

// "cannot redefine existing table 'account.a'": where the first one stands, if it is written as a plain
// header.
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
  if (const auto deep = DepthCheck(text).run()) {
    problems.add(Spot{file, deep->first, deep->second}, "", "nested deeper than " + std::to_string(kMaxTomlDepth));
    return std::nullopt;
  }
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
