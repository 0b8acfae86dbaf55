#include "daemon/config/rules.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <memory>

#include "base/text.h"
#include "daemon/config/names.h"

namespace credsync::config {
namespace {

constexpr std::size_t kMaxRules = 256;           // every hand-out walks them
constexpr std::size_t kMaxEntryBytes = 1 << 20;  // of a passwd or group entry: big groups have long lists
constexpr std::int64_t kLargestId = 4294967294;  // 2^32 - 1 means "no id" to the kernel

// Calls getpwnam_r or getgrnam_r with a buffer that is large enough.
template <typename Entry, typename LookUp, typename Id>
std::optional<unsigned> look_up(const std::string& name, LookUp call, Id Entry::*id) {
  for (std::vector<char> buffer(4096); buffer.size() <= kMaxEntryBytes; buffer.resize(buffer.size() * 4)) {
    Entry entry{};
    Entry* found = nullptr;
    const int error = call(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (error == ERANGE) continue;
    if (error == EINTR) continue;
    return found == nullptr ? std::nullopt : std::optional<unsigned>(entry.*id);
  }
  return std::nullopt;
}

std::optional<unsigned> user_id(const std::string& name) {
  return look_up<passwd>(name, ::getpwnam_r, &passwd::pw_uid);
}

std::optional<std::int64_t> digits(std::string_view text) {
  std::int64_t value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || text.front() == '-' || error != std::errc{} || rest != text.data() + text.size())
    return std::nullopt;
  return value;
}

// How the kernel writes a path: absolute, nothing twice, nothing to go back from.
bool is_plain_path(std::string_view path) {
  if (path.size() < 2 || path.size() >= PATH_MAX || path.front() != '/' || path.ends_with('/')) return false;
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string_view part = path.substr(0, path.find('/'));
    if (part.empty() || part == "." || part == ".." || part.find('\0') != std::string_view::npos) return false;
    path.remove_prefix(part.size());
  }
  return true;
}

}  // namespace

std::optional<unsigned> find_group(const std::string& name) {
  return look_up<group>(name, ::getgrnam_r, &group::gr_gid);
}

void RuleReader::read(TableReader& table, std::vector<AllowRule>& out) {
  const Node* node = table.take("allow", Node::Kind::kArray);
  if (node == nullptr) return;
  const std::string path = table.path_of("allow");
  if (node->items.size() > kMaxRules)
    return table.wrong("allow", "has more than " + std::to_string(kMaxRules) + " rules");
  for (std::size_t i = 0; i < node->items.size(); ++i) {
    const std::string rule_path = path + "[" + std::to_string(i) + "]";
    if (table.expect(node->items[i], Node::Kind::kTable, rule_path)) {
      read_rule(node->items[i], rule_path, out, table.problems());
    }
  }
}

void RuleReader::read_rule(const Node& node, const std::string& path, std::vector<AllowRule>& out, Problems& problems) {
  TableReader table(node, path, problems);
  AllowRule rule;
  rule.label = path;
  rule.place = node.spot.place();
  const bool who = read_who(table, rule);
  const bool actions = read_actions(table, rule);
  table.finish();
  if (who && actions) out.push_back(std::move(rule));
}

bool RuleReader::read_who(TableReader& table, AllowRule& rule) {
  bool good = true;
  std::optional<unsigned> user, group;
  good = read_id(table, "user", user, rule.user_name) && good;
  good = read_id(table, "group", group, rule.group_name) && good;
  rule.user = user;
  rule.group = group;
  good = read_unit(table, rule) && good;
  good = read_exe(table, rule) && good;
  if (good && !user && !group && rule.unit.empty()) {
    table.problems().add(rule.place, rule.label,
                         rule.exe.empty() ? "a rule needs a user, a group or a unit, else it matches nobody"
                                          : "exe only narrows, since anybody can run a program as he likes; the rule "
                                            "needs a user, a group or a unit beside it",
                         true);
    good = false;
  }
  return good;
}

bool RuleReader::read_unit(TableReader& table, AllowRule& rule) {
  const Node* node = table.take("unit");
  if (node == nullptr) return true;
  if (!table.expect(*node, Node::Kind::kString, table.path_of("unit"))) return false;
  rule.unit = node->text;
  if (rule.unit.starts_with("user@")) {
    table.wrong("unit", "what runs there belongs to a user, who names its units; use user");
  } else if (rule.unit.ends_with(".slice") || !is_unit_name(rule.unit)) {
    table.wrong("unit", "must be the full name of one system unit that runs programs, like score-sync.service");
  } else {
    return true;
  }
  return false;
}

bool RuleReader::read_exe(TableReader& table, AllowRule& rule) {
  const Node* node = table.take("exe");
  if (node == nullptr) return true;
  if (!table.expect(*node, Node::Kind::kString, table.path_of("exe"))) return false;
  rule.exe = node->text;
  if (!is_plain_path(rule.exe)) {
    table.wrong("exe", "must be an absolute path without \"//\", \"/./\" or \"/../\", as the kernel writes it");
    return false;
  }
  const std::unique_ptr<char, decltype(&::free)> real(::realpath(rule.exe.c_str(), nullptr), &::free);
  if (real != nullptr && rule.exe != real.get()) {
    table.problems().add(
        rule.place, table.path_of("exe"),
        "is a link, and never matches: the kernel knows that program as " + clean_foreign_text(real.get()), false);
  }
  return true;
}

bool RuleReader::read_id(TableReader& table, std::string_view key, std::optional<unsigned>& id, std::string& name) {
  const Node* node = table.take(key);
  if (node == nullptr) return true;
  std::optional<std::int64_t> number;
  if (node->kind == Node::Kind::kInteger)
    number = node->integer;
  else if (!table.expect(*node, Node::Kind::kString, table.path_of(key)))
    return false;
  else
    number = digits(node->text);
  name = number ? std::to_string(*number) : node->text;
  if (!number) {
    Ids& known = key == "user" ? users_ : groups_;
    const auto [found, added] = known.try_emplace(name);
    if (added && !name.empty()) found->second = key == "user" ? user_id(name) : find_group(name);
    if (found->second) number = *found->second;
  }
  if (!number) {
    table.wrong(key, "this system has no " + std::string(key) + " `" + clean_foreign_text(name) + "`");
  } else if (*number < 0 || *number > kLargestId) {
    table.wrong(key, "an id is from 0 to " + std::to_string(kLargestId));
  } else if (*number == kOverflowId) {
    table.wrong(key, "65534 stands for ids that cannot be told apart; it can never be allowed anything");
  } else {
    id = static_cast<unsigned>(*number);
  }
  return id.has_value();
}

bool RuleReader::read_actions(TableReader& table, AllowRule& rule) {
  std::vector<Action> actions;
  const std::size_t before = table.problems().fatal_count();
  if (!table.choices("actions", actions)) return table.problems().fatal_count() == before;
  if (table.problems().fatal_count() != before) return false;
  if (actions.empty()) {
    table.wrong("actions", "must name at least one of get, watch, refresh, login, admin");
    return false;
  }
  rule.actions = static_cast<Actions>(Action::kWatch);  // implied by any other (design section 8)
  for (const Action action : actions)
    rule.actions |= static_cast<Actions>(action);
  return true;
}

}  // namespace credsync::config
