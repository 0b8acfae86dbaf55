#include "ipc/dbus/problems.h"

#include "ipc/dbus/names.h"

namespace credsync::ipc::dbus {
namespace {

std::string_view last_word(ProblemKind kind) {
  switch (kind) {
    case ProblemKind::kBadRequest: return "BadRequest";
    case ProblemKind::kNotAllowed: return "NotAllowed";
    case ProblemKind::kNoSuchAccount: return "NoSuchAccount";
    case ProblemKind::kNeedsLogin: return "NeedsLogin";
    case ProblemKind::kSuspended: return "Suspended";
    case ProblemKind::kLoginInProgress: return "LoginInProgress";
    case ProblemKind::kLoginOver: return "LoginOver";
    case ProblemKind::kMethodNotAllowed: return "MethodNotAllowed";
    case ProblemKind::kTooLarge: return "TooLarge";
    case ProblemKind::kBusy: return "Busy";
    case ProblemKind::kUnavailable: return "Unavailable";
    case ProblemKind::kTimeout: return "Timeout";
  }
  return "Unavailable";
}

}  // namespace

std::string error_name(ProblemKind kind) {
  return std::string(kErrorPrefix).append(last_word(kind));
}

std::string error_message(const Problem& problem) {
  std::string words = problem.detail;
  for (const std::string& line : problem.problems)
    words += "\n" + line;
  if (!problem.next_step.empty()) words += (problem.problems.empty() ? " (" : "\n(") + problem.next_step + ")";
  return words;
}

Problem no_such_account() {
  return {
      ProblemKind::kNoSuchAccount, "there is no such account, or none that you may know of", "credsync whoami", {}, {}};
}

}  // namespace credsync::ipc::dbus
