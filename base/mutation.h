// Faults on purpose: each breaks one thing that an invariant rests on, so that it can be seen which test notices. They
// exist only in programs that are built with CREDSYNC_TEST_SWITCHES (sources listed as SWITCHED, see
// cmake/CredsyncTargets.cmake); everywhere else mutated() is a constant false, and the compiler drops what hangs on it.
// Use it in .cc files only.
#pragma once

namespace credsync {

// By the invariant of docs/reliability.md that it breaks. Names in tests/fakes/mutation.cc.
enum class Mutation {
  kNone,
  // 1: one flight
  kTwoFlights,       // a second refresh starts while one is under way
  kForgetOwnFlight,  // the grant came back with its configuration: its refresh under way is not recognised
  // 2: persist, then publish
  kPublishFirst,  // new tokens are visible before the store has them
  // 3: nothing expired leaves
  kHandOutExpired,   // an end that has passed is no hindrance
  kWallClockAlone,   // the boot clock is not asked
  kLifeFromReceipt,  // a lifetime counts from the answer, not from the request
  kNoFloor,          // a token with a moment left is handed out without trying to refresh
  // 4: a rotation is never lost to us
  kNoIntent,          // a rotating refresh token is sent without one
  kSendBeforeIntent,  // it is sent while its intent is on the way to the disk
  kResendUncounted,   // it is sent again without counting that first
  kResendForEver,     // it is sent again after every lost answer
  kGiveUpEarly,       // a start gives up what the provider still takes, for its overlap lasts
  kResendAtOnce,      // it is sent again at once though no overlap is declared
  kForgetIntents,     // at a start, refreshes whose outcome is unknown are taken for over
  kLoseStoredAnswer,  // the answer is handed to nobody who stores it
  // 5: a failure never costs a working token
  kDiscardWhenDead,     // needs-login throws the tokens away
  kRefuseInTrouble,     // only an account that is ok hands out
  kDiscardOnNewConfig,  // a change of identity throws the tokens away
  // 6: superseded means retired
  kForgetRetirement,    // what is replaced is not queued
  kRetireOutsideStore,  // it is queued in memory only
  kRevokeAtOnce,        // neither grace nor promises are waited for
  kForgetPromises,      // what callers were promised is not stored
  kRevokeOnce,          // a revocation that failed is not tried again
  kKeepOldToken,        // the old token stays in use beside its successor on the disk
  // 7: revoking never backfires
  kRevokeAnyCascade,  // what else dies is not asked
  kRevokeCurrent,     // nor whether the provider gave the same token again
  // 8: late results find their place
  kDropLate,        // a late answer is dropped
  kOverwriteNewer,  // a late answer is installed over a newer sign-in
  // 9: secrets stay secret
  kEchoSecrets,   // what a provider echoes of its request is shown
  kStoreInClear,  // what is stored is not sealed
  kLogToken,      // a new token is logged
  // 10: identity is the kernel's
  kTrustUnknown,    // overflow ids and pid 0 match rules like others
  kAllowByDefault,  // whom no rule names gets tokens
  kNoAudit,         // nothing is recorded
  // 11: everything is bounded
  kNoBackOff,      // failures are retried at once
  kNoCallerLimit,  // a user may have any number of connections
  kDeepJson,       // answers may be nested as deep as they like
  // 12: one slow thing slows nothing else
  kWaitForOthers,  // a hand-out waits for a refresh that its caller does not need
  kNoWindow,       // an endpoint that hangs may take all workers
  // section 6
  kNoAllowance,  // refresh, reject and min_valid cost nothing
  kNoPause,      // a 429 holds nobody back
  kNoRate,       // a declared rate is not kept
  kForgetPlan,   // nothing is planned after a refresh
};

#ifdef CREDSYNC_TEST_SWITCHES
inline namespace with_mutations {  // never one function with the constant one: both kinds of objects may be linked together
bool mutated(Mutation mutation);
}
#else
constexpr bool mutated(Mutation) {
  return false;
}
#endif

}  // namespace credsync
