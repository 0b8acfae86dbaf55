#include "daemon/config/writer.h"

#include "base/text.h"
#include "daemon/config/names.h"
#include "daemon/config/profile_schema.h"
#include "daemon/config/tree.h"

namespace credsync::config {
namespace {

std::string toml_strings(const std::vector<std::string>& values) {
  std::string out = "[";
  for (const std::string& value : values)
    out += (out.size() > 1 ? ", " : "") + json_string(value);
  return out + "]";
}

std::string toml_map(const std::map<std::string, std::string>& values) {
  std::string out = "{";
  for (const auto& [key, value] : values)
    out += (out.size() > 1 ? ", " : " ") + toml_key(key) + " = " + json_string(value);
  return out + (values.empty() ? "}" : " }");
}

std::string toml_inline(const Lines& lines) {
  std::string out = "{";
  for (const auto& [key, value] : lines)
    out += (out.size() > 1 ? ", " : " ") + key + " = " + value;
  return out + " }";
}

// Not `quoted`: std::quoted would be found for a std::string, where <iomanip> comes along (g++ 14).
std::string in_quotes(std::string_view word) {
  return "\"" + std::string(word) + "\"";
}
std::string toml_bool(bool value) {
  return value ? "true" : "false";
}

// The visitor that writes a profile as lines.
class Writer {
 public:
  explicit Writer(Lines& out, std::string prefix = "") : out_(out), prefix_(std::move(prefix)) {}

  void text(std::string_view key, const std::string& value) { put(key, json_string(value)); }
  void boolean(std::string_view key, bool value) { put(key, toml_bool(value)); }
  void strings(std::string_view key, const std::vector<std::string>& value) { put(key, toml_strings(value)); }
  void string_map(std::string_view key, const std::map<std::string, std::string>& value) { put(key, toml_map(value)); }
  template <typename Enum>
  void choice(std::string_view key, Enum value) {
    put(key, in_quotes(provider::to_name(value)));
  }
  template <typename Enum>
  void choices(std::string_view key, const std::vector<Enum>& values) {
    std::string out = "[";
    for (const Enum value : values)
      out += (out.size() > 1 ? ", " : "") + in_quotes(provider::to_name(value));
    put(key, out + "]");
  }
  template <typename Enum>
  void optional_choice(std::string_view key, std::optional<Enum> value) {
    if (value) choice(key, *value);
  }
  void optional_text(std::string_view key, const std::optional<std::string>& value) {
    if (value) text(key, *value);
  }
  void optional_status(std::string_view key, std::optional<int> value) {
    if (value) put(key, std::to_string(*value));
  }
  void number(std::string_view key, double, std::optional<double> value) {
    if (!value) return;
    Node node;
    node.kind = Node::Kind::kFloat;
    node.real = *value;
    put(key, toml_value(node));
  }
  void duration(std::string_view key, Duration, Duration, std::optional<Duration> value) {
    if (value) put(key, in_quotes(to_text(*value)));
  }
  void statuses(std::string_view key, const std::vector<int>& values) {
    std::string out = "[";
    for (const int value : values)
      out += (out.size() > 1 ? ", " : "") + std::to_string(value);
    put(key, out + "]");
  }
  template <typename T>
  void table(std::string_view key, T& value) {
    Writer inner(out_, prefix_ + toml_key(key) + ".");
    visit(inner, value);
  }
  template <typename T>
  void optional_table(std::string_view key, std::optional<T>& value) {
    if (value) table(key, *value);
  }
  template <typename T>
  void table_map(std::string_view key, std::map<std::string, T>& values) {
    for (auto& [name, value] : values)
      Writer(out_, prefix_ + toml_key(key) + ".").table(name, value);
  }
  template <typename Enum, typename T>
  void choice_map(std::string_view key, std::map<Enum, T>& values) {
    for (auto& [which, value] : values) {
      Writer(out_, prefix_ + toml_key(key) + ".").table(provider::to_name(which), value);
    }
  }
  template <typename T>
  void list(std::string_view key, std::vector<T>& values) {
    std::string out = "[";
    for (T& value : values) {
      Lines lines;
      Writer inner(lines);
      visit(inner, value);
      out += (out.size() > 1 ? ", " : "") + toml_inline(lines);
    }
    put(key, out + "]");
  }

 private:
  void put(std::string_view key, std::string value) { out_.emplace_back(prefix_ + toml_key(key), std::move(value)); }

  Lines& out_;
  std::string prefix_;
};

std::string toml_actions(Actions actions) {
  std::string out = "[";
  for (const auto& entry : names_of(Action{})) {
    if ((actions & static_cast<Actions>(entry.value)) != 0) out += (out.size() > 1 ? ", " : "") + in_quotes(entry.name);
  }
  return out + "]";
}

}  // namespace

std::string toml_rules(const std::vector<AllowRule>& rules) {
  std::string out = "[";
  for (const AllowRule& rule : rules) {
    Lines lines;
    if (rule.user) lines.emplace_back("user", json_string(rule.user_name));
    if (rule.group) lines.emplace_back("group", json_string(rule.group_name));
    if (!rule.unit.empty()) lines.emplace_back("unit", json_string(rule.unit));
    if (!rule.exe.empty()) lines.emplace_back("exe", json_string(rule.exe));
    lines.emplace_back("actions", toml_actions(rule.actions));
    out += (out.size() > 1 ? ", " : "") + toml_inline(lines);
  }
  return out + "]";
}

namespace {

void put_source(Lines& out, std::string_view key, const SecretSource& source) {
  if (source.present()) out.emplace_back(key, toml_source(source));
}

void put_text(Lines& out, std::string_view key, const std::string& value) {
  if (!value.empty()) out.emplace_back(key, json_string(value));
}

}  // namespace

std::string toml_source(const SecretSource& source) {
  switch (source.kind) {
    case SecretSource::Kind::kFile: return "{ file = " + json_string(source.path) + " }";
    case SecretSource::Kind::kCredential: return "{ credential = " + json_string(source.path) + " }";
    case SecretSource::Kind::kCommand: return "{ command = " + toml_strings(source.command) + " }";
    case SecretSource::Kind::kNone: break;
  }
  return "{}";
}

Lines lines_of(const provider::Profile& profile) {
  Lines out;
  provider::Profile copy = profile;  // visitors take what they may change
  Writer writer(out);
  visit(writer, copy);
  return out;
}

Lines lines_of(const Account& account) {
  Lines out;
  out.emplace_back("enabled", toml_bool(account.enabled));
  out.emplace_back("provider", json_string(account.provider));
  out.emplace_back("grant", in_quotes(provider::to_name(account.grant)));
  put_text(out, "client_id", account.client_id);
  put_source(out, "client_secret", account.client_secret);
  put_source(out, "client_key", account.client_key);
  put_text(out, "client_certificate", account.client_certificate);
  put_text(out, "client_key_id", account.client_key_id);
  put_text(out, "username", account.username);
  put_source(out, "password", account.password);
  if (account.keep_password) out.emplace_back("keep_password", "true");
  out.emplace_back("scopes", toml_strings(account.scopes));
  put_text(out, "redirect_uri", account.redirect_uri);
  if (account.redirect_port) out.emplace_back("redirect_port", std::to_string(*account.redirect_port));
  if (!account.vars.empty()) out.emplace_back("vars", toml_map(account.vars));
  if (!account.params.empty()) out.emplace_back("params", toml_map(account.params));
  put_text(out, "ca_file", account.ca_file);
  out.emplace_back("allow_http_loopback", toml_bool(account.allow_http_loopback));
  out.emplace_back("refresh", in_quotes(provider::to_name(account.refresh)));
  out.emplace_back("margin", in_quotes(account.margin ? to_text(*account.margin) : "auto"));
  out.emplace_back("revoke_superseded", in_quotes(provider::to_name(account.revoke_superseded)));
  out.emplace_back("revoke_grace", in_quotes(to_text(account.revoke_grace)));
  out.emplace_back("allow", toml_rules(account.allow));
  return out;
}

}  // namespace credsync::config
