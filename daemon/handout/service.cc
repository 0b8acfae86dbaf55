#include "daemon/handout/service.h"

#include <utility>

#include "base/text.h"
#include "daemon/config/config.h"
#include "daemon/handout/words.h"

namespace credsync::handout {

using account::Account;
using config::Action;
using ipc::Problem;
using ipc::ProblemKind;

namespace {

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

std::unique_ptr<ipc::Pending> Service::status_after(const ipc::Caller& caller, Account& account,
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
  return status_after(caller, *account, std::move(reply));
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

// --- administration -----------------------------------------------------------------------------------------------

std::unique_ptr<ipc::Pending> Service::reload(const ipc::Caller& caller, ipc::Reply<ipc::ReloadAnswer> reply) {
  if (auto problem = admit_admin(caller, "reload")) {
    reply(std::move(*problem));
    return nullptr;
  }
  auto present = std::make_shared<bool>(true);
  administration_.reload(
      [this, present, who = seen_now(caller), reply = std::move(reply)](ipc::Answer<ipc::ReloadAnswer> answer) mutable {
        const bool done = std::holds_alternative<ipc::ReloadAnswer>(answer);
        audit_.record({who, "reload", done ? "done" : "failed", "", 0, "", ""});
        if (std::exchange(*present, false)) reply(std::move(answer));
      });
  if (!*present) return nullptr;
  return std::make_unique<Call>(std::move(present));
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
