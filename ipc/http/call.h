// What a request asks for, once path, method, parameters and body are understood. Plain values.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "ipc/service.h"

namespace credsync::ipc::http {

enum class Operation {
  kListAccounts,
  kStatus,
  kToken,
  kReject,
  kRefresh,
  kLogin,
  kWaitLogin,
  kAnswerLogin,
  kCancelLogin,
  kSignOut,
  kEvents,
  kWhoAmI,
  kAudit,
  kReload,
  kHealth,
  kProviders,
  kProvider,
  kDoctor,
  kMetrics,
};

struct Call {
  Operation operation = Operation::kHealth;
  std::string name;  // the account, the provider or the sign-in; empty when there is none
  Duration min_valid{0};
  Duration wait{0};
  std::optional<WallTime> since;
  std::optional<pid_t> pid;
  Rejected rejected;
  LoginRequest login;
  Secret redirect_url;
  std::string so_far;  // of an answer that is made in parts; `name` is where the next one begins
};

// Why a request gets no further than the front door.
struct Refusal {
  Problem problem;
  std::string allow;          // of kMethodNotAllowed: the methods that the path knows
  bool no_such_path = false;  // 404; `problem` says nothing then
};

}  // namespace credsync::ipc::http
