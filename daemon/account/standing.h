// How an account stands besides its tokens: what people see in `credsync status`.
#pragma once

#include <string>
#include <string_view>

#include "base/boxed.h"
#include "base/time.h"

namespace credsync::account {

enum class State { kOk, kRetrying, kNeedsLogin, kSuspended, kSignedOut };

constexpr std::string_view to_string(State state) {
  switch (state) {
    case State::kOk: return "ok";
    case State::kRetrying: return "retrying";
    case State::kNeedsLogin: return "needs-login";
    case State::kSuspended: return "suspended";
    case State::kSignedOut: return "signed-out";
  }
  return "";
}

// The code of a trouble: the account came back with an older copy of the database (docs/decisions/022). Its refresh token
// may have been replaced since, so it is not sent again unless a person says so.
constexpr std::string_view kRolledBack = "rolled-back";
constexpr std::string_view kRolledBackWords =
    "the database was put back to an older copy; this refresh token may have been replaced since then, and to send it "
    "again could end the grant";

struct Trouble {
  std::string error_class;  // oauth::to_string(FailureClass)
  std::string code;
  std::string words;  // cleaned before it comes here
  WallTime at;
};

struct Standing {
  State state = State::kNeedsLogin;
  WallTime since;
  Boxed<Trouble> trouble;  // most accounts have none
};

inline bool rolled_back(const Standing& standing) {
  return standing.state == State::kNeedsLogin && standing.trouble && standing.trouble->code == kRolledBack;
}
inline Standing rolled_back_at(WallTime now) {
  return {State::kNeedsLogin, now, Trouble{"local", std::string(kRolledBack), std::string(kRolledBackWords), now}};
}

}  // namespace credsync::account
