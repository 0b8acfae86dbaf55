#include "daemon/handout/access.h"

#include <algorithm>
#include <array>

namespace credsync::handout {
namespace {

using config::Action;
using config::Actions;
using config::AllowRule;

constexpr std::array<std::pair<Action, std::string_view>, 5> kNames{{{Action::kGet, "get"},
                                                                     {Action::kWatch, "watch"},
                                                                     {Action::kRefresh, "refresh"},
                                                                     {Action::kLogin, "login"},
                                                                     {Action::kAdmin, "admin"}}};
constexpr Actions bit(Action action) {
  return static_cast<Actions>(action);
}
constexpr Actions kEverything =
    bit(Action::kGet) | bit(Action::kWatch) | bit(Action::kRefresh) | bit(Action::kLogin) | bit(Action::kAdmin);

// pid 0 is what the kernel says of a peer in a pid namespace we cannot see.
bool is_known(const ipc::Caller& caller) {
  return caller.uid != kOverflowId && caller.pid > 0;
}

bool in_group(const ipc::Caller& caller, gid_t group) {
  return caller.gid == group || std::find(caller.groups.begin(), caller.groups.end(), group) != caller.groups.end();
}

// Keys that this version cannot decide upon match nobody.
bool matches(const ipc::Caller& caller, const AllowRule& rule) {
  if (!rule.unit.empty() || !rule.exe.empty() || (!rule.user && !rule.group)) return false;
  return (!rule.user || *rule.user == caller.uid) &&
         (!rule.group || (*rule.group != kOverflowId && in_group(caller, *rule.group)));
}

// The rules of [defaults] first, then the account's own.
template <typename Visit>
void each_rule(const config::Account& account, Visit visit) {
  if (account.default_allow != nullptr) {
    for (const AllowRule& rule : *account.default_allow)
      visit(rule);
  }
  for (const AllowRule& rule : account.allow)
    visit(rule);
}

bool owns(const ipc::Caller& caller, const Owner& owner) {
  return owner.user_instance && caller.uid == owner.uid;
}

}  // namespace

bool allows(Actions actions, Action action) {
  return (actions & bit(action)) != 0;
}

Decision decide(const ipc::Caller& caller, const config::Account& account, const Owner& owner) {
  Decision decision;
  if (!is_known(caller)) return decision;
  if (owns(caller, owner)) return {kEverything, "owner"};
  each_rule(account, [&](const AllowRule& rule) {
    if (!matches(caller, rule)) return;
    decision.actions |= rule.actions | bit(Action::kWatch);
    if (decision.rule.empty()) decision.rule = rule.label;
  });
  if (caller.uid == 0) {  // root is not implicit, except for admin actions and what they need to see
    decision.actions |= bit(Action::kAdmin) | bit(Action::kWatch);
    if (decision.rule.empty()) decision.rule = "root";
  }
  return decision;
}

bool is_admin(const ipc::Caller& caller, const config::Config& config, const Owner& owner) {
  if (!is_known(caller)) return false;
  if (caller.uid == 0 || owns(caller, owner)) return true;
  if (config.default_allow == nullptr) return false;
  return std::any_of(config.default_allow->begin(), config.default_allow->end(), [&](const AllowRule& rule) {
    return allows(rule.actions, Action::kAdmin) && matches(caller, rule);
  });
}

std::vector<ipc::WhoAmI::Rule> explain(const ipc::Caller& caller, const config::Account& account, const Owner& owner) {
  std::vector<ipc::WhoAmI::Rule> rules;
  if (owns(caller, owner)) rules.push_back({"owner", true, "you own this instance"});
  if (caller.uid == 0) rules.push_back({"root", true, "root may administer, but gets no token without a rule"});
  each_rule(account, [&](const AllowRule& rule) {
    std::string why;
    if (rule.user && *rule.user != caller.uid) why = "user is not " + rule.user_name;
    if (rule.group && !in_group(caller, *rule.group))
      why += (why.empty() ? "" : "; ") + std::string("not in group ") + rule.group_name;
    if (!rule.unit.empty() || !rule.exe.empty())
      why += (why.empty() ? "" : "; ") + std::string("unit and exe are not decided upon by this version");
    const bool match = is_known(caller) && matches(caller, rule);
    if (match) {
      why = "grants";
      for (const std::string& name : names_of(rule.actions))
        why += " " + name;
    }
    rules.push_back({rule.label, match, std::move(why)});
  });
  return rules;
}

std::vector<std::string> names_of(Actions actions) {
  std::vector<std::string> names;
  for (const auto& [action, name] : kNames) {
    if (allows(actions, action)) names.emplace_back(name);
  }
  return names;
}

}  // namespace credsync::handout
