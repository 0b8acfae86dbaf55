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

}  // namespace credsync::account
