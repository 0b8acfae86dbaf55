// What callers may look at: accounts, themselves, providers. Nothing of it changes anything.
#include "daemon/handout/service.h"

#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "daemon/config/config.h"
#include "daemon/handout/words.h"
#include "daemon/provider/names.h"
#include "ipc/process.h"

namespace credsync::handout {

using account::Account;
using config::Action;
using ipc::Problem;
using ipc::ProblemKind;

ipc::Answer<ipc::AccountStatus> Service::status(const ipc::Caller& caller, std::string_view name) {
  auto admitted = admit(caller, name, Action::kWatch);
  if (auto* problem = std::get_if<Problem>(&admitted)) return std::move(*problem);
  const auto& [account, decision] = std::get<Granted>(admitted);
  return describe(*account, desk_.sight(), decision.actions);
}

ipc::AccountList Service::list(const ipc::Caller& caller, std::string_view behind) {
  ipc::AccountList part;
  const account::Accounts::Map& all = accounts_.all();
  auto at = behind.empty() ? all.begin() : all.upper_bound(behind);
  for (std::size_t looked_at = 0; at != all.end() && looked_at < kAccountsAtOnce; ++at, ++looked_at) {
    const Decision decision = decide(caller, at->second->config(), owner());
    if (decision.actions != 0) part.accounts.push_back(describe(*at->second, desk_.sight(), decision.actions));
  }
  if (at != all.end()) part.last = std::prev(at)->first;
  return part;
}

namespace {

// Text, or why there is none.
void establish(Result<std::string> found, std::string& text, std::string& why) {
  found ? text = clean_foreign_text(*found) : why = found.error().message();
}

void add_names(const ipc::Caller& subject, ipc::WhoAmI& answer) {
  // Names are for people only; nothing is decided on them.
  if (const passwd* user = ::getpwuid(subject.uid)) answer.user = user->pw_name;
  std::vector<gid_t> groups = subject.groups;
  if (std::find(groups.begin(), groups.end(), subject.gid) == groups.end()) groups.insert(groups.begin(), subject.gid);
  for (const gid_t gid : groups) {
    const group* known = ::getgrgid(gid);
    answer.groups.emplace_back(gid, known != nullptr ? known->gr_name : "");
  }
}

}  // namespace

// Accounts that the asker may not know of are not in it, whatever the subject may do with them.
ipc::WhoAmI Service::explain_to(const ipc::Caller& asker, const ipc::Caller& subject) const {
  ipc::WhoAmI answer;
  answer.caller = subject;
  answer.caller.process = nullptr;
  if (subject.process) {
    establish(subject.process->unit(), answer.caller.unit, answer.unit_why);
    establish(subject.process->exe(), answer.caller.exe, answer.exe_why);
  } else {
    if (subject.unit.empty()) answer.unit_why = "it could not be established which process asks";
    if (subject.exe.empty()) answer.exe_why = "it could not be established which process asks";
  }
  add_names(subject, answer);
  for (const auto& [name, account] : accounts_.all()) {
    if (decide(asker, account->config(), owner()).actions == 0) continue;
    const Decision decision = decide(subject, account->config(), owner());
    answer.accounts.push_back({name, names_of(decision.actions), explain(subject, account->config(), owner())});
  }
  return answer;
}

ipc::Answer<ipc::WhoAmI> Service::who_am_i(const ipc::Caller& caller, std::optional<pid_t> of) {
  if (!of || *of == caller.pid) return explain_to(caller, caller);
  const bool admin = is_admin(caller, administration_.config(), owner());
  const auto subject = administration_.look(*of);
  if (subject && (admin || subject->uid == caller.uid)) return explain_to(caller, *subject);
  if (admin) return Problem{ProblemKind::kBadRequest, subject.error().message(), "", std::nullopt, {}};
  // The same whether there is no such process or it is somebody else's.
  ++counters_.denied;
  audit_.record_repeating({caller, "whoami", "denied", "", 0, "", "not an administrator"});
  return Problem{ProblemKind::kNotAllowed,
                 "there is no such process of yours; administrators may ask for others'",
                 "credsync whoami",
                 std::nullopt,
                 {}};
}

std::vector<ipc::ProviderSummary> Service::providers(const ipc::Caller&) {
  std::vector<ipc::ProviderSummary> found;
  for (const auto& [id, profile] : administration_.config().profiles) {
    ipc::ProviderSummary summary{
        id, profile->title, profile->docs, profile->facts.empty() ? "" : profile->facts.front().file, {}};
    for (const provider::Grant grant : profile->grants)
      summary.grants.emplace_back(provider::to_name(grant));
    found.push_back(std::move(summary));
  }
  return found;
}

ipc::Answer<ipc::ProviderDetail> Service::provider(const ipc::Caller&, std::string_view id) {
  const auto& profiles = administration_.config().profiles;
  const auto at = profiles.find(std::string(id));
  if (at == profiles.end()) {
    return Problem{
        ProblemKind::kNoSuchAccount, "there is no provider of that name", "credsync providers", std::nullopt, {}};
  }
  const provider::Profile& profile = *at->second;
  ipc::ProviderDetail detail{profile.id, profile.title, profile.docs, {}};
  for (const provider::Fact& fact : profile.facts)
    detail.facts.push_back({fact.key, fact.value, fact.file, fact.line, fact.source});
  return detail;
}

}  // namespace credsync::handout
