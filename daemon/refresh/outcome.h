// What a failed refresh means for its account (design section 7). Pure.
#pragma once

#include "daemon/account/standing.h"
#include "daemon/oauth/failure.h"

namespace credsync::refresh {

struct Situation {
  bool rotates = false;                   // a rotating refresh token was sent
  bool resend = false;                    // after an ambiguous outcome before
  std::optional<Duration> overlap;        // declared by the profile, and not yet over since it was first sent
  unsigned unclear_before = 0;            // kUnclear in a row before this one
  std::optional<Duration> untrusted_for;  // TLS verification has failed for so long
};

enum class Next {
  kBackOff,  // the ordinary delay
  kNow,      // within a declared overlap: the old refresh token still works
  kSoon,     // by the ordinary delay while that still falls within the overlap, else at the floor
  kAtFloor,  // once, when the present token is nearly over: then nothing is lost by it
  kSlowly,   // suspended, or a refusal that may pass
  kNever,    // a person must act
};

struct Verdict {
  account::State state = account::State::kRetrying;
  Next next = Next::kBackOff;
  bool outcome_known = true;  // the intent can be dropped: the provider did not take the refresh token
  bool whole_client = false;  // all accounts of this endpoint, client and secret pause
};

constexpr unsigned kUnclearTries = 2;  // then needs-login (facts, section 4)
constexpr Duration kUntrustedPatience = 24h;

Verdict judge(const oauth::Failure& failure, const Situation& situation);

}  // namespace credsync::refresh
