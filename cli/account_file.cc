#include "cli/account_file.h"

#include <algorithm>

#include "base/text.h"

namespace credsync::cli {
namespace {

constexpr std::string_view kLineBlanks = " \t\r";
// The first line of what is written here, and by which it is known again.
constexpr std::string_view kMark = "# Written by `credsync account add`. What may stand here: credsyncd.toml(5).\n";

// A basic string of TOML. Control characters are refused before: none of our values has any.
std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string toml_key(std::string_view key) {
  const auto bare = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  const bool is_bare = !key.empty() && std::all_of(key.begin(), key.end(), bare);
  return is_bare ? std::string(key) : toml_string(key);
}

std::string toml_list(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts)
    out += (out.empty() ? "" : ", ") + toml_string(text);
  return "[" + out + "]";
}

std::string toml_table(const std::map<std::string, std::string>& values) {
  std::string out;
  for (const auto& [key, value] : values)
    out += (out.empty() ? "" : ", ") + toml_key(key) + " = " + toml_string(value);
  return "{ " + out + " }";
}

// What is written stays one line, and the characters that cleaning drops would hide what is meant.
bool is_plain(const std::string& text) {
  return clean_foreign_text(text, {}, text.size()) == text;
}

class Writer {
 public:
  void text(const std::string& key, const std::string& value) {
    if (value.empty()) return;
    check(key, value);
    line(key, toml_string(value));
  }
  void list(const std::string& key, const std::vector<std::string>& values) {
    if (values.empty()) return;
    for (const std::string& value : values)
      check(key, value);
    line(key, toml_list(values));
  }
  void table(const std::string& key, const std::map<std::string, std::string>& values) {
    if (values.empty()) return;
    for (const auto& [name, value] : values) {
      check(key, name);
      check(key, value);
    }
    line(key, toml_table(values));
  }
  void line(const std::string& key, const std::string& value) { out_ += key + " = " + value + "\n"; }
  void raw(const std::string& text) { out_ += text; }

  Outcome<std::string> done() && {
    if (!wrong_.empty()) return misused(wrong_ + " has characters that cannot be shown");
    return std::move(out_);
  }

 private:
  void check(const std::string& key, const std::string& value) {
    if (wrong_.empty() && !is_plain(value)) wrong_ = key;
  }

  std::string out_;
  std::string wrong_;
};

// [account.NAME] or anything below it.
bool is_header_of(std::string_view line, const std::string& account) {
  const std::size_t brackets = line.starts_with("[[") ? 2 : 1;
  const std::string closing(brackets, ']');
  const std::size_t end = line.find(closing);
  if (end == line.npos) return false;
  const std::string_view after = line.substr(end + brackets);
  const std::size_t rest = after.find_first_not_of(kLineBlanks);
  if (rest != after.npos && after[rest] != '#') return false;
  const std::string_view path = line.substr(brackets, end - brackets);
  for (const std::string& name : {account, "\"" + account + "\"", "'" + account + "'"}) {
    // A dot in a bare name would be a path.
    if (name == account && account.find('.') != account.npos) continue;
    const std::string table = "account." + name;
    if (path == table || path.starts_with(table + ".")) return true;
  }
  return false;
}

template <typename Each>
void each_line(std::string_view text, Each each) {
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const std::size_t begin = line.find_first_not_of(kLineBlanks);
    if (begin == line.npos || line[begin] == '#') continue;
    each(line.substr(begin));
  }
}

}  // namespace

Outcome<std::string> account_toml(const AccountDraft& draft) {
  Writer out;
  out.raw(std::string(kMark));
  const std::string table = "account." + toml_key(draft.name);
  out.raw("[" + table + "]\n");
  out.text("provider", draft.provider);
  out.text("grant", draft.grant);
  out.text("client_id", draft.client_id);
  if (!draft.secret_file.empty()) out.line("client_secret", "{ file = " + toml_string(draft.secret_file) + " }");
  out.text("username", draft.username);
  out.list("scopes", draft.scopes);
  out.table("vars", draft.vars);
  out.table("params", draft.params);
  out.text("redirect_uri", draft.redirect_uri);
  const auto allow = [&](const char* key, const std::string& who, const char* actions) {
    out.raw("\n[[" + table + ".allow]]\n");
    out.text(key, who);
    out.line("actions", actions);
  };
  for (const std::string& user : draft.users)
    allow("user", user, R"(["get", "refresh", "login"])");
  for (const std::string& group : draft.groups)
    allow("group", group, R"(["get"])");
  return std::move(out).done();
}

bool defines_only(std::string_view toml, const std::string& account) {
  bool inside = false;
  bool only = true;
  each_line(toml, [&](std::string_view line) {
    // What looks like a header may be part of a longer value, which is then taken for more than it is: the safe mistake.
    if (line.starts_with('[')) inside = is_header_of(line, account);
    only = only && inside;
  });
  return only && inside;
}

std::string secret_file_of(std::string_view toml, const std::string& account) {
  const std::string name = account + ".secret";
  const std::string expected = "client_secret = { file = " + toml_string(name) + " }";
  std::string found;
  each_line(toml, [&](std::string_view line) {
    if (line == expected) found = name;
  });
  return found;
}

bool is_written_here(std::string_view toml) {
  return toml.starts_with(kMark);
}

}  // namespace credsync::cli
