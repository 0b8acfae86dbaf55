// Signing in and out, for callers.
#include "daemon/handout/service.h"

#include <memory>
#include <utility>

#include "daemon/config/config.h"
#include "daemon/handout/words.h"

namespace credsync::handout {

using account::Account;
using config::Action;
using ipc::Problem;
using ipc::ProblemKind;

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

// By reference and not inlined: g++ 12 would follow the variant and see an alternative that is not there.
[[gnu::noinline]] void pass_on(ipc::Answer<ipc::LoginView>&& answer, ipc::Reply<ipc::LoginAnswer>& reply) {
  if (auto* problem = std::get_if<Problem>(&answer)) return reply(std::move(*problem));
  reply(ipc::LoginAnswer(std::move(std::get<ipc::LoginView>(answer))));
}

}  // namespace

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
  return sessions_.begin(
      caller, *granted.account, way, request,
      [reply = std::move(reply)](ipc::Answer<ipc::LoginView>&& answer) mutable { pass_on(std::move(answer), reply); });
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

}  // namespace credsync::handout
