#include "daemon/config/rules.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

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
std::optional<unsigned> group_id(const std::string& name) {
  return look_up<group>(name, ::getgrnam_r, &group::gr_gid);
}

std::optional<std::int64_t> digits(std::string_view text) {
  std::int64_t value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || text.front() == '-' || error != std::errc{} || rest != text.data() + text.size())
    return std::nullopt;
  return value;
}

}  // namespace

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
  for (const std::string_view key : {"unit", "exe"}) {
    const Node* node = table.take(key);
    if (node == nullptr) continue;
    // Left out it would let in more callers than the admin meant.
    table.wrong(key, "this version cannot decide on " + std::string(key) + "; use user or group, or remove the rule");
    good = false;
  }
  if (good && !user && !group) {
    table.problems().add(rule.place, rule.label, "a rule needs a user or a group, else it matches nobody", true);
    good = false;
  }
  return good;
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
    if (added && !name.empty()) found->second = key == "user" ? user_id(name) : group_id(name);
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
