// How the phases of a sign-in are called, on every way in. Pure.
#pragma once

#include <string_view>

#include "ipc/names.h"
#include "ipc/service.h"

namespace credsync::ipc {

constexpr std::string_view word(LoginPhase phase) {
  switch (phase) {
    case LoginPhase::kWaiting: return kPhaseWaiting;
    case LoginPhase::kFinishing: return kPhaseFinishing;
    case LoginPhase::kDone: return kPhaseDone;
    case LoginPhase::kFailed: return kPhaseFailed;
    case LoginPhase::kCancelled: return kPhaseCancelled;
  }
  return kPhaseFailed;
}

}  // namespace credsync::ipc
