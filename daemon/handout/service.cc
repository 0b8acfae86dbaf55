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

namespace {

// The same bytes whether the account is missing or not the caller's to know of.
Problem no_such_account() {
  return {ProblemKind::kNoSuchAccount,
          "there is no such account, or none that you may know of",
          "credsync whoami",
          std::nullopt,
          {}};
}

Problem not_allowed(std::string_view action) {
  return {ProblemKind::kNotAllowed,
          "you may see this account, but not: " + std::string(action),
          "credsync whoami",
          std::nullopt,
          {}};
}

constexpr Duration kAttemptWait = 30s;  // as long as an exchange with a provider may take

}  // namespace

// --- deciding -----------------------------------------------------------------------------------------------------

std::variant<Service::Granted, Problem> Service::admit(const ipc::Caller& caller, std::string_view name,
                                                       Action action) {
  Account* account = accounts_.find(name);
  const Decision decision = account != nullptr ? decide(caller, account->config(), owner(), action) : Decision{};
  if (allows(decision.actions, action)) return Granted{account, decision};
  ++counters_.denied;
  const std::string shown = clean_foreign_text(name);
  audit_.record_repeating({caller, name_of(action), "denied", shown, 0, decision.rule,
                           account == nullptr ? "no such account" : "no rule grants it"});
  return decision.actions == 0 ? no_such_account() : not_allowed(name_of(action));
}

Owner Service::owner() const {
  Owner owner = owner_;
  owner.admin_group = administration_.config().admin_group;
  return owner;
}

std::optional<Problem> Service::admit_admin(const ipc::Caller& caller, std::string_view action) {
  if (is_admin(caller, administration_.config(), owner())) return std::nullopt;
  ++counters_.denied;
  audit_.record_repeating({caller, action, "denied", "", 0, "", "not an administrator"});
  return Problem{ProblemKind::kNotAllowed, "only administrators may do this", "credsync whoami", std::nullopt, {}};
}

Service::Service(account::Accounts& accounts, Desk& desk, refresh::Refresher& refresher, login::SignIn& sign_in,
                 login::SignOut& sign_out, login::Sessions& sessions, Audit& audit, Administration administration,
                 Owner owner, const Clock& clock)
    : accounts_(accounts),
      desk_(desk),
      refresher_(refresher),
      sign_in_(sign_in),
      sign_out_(sign_out),
      sessions_(sessions),
      audit_(audit),
      administration_(std::move(administration)),
      owner_(owner),
      clock_(clock) {
  accounts_.watch([this](Account& account, account::What what) { publish(account, what); });
  sessions_.connect(
      [this](const ipc::Caller& caller, const Account& account) {
        return allows(decide(caller, account.config(), this->owner()).actions, Action::kLogin);
      },
      [this](const ipc::Caller& caller, const std::string& name, std::string_view how, const std::string& words) {
        const Account* account = accounts_.find(name);
        audit_.record({caller, "login", how, name, account != nullptr ? account->generation() : 0, "", words});
      });
}

// --- tokens -------------------------------------------------------------------------------------------------------

std::unique_ptr<ipc::Pending> Service::token(const ipc::Caller& caller, const ipc::TokenQuery& query,
                                             ipc::Reply<ipc::TokenView> reply) {
  auto admitted = admit(caller, query.account, Action::kGet);
  if (auto* problem = std::get_if<Problem>(&admitted)) {
    reply(std::move(*problem));
    return nullptr;
  }
  Granted& granted = std::get<Granted>(admitted);
  // Who has waited is decided on again: rules, and what runs in the caller's process, may have changed meanwhile.
  auto admits = [this, caller, rule = granted.decision.rule](const Account& account,
                                                             bool waited) -> std::optional<Problem> {
    std::string by = rule;
    if (waited) {
      auto again = admit(caller, account.name(), Action::kGet);
      if (auto* problem = std::get_if<Problem>(&again)) return std::move(*problem);
      by = std::get<Granted>(again).decision.rule;
    }
    audit_.record_repeating({caller, "get", "allowed", account.name(), account.generation(), by, ""});
    return std::nullopt;
  };
  return desk_.token(*granted.account, query, std::move(admits), std::move(reply));
}

std::unique_ptr<ipc::Pending> Service::status_after(const ipc::Caller& caller, Account& account, config::Actions,
                                                    ipc::Reply<ipc::AccountStatus> reply) {
  return desk_.after_attempt(
      account, kAttemptWait,
      [this, caller, name = account.name(), reply = std::move(reply)]() mutable { reply(status(caller, name)); });
}

std::unique_ptr<ipc::Pending> Service::refresh(const ipc::Caller& caller, std::string_view name,
                                               ipc::Reply<ipc::AccountStatus> reply) {
  auto admitted = admit(caller, name, Action::kRefresh);
  if (auto* problem = std::get_if<Problem>(&admitted)) {
    reply(std::move(*problem));
    return nullptr;
  }
  auto& [account, decision] = std::get<Granted>(admitted);
  audit_.record_repeating({caller, "refresh", "allowed", account->name(), account->generation(), decision.rule, ""});
  if (!refresher_.under_way(*account)) {
    if (!refresher_.can_refresh(*account, true)) {
      Problem problem = no_token(*account, desk_.sight());
      problem.detail = "this account cannot be refreshed";
      problem.next_step = login_command(account->config());
      reply(std::move(problem));
      return nullptr;
    }
    if (refresher_.take_allowance(*account)) refresher_.start(*account, refresh::Reason::kOrdered);
  }
  return status_after(caller, *account, decision.actions, std::move(reply));
}

std::unique_ptr<ipc::Pending> Service::reject(const ipc::Caller& caller, std::string_view name, ipc::Rejected rejected,
                                              ipc::Reply<ipc::RejectAnswer> reply) {
  auto admitted = admit(caller, name, Action::kGet);
  if (auto* problem = std::get_if<Problem>(&admitted)) {
    reply(std::move(*problem));
    return nullptr;
  }
  auto& [account, decision] = std::get<Granted>(admitted);
  const account::Live* live = account->live();
  const bool current = rejected.generation
                           ? *rejected.generation == account->generation()
                           : live != nullptr && same_secret(rejected.access_token, live->tokens.access_token);
  ipc::RejectAnswer answer{account->name(), account->generation(), std::nullopt};
  audit_.record_repeating(
      {caller, "reject", current ? "allowed" : "stale", account->name(), account->generation(), decision.rule, ""});
  if (!current || live == nullptr) {
    reply(std::move(answer));
    return nullptr;
  }
  refresher_.note_rejected(*account);
  if (!refresher_.under_way(*account) && refresher_.can_refresh(*account) && refresher_.take_allowance(*account)) {
    refresher_.start(*account, refresh::Reason::kWished);
  }
  if (!refresher_.under_way(*account)) {
    answer.retry_after = refresher_.until_allowance(*account);
    if (answer.retry_after == Duration::zero()) answer.retry_after.reset();
    reply(std::move(answer));
    return nullptr;
  }
  return desk_.after_attempt(*account, kAttemptWait, [this, n = account->name(), reply = std::move(reply)]() mutable {
    const Account* after = accounts_.find(n);
    if (after == nullptr) return reply(no_such_account());
    reply(ipc::RejectAnswer{n, after->generation(), std::nullopt});
  });
}

// --- signing in and out -------------------------------------------------------------------------------------------

namespace {

Problem refusal_as_problem(const login::Refused& refused) {
  using login::Refusal;
  Problem problem{ProblemKind::kBadRequest, refused.words, refused.next_step, std::nullopt, {}};
  switch (refused.refusal) {
    case Refusal::kNotThisWay:
    case Refusal::kHeldElsewhere: break;
    case Refusal::kBusy: problem.kind = ProblemKind::kLoginInProgress; break;
    case Refusal::kProvider: problem.kind = ProblemKind::kNeedsLogin; break;
    case Refusal::kTransient:
    case Refusal::kStorage:
      problem.kind = ProblemKind::kUnavailable;
      problem.retry_after = 5s;
      break;
  }
  return problem;
}

}  // namespace

// A caller's part in something that goes on without it: a sign-in is not undone because who asked has left. The flag is
// true while an answer is wanted and has not been given.
class Service::Call final : public ipc::Pending {
 public:
  explicit Call(std::shared_ptr<bool> present) : present_(std::move(present)) {}
  ~Call() override { *present_ = false; }

 private:
  std::shared_ptr<bool> present_;
};

std::unique_ptr<ipc::Pending> Service::login(const ipc::Caller& caller, std::string_view name,
                                             ipc::LoginRequest request, ipc::Reply<ipc::LoginAnswer> reply) {
  auto admitted = admit(caller, name, Action::kLogin);
  if (auto* problem = std::get_if<Problem>(&admitted)) {
    reply(std::move(*problem));
    return nullptr;
  }
  auto& [account, decision] = std::get<Granted>(admitted);
  if (const auto way = login::way_of(account->config(), request.method)) {
    return begin_session(caller, std::get<Granted>(admitted), *way, request, std::move(reply));
  }
  auto present = std::make_shared<bool>(true);
  auto done = [this, present, caller, who = seen_now(caller), n = account->name(), rule = decision.rule,
               reply = std::move(reply)](login::Outcome outcome) mutable {
    const auto* refused = std::get_if<login::Refused>(&outcome);
    const Account* after = accounts_.find(n);
    audit_.record({who, "login", refused == nullptr ? "done" : "failed", n, after != nullptr ? after->generation() : 0,
                   rule, refused == nullptr ? "" : refused->words});
    if (!std::exchange(*present, false)) return;
    if (refused != nullptr) return reply(refusal_as_problem(*refused));
    auto now = status(caller, n);
    auto* problem = std::get_if<Problem>(&now);
    problem != nullptr ? reply(std::move(*problem))
                       : reply(ipc::LoginAnswer(std::get<ipc::AccountStatus>(std::move(now))));
  };
  switch (request.method) {
    case ipc::LoginMethod::kAuto: sign_in_.with_configured(*account, request.replace_identity, std::move(done)); break;
    case ipc::LoginMethod::kBrowser:
    case ipc::LoginMethod::kDevice:
      done(login::Refused{login::Refusal::kNotThisWay, "this account's grant is not signed in to like this",
                          login_command(account->config())});
      break;
    case ipc::LoginMethod::kRefreshToken:
      sign_in_.with_refresh_token(*account, std::move(request.secret), request.replace_identity, std::move(done));
      break;
    case ipc::LoginMethod::kToken:
      sign_in_.with_access_token(*account, std::move(request.secret), std::move(done));
      break;
    case ipc::LoginMethod::kPassword:
      sign_in_.with_password(*account, std::move(request.username), std::move(request.secret), request.replace_identity,
                             std::move(done));
      break;
  }
  if (!*present) return nullptr;  // answered already
  return std::make_unique<Call>(std::move(present));
}

std::unique_ptr<ipc::Pending> Service::begin_session(const ipc::Caller& caller, const Granted& granted, login::Way way,
                                                     const ipc::LoginRequest& request,
                                                     ipc::Reply<ipc::LoginAnswer> reply) {
  if (request.browser_user && *request.browser_user != caller.uid && caller.uid != 0) {
    reply(Problem{ProblemKind::kBadRequest, "only root may name another user's browser", "", std::nullopt, {}});
    return nullptr;
  }
  const Account& account = *granted.account;
  audit_.record({caller, "login", "begun", account.name(), account.generation(), granted.decision.rule, ""});
  return sessions_.begin(caller, *granted.account, way, request,
                         [reply = std::move(reply)](ipc::Answer<ipc::LoginView> answer) mutable {
                           if (auto* problem = std::get_if<Problem>(&answer)) return reply(std::move(*problem));
                           reply(ipc::LoginAnswer(std::move(std::get<ipc::LoginView>(answer))));
                         });
}

// A session is its user's, and only while that user may sign in to its account; for everybody else there is none.
bool Service::knows_login(const ipc::Caller& caller, std::string_view id) {
  const auto name = sessions_.account_of(caller.uid, id);
  const Account* account = name ? accounts_.find(*name) : nullptr;
  if (account != nullptr && allows(decide(caller, account->config(), owner()).actions, Action::kLogin)) return true;
  ++counters_.denied;
  audit_.record_repeating({caller, name_of(Action::kLogin), "denied", name.value_or(""), 0, "", "no such sign-in"});
  return false;
}

std::unique_ptr<ipc::Pending> Service::wait_login(const ipc::Caller& caller, std::string_view id, Duration wait,
                                                  ipc::Reply<ipc::LoginView> reply) {
  if (knows_login(caller, id)) return sessions_.wait(id, wait, std::move(reply));
  reply(no_such_account());
  return nullptr;
}

std::unique_ptr<ipc::Pending> Service::answer_login(const ipc::Caller& caller, std::string_view id, Secret redirect_url,
                                                    ipc::Reply<ipc::LoginView> reply) {
  if (knows_login(caller, id)) {
    reply(sessions_.answer(id, redirect_url));
  } else {
    reply(no_such_account());
  }
  return nullptr;
}

ipc::Answer<ipc::LoginView> Service::cancel_login(const ipc::Caller& caller, std::string_view id) {
  if (!knows_login(caller, id)) return no_such_account();
  return sessions_.cancel(id);
}

std::unique_ptr<ipc::Pending> Service::sign_out(const ipc::Caller& caller, std::string_view name,
                                                ipc::Reply<ipc::SignOutAnswer> reply) {
  auto admitted = admit(caller, name, Action::kAdmin);
  if (auto* problem = std::get_if<Problem>(&admitted)) {
    reply(std::move(*problem));
    return nullptr;
  }
  auto& [account, decision] = std::get<Granted>(admitted);
  auto present = std::make_shared<bool>(true);
  sign_out_.run(
      *account, [this, present, who = seen_now(caller), n = account->name(), generation = account->generation(),
                 rule = decision.rule, reply = std::move(reply)](Result<unsigned> pending) mutable {
        audit_.record({who, "logout", pending ? "done" : "failed", n, generation, rule,
                       pending ? "" : pending.error().message()});
        if (!std::exchange(*present, false)) return;
        if (pending) return reply(ipc::SignOutAnswer{n, *pending});
        reply(Problem{
            ProblemKind::kUnavailable, "the sign-out could not be stored: " + pending.error().message(), "", 5s, {}});
      });
  if (!*present) return nullptr;
  return std::make_unique<Call>(std::move(present));
}

// --- looking ------------------------------------------------------------------------------------------------------

ipc::Answer<ipc::AccountStatus> Service::status(const ipc::Caller& caller, std::string_view name) {
  auto admitted = admit(caller, name, Action::kWatch);
  if (auto* problem = std::get_if<Problem>(&admitted)) return std::move(*problem);
  const auto& [account, decision] = std::get<Granted>(admitted);
  return describe(*account, desk_.sight(), decision.actions);
}

std::vector<ipc::AccountStatus> Service::list(const ipc::Caller& caller) {
  std::vector<ipc::AccountStatus> found;
  for (const auto& [name, account] : accounts_.all()) {
    const Decision decision = decide(caller, account->config(), owner());
    if (decision.actions != 0) found.push_back(describe(*account, desk_.sight(), decision.actions));
  }
  return found;
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

// --- administration -----------------------------------------------------------------------------------------------

ipc::Answer<ipc::ReloadAnswer> Service::reload(const ipc::Caller& caller) {
  if (auto problem = admit_admin(caller, "reload")) return std::move(*problem);
  auto answer = administration_.reload();
  const bool done = std::holds_alternative<ipc::ReloadAnswer>(answer);
  audit_.record({caller, "reload", done ? "done" : "failed", "", 0, "", ""});
  return answer;
}

std::unique_ptr<ipc::Pending> Service::doctor(const ipc::Caller& caller, ipc::Reply<std::vector<ipc::Check>> reply) {
  if (auto problem = admit_admin(caller, "doctor")) {
    reply(std::move(*problem));
    return nullptr;
  }
  return administration_.doctor(std::move(reply));
}

ipc::Answer<std::vector<ipc::AuditRecord>> Service::audit(const ipc::Caller& caller, std::optional<WallTime> since) {
  if (auto problem = admit_admin(caller, "audit")) return std::move(*problem);
  return audit_.since(since);
}

ipc::Answer<std::string> Service::metrics(const ipc::Caller& caller) {
  if (auto problem = admit_admin(caller, "metrics")) return std::move(*problem);
  return administration_.metrics();
}

void Service::refused(const ipc::Caller& caller, std::string_view why) {
  ++counters_.busy;
  audit_.record_repeating({caller, "connect", "denied", "", 0, "", why});
}

// --- events -------------------------------------------------------------------------------------------------------

class Service::Subscription final : public ipc::Pending {
 public:
  Subscription(Service& service, ipc::Caller caller, std::string account,
               std::function<void(const ipc::Event&)> on_event)
      : service_(service), caller_(std::move(caller)), account_(std::move(account)), on_event_(std::move(on_event)) {
    service_.subscriptions_.insert(this);
  }
  ~Subscription() override { service_.subscriptions_.erase(this); }

  void offer(const Account& account, const ipc::Event& event) const {
    if (!account_.empty() && account_ != account.name()) return;
    if (decide(caller_, account.config(), service_.owner()).actions == 0) return;
    const std::function<void(const ipc::Event&)> call = on_event_;  // a full stream may end itself, and this with it
    call(event);
  }

 private:
  Service& service_;
  const ipc::Caller caller_;
  const std::string account_;
  const std::function<void(const ipc::Event&)> on_event_;
};

Service::~Service() = default;

namespace {

ipc::Event make_event(const Account& account, ipc::Event::Kind kind) {
  ipc::Event event;
  event.kind = kind;
  event.account = account.name();
  event.state = to_string(account.standing().state);
  event.since = account.standing().since;
  event.generation = account.generation();
  if (account.live() != nullptr) event.expires_at = account.live()->tokens.expires_at;
  return event;
}

}  // namespace

ipc::Answer<std::unique_ptr<ipc::Pending>> Service::subscribe(const ipc::Caller& caller, std::string_view name,
                                                              std::function<void(const ipc::Event&)> on_event) {
  if (!name.empty()) {
    auto admitted = admit(caller, name, Action::kWatch);
    if (auto* problem = std::get_if<Problem>(&admitted)) return std::move(*problem);
  }
  auto subscription = std::make_unique<Subscription>(*this, caller, std::string(name), std::move(on_event));
  for (const auto& [account_name, account] : accounts_.all()) {
    subscription->offer(*account, make_event(*account, ipc::Event::Kind::kState));
  }
  return std::unique_ptr<ipc::Pending>(std::move(subscription));
}

void Service::publish(const Account& account, account::What what) {
  if (what == account::What::kConfig || what == account::What::kRemoved) return;
  const auto kind = what == account::What::kToken ? ipc::Event::Kind::kToken : ipc::Event::Kind::kState;
  const ipc::Event event = make_event(account, kind);
  const std::set<Subscription*> present = subscriptions_;
  for (Subscription* subscription : present) {
    if (subscriptions_.contains(subscription)) subscription->offer(account, event);
  }
}

}  // namespace credsync::handout
