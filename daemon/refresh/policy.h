// When to refresh and what a caller needs: pure numbers in, numbers out (design section 6). L is the token's lifetime.
#pragma once

#include <optional>

#include "base/time.h"

namespace credsync::refresh {

// Remaining lifetime under which a token is no longer handed out without trying to refresh:
// clamp(L/10, 10 s, 60 s); for L up to 60 s clamp(L/4, 2 s, 10 s); never above L/2.
Duration floor_of(Duration lifetime);

// Tokens this short are refreshed ahead only while they are used.
constexpr Duration kShortLifetime = 60s;
constexpr bool is_short(Duration lifetime) {
  return lifetime <= kShortLifetime;
}
// … that is: a hand-out within the last 3 L.
constexpr int kUsedWithinLifetimes = 3;
// "while-used" accounts: a hand-out within the last 7 days.
constexpr Duration kWhileUsed = days(7);

// How long before the end the daemon refreshes. `advised` is the answer's refresh_in, `configured` the account's margin.
// Without either min(L/3, 7 d), but 35 min for lives of 1 h to 105 min and 7/12 of shorter ones: so a provider may be away for
// half an hour, and five minutes are left to ask for all that waited, before a token of an hour ends. L/2 for L under 10 min.
// Never below the floor, never above 0.9 L. Decision 030.
constexpr Duration kRideOut = 35min;
Duration margin_of(Duration lifetime, std::optional<Duration> configured, std::optional<Duration> advised);

// The share of the margin by which one token is refreshed earlier: `unit` in [0,1) -> [0, 0.2).
double jitter_of(double unit);

// Time from now until the planned refresh (never negative), for a token with `remaining` to live.
Duration until_planned(Duration lifetime, Duration remaining, Duration margin, double jitter);

// Does `remaining` satisfy a caller who wants `min_valid`, without asking the provider? False: a refresh is called for.
bool good_enough(Duration lifetime, Duration remaining, Duration min_valid);

// refresh, reject and min_valid together cause at most one request per this: clamp(L/10, 10 s, 5 min). Unknown L: 10 s.
Duration on_demand_interval(std::optional<Duration> lifetime);

// Three fresh generations rejected in a row: a pause.
constexpr unsigned kRejectedInARow = 3;
constexpr Duration kRejectedPause = 5min;

// The delay after the n-th failure in a row (n from 1): drawn by `unit` from [c/2, c], where c doubles from the base
// (1 s, or L/60 for lifetimes under a minute) up to max(base, min(5 min, remaining/4)). With nothing left to lose time
// over (`remaining` unset or over) up to a minute: callers wait, but the provider is down.
Duration retry_delay(unsigned failures, std::optional<Duration> lifetime, std::optional<Duration> remaining,
                     double unit);

// Suspended accounts are tried again by themselves, slowly: 15 min doubling to 6 h, jittered as above.
Duration suspended_delay(unsigned failures, double unit);

// At this share of the refresh token's idle life even an unused account is refreshed, so that it does not die of disuse.
constexpr double kIdleShare = 0.8;
// An end that the answer told may be one that no refresh puts off, and is then approached in ever shorter steps: a refresh token
// with less than this left is not used for its end's sake.
constexpr Duration kLeastIdleLife = 5min;

// A caller is promised its token until now + min(min_valid, remaining, 1 h).
Duration promise_of(Duration min_valid, std::optional<Duration> remaining);

}  // namespace credsync::refresh
