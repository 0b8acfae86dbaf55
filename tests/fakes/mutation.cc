#include "tests/fakes/mutation.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace credsync {
namespace {

constexpr std::pair<Mutation, std::string_view> kNames[] = {
    {Mutation::kTwoFlights, "two-flights"},
    {Mutation::kForgetOwnFlight, "forget-own-flight"},
    {Mutation::kPublishFirst, "publish-first"},
    {Mutation::kHandOutExpired, "hand-out-expired"},
    {Mutation::kWallClockAlone, "wall-clock-alone"},
    {Mutation::kLifeFromReceipt, "life-from-receipt"},
    {Mutation::kNoFloor, "no-floor"},
    {Mutation::kNoIntent, "no-intent"},
    {Mutation::kSendBeforeIntent, "send-before-intent"},
    {Mutation::kResendUncounted, "resend-uncounted"},
    {Mutation::kResendForEver, "resend-for-ever"},
    {Mutation::kGiveUpEarly, "give-up-early"},
    {Mutation::kResendAtOnce, "resend-at-once"},
    {Mutation::kForgetIntents, "forget-intents"},
    {Mutation::kLoseStoredAnswer, "lose-stored-answer"},
    {Mutation::kDiscardWhenDead, "discard-when-dead"},
    {Mutation::kRefuseInTrouble, "refuse-in-trouble"},
    {Mutation::kDiscardOnNewConfig, "discard-on-new-config"},
    {Mutation::kForgetRetirement, "forget-retirement"},
    {Mutation::kForgetPromises, "forget-promises"},
    {Mutation::kRetireOutsideStore, "retire-outside-store"},
    {Mutation::kRevokeAtOnce, "revoke-at-once"},
    {Mutation::kRevokeOnce, "revoke-once"},
    {Mutation::kKeepOldToken, "keep-old-token"},
    {Mutation::kRevokeAnyCascade, "revoke-any-cascade"},
    {Mutation::kRevokeCurrent, "revoke-current"},
    {Mutation::kDropLate, "drop-late"},
    {Mutation::kOverwriteNewer, "overwrite-newer"},
    {Mutation::kEchoSecrets, "echo-secrets"},
    {Mutation::kStoreInClear, "store-in-clear"},
    {Mutation::kLogToken, "log-token"},
    {Mutation::kTrustUnknown, "trust-unknown"},
    {Mutation::kAllowByDefault, "allow-by-default"},
    {Mutation::kNoAudit, "no-audit"},
    {Mutation::kNoBackOff, "no-back-off"},
    {Mutation::kNoCallerLimit, "no-caller-limit"},
    {Mutation::kDeepJson, "deep-json"},
    {Mutation::kWaitForOthers, "wait-for-others"},
    {Mutation::kNoWindow, "no-window"},
    {Mutation::kNoAllowance, "no-allowance"},
    {Mutation::kNoPause, "no-pause"},
    {Mutation::kNoRate, "no-rate"},
    {Mutation::kForgetPlan, "forget-plan"},
};

Mutation from_environment() {
  const char* name = std::getenv("CREDSYNC_MUTATION");
  if (name == nullptr || *name == '\0') return Mutation::kNone;
  for (const auto& [mutation, known] : kNames) {
    if (known == name) return mutation;
  }
  std::fprintf(stderr, "CREDSYNC_MUTATION: there is no mutation \"%s\"\n", name);
  std::exit(64);  // EX_USAGE: a test that asks for none would pass
}

std::atomic<Mutation>& chosen() {
  static std::atomic<Mutation> mutation{from_environment()};
  return mutation;
}

}  // namespace

inline namespace with_mutations {
bool mutated(Mutation mutation) {
  return chosen().load(std::memory_order_relaxed) == mutation;
}
}  // namespace with_mutations

namespace fakes {

const std::vector<Mutation>& all_mutations() {
  static const std::vector<Mutation> all = [] {
    std::vector<Mutation> list;
    for (const auto& entry : kNames)
      list.push_back(entry.first);
    return list;
  }();
  return all;
}

std::string_view name_of(Mutation mutation) {
  for (const auto& [known, name] : kNames) {
    if (known == mutation) return name;
  }
  return {};
}

bool is_the_cores(Mutation mutation) {
  switch (mutation) {
    case Mutation::kEchoSecrets:
    case Mutation::kStoreInClear:
    case Mutation::kLogToken:
    case Mutation::kTrustUnknown:
    case Mutation::kAllowByDefault:
    case Mutation::kNoAudit:
    case Mutation::kNoCallerLimit:
    case Mutation::kDeepJson:
    case Mutation::kNoWindow: return false;
    default: return true;
  }
}

bool set_mutation(std::string_view name) {
  for (const auto& [mutation, known] : kNames) {
    if (known == name) return set_mutation(mutation), true;
  }
  return false;
}

void set_mutation(Mutation mutation) {
  chosen().store(mutation);
}

}  // namespace fakes
}  // namespace credsync
