// The service that every front door calls: each request is decided on who asks, before it is known whether the account
// exists; both refusals are the same. Loop only.
#pragma once

#include <functional>
#include <memory>
#include <set>

#include "daemon/account/accounts.h"
#include "daemon/handout/access.h"
#include "daemon/handout/audit.h"
#include "daemon/handout/desk.h"
#include "daemon/login/sessions.h"
#include "daemon/login/sign_in.h"
#include "daemon/login/sign_out.h"
#include "ipc/service.h"

namespace credsync::handout {

// Accounts that one part of a list looks at: some milliseconds of a turn.
inline constexpr std::size_t kAccountsAtOnce = 250;

// What only the whole daemon can do or tell.
struct Administration {
  std::function<void(ipc::Reply<ipc::ReloadAnswer>)> reload;  // the reply comes whoever has left
  std::function<std::unique_ptr<ipc::Pending>(ipc::Reply<std::vector<ipc::Check>>)> doctor;
  std::function<std::string()> metrics;            // OpenMetrics text
  std::function<const config::Config&()> config;   // the one in force
  std::function<Result<ipc::Caller>(pid_t)> look;  // how another process would be seen
};

class Service final : public ipc::Service {
 public:
  Service(account::Accounts& accounts, Desk& desk, refresh::Refresher& refresher, login::SignIn& sign_in,
          login::SignOut& sign_out, login::Sessions& sessions, Audit& audit, Administration administration, Owner owner,
          const Clock& clock);
  ~Service() override;

  std::unique_ptr<ipc::Pending> token(const ipc::Caller&, const ipc::TokenQuery&, ipc::Reply<ipc::TokenView>) override;
  std::unique_ptr<ipc::Pending> refresh(const ipc::Caller&, std::string_view account,
                                        ipc::Reply<ipc::AccountStatus>) override;
  std::unique_ptr<ipc::Pending> reject(const ipc::Caller&, std::string_view account, ipc::Rejected,
                                       ipc::Reply<ipc::RejectAnswer>) override;
  std::unique_ptr<ipc::Pending> login(const ipc::Caller&, std::string_view account, ipc::LoginRequest,
                                      ipc::Reply<ipc::LoginAnswer>) override;
  std::unique_ptr<ipc::Pending> wait_login(const ipc::Caller&, std::string_view id, Duration wait,
                                           ipc::Reply<ipc::LoginView>) override;
  std::unique_ptr<ipc::Pending> answer_login(const ipc::Caller&, std::string_view id, Secret redirect_url,
                                             ipc::Reply<ipc::LoginView>) override;
  ipc::Answer<ipc::LoginView> cancel_login(const ipc::Caller&, std::string_view id) override;
  std::unique_ptr<ipc::Pending> sign_out(const ipc::Caller&, std::string_view account,
                                         ipc::Reply<ipc::SignOutAnswer>) override;
  ipc::Answer<ipc::AccountStatus> status(const ipc::Caller&, std::string_view account) override;
  ipc::AccountList list(const ipc::Caller&, std::string_view behind) override;
  ipc::Answer<ipc::WhoAmI> who_am_i(const ipc::Caller&, std::optional<pid_t> of) override;
  std::vector<ipc::ProviderSummary> providers(const ipc::Caller&) override;
  ipc::Answer<ipc::ProviderDetail> provider(const ipc::Caller&, std::string_view id) override;
  std::unique_ptr<ipc::Pending> reload(const ipc::Caller&, ipc::Reply<ipc::ReloadAnswer>) override;
  std::unique_ptr<ipc::Pending> doctor(const ipc::Caller&, ipc::Reply<std::vector<ipc::Check>>) override;
  ipc::Answer<std::vector<ipc::AuditRecord>> audit(const ipc::Caller&, std::optional<WallTime> since) override;
  ipc::Answer<std::string> metrics(const ipc::Caller&) override;
  ipc::Answer<std::unique_ptr<ipc::Pending>> subscribe(const ipc::Caller&, std::string_view account,
                                                       std::function<void(const ipc::Event&)> on_event) override;
  void refused(const ipc::Caller&, std::string_view why) override;

  struct Counters {
    std::uint64_t denied = 0, busy = 0;
  };
  const Counters& counters() const { return counters_; }
  std::size_t subscriptions() const { return subscriptions_.size(); }

 private:
  class Subscription;
  // A caller's part in something that goes on without it: a sign-in is not undone because who asked has left. The flag is
  // true while an answer is wanted and has not been given.
  class Call final : public ipc::Pending {
   public:
    explicit Call(std::shared_ptr<bool> present) : present_(std::move(present)) {}
    ~Call() override { *present_ = false; }

   private:
    std::shared_ptr<bool> present_;
  };
  struct Granted {
    account::Account* account = nullptr;
    Decision decision;
  };
  std::variant<Granted, ipc::Problem> admit(const ipc::Caller& caller, std::string_view account, config::Action action);
  std::unique_ptr<ipc::Pending> begin_session(const ipc::Caller& caller, const Granted& granted, login::Way way,
                                              const ipc::LoginRequest& request, ipc::Reply<ipc::LoginAnswer> reply);
  bool knows_login(const ipc::Caller& caller, std::string_view id);
  Owner owner() const;
  ipc::WhoAmI explain_to(const ipc::Caller& asker, const ipc::Caller& subject) const;
  std::optional<ipc::Problem> admit_admin(const ipc::Caller& caller, std::string_view action);
  void publish(const account::Account& account, account::What what);
  std::unique_ptr<ipc::Pending> status_after(const ipc::Caller& caller, account::Account& account,
                                             ipc::Reply<ipc::AccountStatus> reply);

  account::Accounts& accounts_;
  Desk& desk_;
  refresh::Refresher& refresher_;
  login::SignIn& sign_in_;
  login::SignOut& sign_out_;
  login::Sessions& sessions_;
  Audit& audit_;
  const Administration administration_;
  const Owner owner_;
  const Clock& clock_;
  std::set<Subscription*> subscriptions_;
  Counters counters_;
};

}  // namespace credsync::handout
