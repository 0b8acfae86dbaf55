#include "daemon/refresh/outcome.h"

#include "base/mutation.h"

namespace credsync::refresh {
namespace {

using account::State;
using oauth::FailureClass;

Verdict judge_ambiguous(const Situation& s) {
  if (!s.rotates) return {State::kRetrying, Next::kBackOff, true, false};
  Verdict verdict;
  verdict.outcome_known = false;
  const bool still_works = s.overlap && *s.overlap > Duration::zero();
  if (!s.resend || mutated(Mutation::kResendForEver)) {
    verdict.next = still_works || mutated(Mutation::kResendAtOnce) ? Next::kNow : Next::kAtFloor;
    return verdict;
  }
  if (still_works) {  // nothing can be lost by it
    verdict.next = Next::kSoon;
    return verdict;
  }
  verdict.state = State::kNeedsLogin;  // resent once, and again no answer
  verdict.next = Next::kNever;
  return verdict;
}

}  // namespace

Verdict judge(const oauth::Failure& failure, const Situation& s) {
  // A resend that never left, or was only put off, says nothing about the request before it.
  const bool known = !s.resend;
  switch (failure.failure_class) {
    case FailureClass::kNotSent:
    case FailureClass::kTransient: return {State::kRetrying, Next::kBackOff, known, false};
    case FailureClass::kAmbiguous:
    case FailureClass::kNoToken: return judge_ambiguous(s);
    case FailureClass::kNeedsLogin:
    case FailureClass::kStartOver: return {State::kNeedsLogin, Next::kNever, true, false};
    case FailureClass::kUnclear:
      if (s.unclear_before >= kUnclearTries) return {State::kNeedsLogin, Next::kNever, true, false};
      return {State::kRetrying, Next::kSlowly, known, false};
    case FailureClass::kClient: return {State::kSuspended, Next::kSlowly, known, true};
    case FailureClass::kRefused: return {State::kSuspended, Next::kSlowly, known, false};
    case FailureClass::kLocal: return {State::kSuspended, Next::kSlowly, known, false};
    case FailureClass::kUntrusted: {
      const bool patient = !s.untrusted_for || *s.untrusted_for < kUntrustedPatience;
      return {patient ? State::kRetrying : State::kSuspended, patient ? Next::kBackOff : Next::kSlowly, known, false};
    }
  }
  return {};
}

}  // namespace credsync::refresh
