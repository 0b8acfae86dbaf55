#include "daemon/login/session_words.h"

#include <algorithm>

#include "daemon/provider/names.h"

namespace credsync::login {

using ipc::LoginPhase;
using ipc::Problem;
using ipc::ProblemKind;
using oauth::FailureClass;

std::string login_command_of(const std::string& account) {
  return "credsync login " + account;
}

std::string provider_title(const config::Account& account) {
  return account.profile->title.empty() ? account.provider : account.profile->title;
}

ipc::LoginView first_view(const config::Account& account) {
  ipc::LoginView view;
  view.account = account.name;
  view.provider = account.provider;
  view.provider_title = provider_title(account);
  view.client_id = account.client_id;
  view.grant = provider::to_name(account.grant);
  view.scopes = account.scopes;
  return view;
}

Problem login_over(const std::string& account, const std::string& words) {
  return {ProblemKind::kLoginOver, words, login_command_of(account), std::nullopt, {}};
}

namespace {

bool passes(FailureClass failure_class) {
  switch (failure_class) {
    case FailureClass::kNotSent:
    case FailureClass::kTransient:
    case FailureClass::kUntrusted:
    case FailureClass::kAmbiguous: return true;
    default: return false;
  }
}

}  // namespace

Problem not_begun(const config::Account& account, const oauth::Failure& failure) {
  if (passes(failure.failure_class)) {
    return {
        ProblemKind::kUnavailable, failure.words, login_command_of(account.name), failure.retry_after.value_or(5s), {}};
  }
  return {ProblemKind::kSuspended, failure.words, "credsync doctor", std::nullopt, {}};
}

NotCompleted from_failure(const oauth::Failure& failure) {
  // What the certificate or the network has done is said by its class: the code is a detail of ours.
  const bool by_class = failure.code.empty() || failure.failure_class == FailureClass::kUntrusted ||
                        failure.failure_class == FailureClass::kNotSent;
  const std::string error_class = by_class ? std::string(to_string(failure.failure_class)) : failure.code;
  return {error_class, failure.words, passes(failure.failure_class), false};
}

Problem why_failed(const config::Account& account, const NotCompleted& why) {
  Problem problem;
  problem.kind = why.may_pass ? ProblemKind::kUnavailable : ProblemKind::kNeedsLogin;
  problem.detail = why.words;
  problem.next_step = login_command_of(account.name);
  return problem;
}

PageOutcome page_of(const ipc::LoginView& view) {
  PageOutcome page;
  page.kind = PageKind::kOver;
  switch (view.phase) {
    case LoginPhase::kDone:
      page.kind = PageKind::kDone;
      page.identity = view.identity;
      if (!view.missing.empty()) {
        page.words = "Not everything that was asked for was granted. Missing:";
        for (const std::string& scope : view.missing)
          page.words += " " + scope;
      }
      page.next_step = "credsync status " + view.account;
      break;
    case LoginPhase::kFailed:
      page.kind = view.error_class == "access_denied" ? PageKind::kDenied : PageKind::kFailed;
      if (view.problem) page.words = view.problem->detail, page.next_step = view.problem->next_step;
      break;
    case LoginPhase::kCancelled: page.words = "It was cancelled in the terminal."; break;
    case LoginPhase::kWaiting:
    case LoginPhase::kFinishing: break;
  }
  return page;
}

std::vector<std::string> missing_of(const std::vector<std::string>& asked, const std::vector<std::string>& granted) {
  std::vector<std::string> missing;
  for (const std::string& scope : asked) {
    if (std::find(granted.begin(), granted.end(), scope) == granted.end()) missing.push_back(scope);
  }
  return missing;
}

}  // namespace credsync::login
