#include "daemon/provider/template.h"

#include <algorithm>

#include "daemon/provider/pattern.h"

namespace credsync::provider {
namespace {

bool is_reserved(std::string_view name) {
  return name == kTokenVariable || name == kClientIdVariable;
}

bool is_variable_name(std::string_view name) {
  const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), fits);
}

// A template in pieces: literal text, or a variable's name.
struct Piece {
  bool variable = false;
  std::string text;
};

Result<std::vector<Piece>> split(std::string_view text) {
  std::vector<Piece> pieces(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool doubled = i + 1 < text.size() && text[i + 1] == c;
    if ((c == '{' || c == '}') && doubled) {
      pieces.back().text += c;
      ++i;
    } else if (c == '}') {
      return invalid("a } without its {; a brace itself is written }}");
    } else if (c == '{') {
      const std::size_t end = text.find('}', i);
      if (end == text.npos) return invalid("a { that is not closed; a brace itself is written {{");
      const std::string_view name = text.substr(i + 1, end - i - 1);
      if (!is_variable_name(name)) return invalid("a variable's name is made of a-z, 0-9 and _");
      pieces.push_back({true, std::string(name)});
      pieces.emplace_back();
      i = end;
    } else {
      pieces.back().text += c;
    }
  }
  return pieces;
}

// What a variable without a pattern takes: one host label or several, an id. Nothing that could end a host or
// a path.
bool matches_default_pattern(std::string_view value) {
  const auto alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); };
  return !value.empty() && alnum(value.front()) &&
         std::all_of(value.begin(), value.end(), [&](char c) { return alnum(c) || c == '.' || c == '-'; });
}

Result<void> check_against(const std::string& pattern, std::string_view value) {
  const auto matches = matches_pattern(pattern, value);
  if (!matches) return invalid("the pattern " + pattern + " " + matches.error().message());
  if (!*matches) return invalid("does not match the pattern " + pattern);
  return {};
}

std::string joined(const Strings& words) {
  std::string out;
  for (const std::string& word : words)
    out += (out.empty() ? "" : ", ") + word;
  return out;
}

}  // namespace

Result<std::vector<std::string>> names_in_template(std::string_view text) {
  auto pieces = split(text);
  if (!pieces) return pieces.error();
  std::vector<std::string> names;
  for (Piece& piece : *pieces) {
    if (!piece.variable || std::find(names.begin(), names.end(), piece.text) != names.end()) continue;
    names.push_back(std::move(piece.text));
  }
  return names;
}

Result<void> check_value(const Variable& variable, std::string_view value) {
  if (value.size() > kMaxVariableBytes) return invalid("longer than " + std::to_string(kMaxVariableBytes) + " bytes");
  if (!variable.allowed.empty()) {
    const auto found = std::find(variable.allowed.begin(), variable.allowed.end(), value);
    if (found == variable.allowed.end()) return invalid("must be one of " + joined(variable.allowed));
    return {};
  }
  if (!variable.pattern.empty()) return check_against(variable.pattern, value);
  if (!matches_default_pattern(value))
    return invalid("must be letters, digits, - and ., beginning with a letter or digit");
  return {};
}

Result<StringMap> resolve(const std::map<std::string, Variable>& declared, const StringMap& given) {
  StringMap values;
  for (const auto& [name, value] : given) {
    const auto variable = declared.find(name);
    if (variable == declared.end()) return invalid(name + ": the provider has no such variable");
    if (auto checked = check_value(variable->second, value); !checked) return checked.error().within(name);
    values.emplace(name, value);
  }
  for (const auto& [name, variable] : declared) {
    if (values.contains(name)) continue;
    if (!variable.fallback) return invalid(name + ": the provider needs this variable and has no default for it");
    values.emplace(name, *variable.fallback);
  }
  return values;
}

Result<std::string> expand(std::string_view text, const std::map<std::string, Variable>& declared,
                           const StringMap& given) {
  auto names = names_in_template(text);
  if (!names) return names.error();
  StringMap used;
  for (const std::string& name : *names) {
    if (is_reserved(name)) continue;
    const auto variable = declared.find(name);
    if (variable == declared.end()) return invalid("{" + name + "}: the provider declares no such variable");
    const auto value = given.find(name);
    if (value == given.end() && !variable->second.fallback)
      return invalid("{" + name + "} has no value and no default");
    const std::string& chosen = value == given.end() ? *variable->second.fallback : value->second;
    if (auto checked = check_value(variable->second, chosen); !checked) return checked.error().within("{" + name + "}");
    used.emplace(name, chosen);
  }
  return expand_resolved(text, used);
}

Result<std::string> expand_resolved(std::string_view text, const StringMap& values) {
  auto pieces = split(text);
  if (!pieces) return pieces.error();
  std::string out;
  for (const Piece& piece : *pieces) {
    if (!piece.variable) {
      out += piece.text;
    } else if (is_reserved(piece.text)) {
      out += "{" + piece.text + "}";
    } else if (const auto value = values.find(piece.text); value != values.end()) {
      out += value->second;
    } else {
      return invalid("{" + piece.text + "} has no value");
    }
  }
  return out;
}

std::string fill_reserved(std::string_view text, std::string_view name, std::string_view value) {
  const std::string place = "{" + std::string(name) + "}";
  std::string out(text);
  for (std::size_t at = out.find(place); at != std::string::npos; at = out.find(place, at + value.size())) {
    out.replace(at, place.size(), value);
  }
  return out;
}

}  // namespace credsync::provider
