#include "daemon/handout/access.h"

#include <algorithm>
#include <array>

#include "base/mutation.h"
#include "base/text.h"
#include "ipc/process.h"

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
  if (mutated(Mutation::kTrustUnknown)) return true;
  return caller.uid != kOverflowId && caller.pid > 0;
}

bool in_group(const ipc::Caller& caller, gid_t group) {
  return caller.gid == group || std::find(caller.groups.begin(), caller.groups.end(), group) != caller.groups.end();
}

// What a caller's process shows, read when it is first asked for and then the same throughout one decision.
class Evidence {
 public:
  explicit Evidence(const ipc::Caller& caller) : caller_(caller) {}

  const Result<std::string>& unit() {
    if (!unit_) unit_ = caller_.process ? caller_.process->unit() : given(caller_.unit);
    return *unit_;
  }
  const Result<std::string>& exe() {
    if (!exe_) exe_ = caller_.process ? caller_.process->exe() : given(caller_.exe);
    return *exe_;
  }

 private:
  static Result<std::string> given(const std::string& text) {
    if (text.empty()) return not_found("it could not be established which process asks");
    return text;
  }

  const ipc::Caller& caller_;
  std::optional<Result<std::string>> unit_, exe_;
};

// One part of a rule that does not fit, said for people; nothing is said while only the decision is wanted.
class Words {
 public:
  void add(const std::string& part) { text_ += (text_.empty() ? "" : "; ") + part; }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

bool same(const Result<std::string>& found, const std::string& wanted, const char* what, Words* why) {
  if (found && *found == wanted) return true;
  if (why == nullptr) return false;
  why->add(std::string(what) + " is not " + wanted + ": " +
           (found ? "it is " + clean_foreign_text(*found) : found.error().message()));
  return false;
}

// Without `why` it ends at the first part that does not fit, and the cheap parts come first.
bool matches(const ipc::Caller& caller, Evidence& evidence, const AllowRule& rule, Words* why = nullptr) {
  const auto goes_on = [&](bool fits, const char* what, const std::string& name) {
    if (!fits && why != nullptr) why->add(std::string(what) + name);
    return fits;
  };
  bool match = is_known(caller) && (rule.user || rule.group || !rule.unit.empty());
  if (!match && why != nullptr) why->add("it could not be established who asks");
  if (rule.user && (match || why)) match = goes_on(*rule.user == caller.uid, "user is not ", rule.user_name) && match;
  if (rule.group && (match || why)) {
    const bool member =
        (*rule.group != kOverflowId || mutated(Mutation::kTrustUnknown)) && in_group(caller, *rule.group);
    match = goes_on(member, "not in group ", rule.group_name) && match;
  }
  if (!rule.unit.empty() && (match || why)) match = same(evidence.unit(), rule.unit, "unit", why) && match;
  if (!rule.exe.empty() && (match || why)) match = same(evidence.exe(), rule.exe, "exe", why) && match;
  return match;
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

// By what somebody administers without a rule; empty: not at all. Never what a token needs.
std::string_view office_of(const ipc::Caller& caller, const Owner& owner) {
  if (!is_known(caller)) return {};
  if (caller.uid == 0) return "root";
  if (owner.admin_group && in_group(caller, *owner.admin_group)) return config::kAdminGroup;
  if (caller.manages) return "polkit";
  return {};
}

constexpr Actions kAdministers = bit(Action::kAdmin) | bit(Action::kWatch);

}  // namespace

bool allows(Actions actions, Action action) {
  return (actions & bit(action)) != 0;
}

Decision decide(const ipc::Caller& caller, const config::Account& account, const Owner& owner, Action wanted) {
  Decision decision;
  if (!is_known(caller)) return decision;
  if (owns(caller, owner)) return {kEverything, "owner"};
  Evidence evidence(caller);
  const auto grant = [&](Actions actions, std::string_view by) {
    if (decision.rule.empty() || (allows(actions, wanted) && !allows(decision.actions, wanted))) decision.rule = by;
    decision.actions |= actions;
  };
  each_rule(account, [&](const AllowRule& rule) {
    if (matches(caller, evidence, rule)) grant(rule.actions | bit(Action::kWatch), rule.label);
  });
  if (const std::string_view office = office_of(caller, owner); !office.empty()) grant(kAdministers, office);
  if (mutated(Mutation::kAllowByDefault) && decision.actions == 0) grant(bit(Action::kGet), "nobody's");
  return decision;
}

bool rules_here(const ipc::Caller& caller, const Owner& owner) {
  return is_known(caller) && (owns(caller, owner) || !office_of(caller, owner).empty());
}

bool is_admin(const ipc::Caller& caller, const config::Config& config, const Owner& owner) {
  if (rules_here(caller, owner)) return true;
  if (config.default_allow == nullptr) return false;
  Evidence evidence(caller);
  return std::any_of(config.default_allow->begin(), config.default_allow->end(), [&](const AllowRule& rule) {
    return allows(rule.actions, Action::kAdmin) && matches(caller, evidence, rule);
  });
}

std::vector<ipc::WhoAmI::Rule> explain(const ipc::Caller& caller, const config::Account& account, const Owner& owner) {
  std::vector<ipc::WhoAmI::Rule> rules;
  if (is_known(caller) && owns(caller, owner)) rules.push_back({"owner", true, "you own this instance"});
  const std::string_view office = office_of(caller, owner);
  if (!office.empty()) {
    rules.push_back({std::string(office), true, "grants admin watch, but no token without a rule"});
  }
  Evidence evidence(caller);
  each_rule(account, [&](const AllowRule& rule) {
    Words why;
    const bool match = matches(caller, evidence, rule, &why);
    if (match) {
      std::string grants = "grants";
      for (const std::string& name : names_of(rule.actions | bit(Action::kWatch)))
        grants += " " + name;
      why.add(grants);
    }
    rules.push_back({rule.label, match, why.text()});
  });
  return rules;
}

ipc::Caller seen_now(const ipc::Caller& caller) {
  ipc::Caller seen = caller;
  if (!caller.process) return seen;
  seen.unit = caller.process->unit().value_or("");
  seen.exe = caller.process->exe().value_or("");
  seen.process = nullptr;
  return seen;
}

std::string_view name_of(Action action) {
  const auto at = std::find_if(kNames.begin(), kNames.end(), [&](const auto& n) { return n.first == action; });
  return at == kNames.end() ? "" : at->second;
}

std::vector<std::string> names_of(Actions actions) {
  std::vector<std::string> names;
  for (const auto& [action, name] : kNames) {
    if (allows(actions, action)) names.emplace_back(name);
  }
  return names;
}

}  // namespace credsync::handout
