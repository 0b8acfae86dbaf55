#include "daemon/retire/plan.h"

#include <algorithm>

#include "base/mutation.h"
#include "daemon/account/account.h"

namespace credsync::retire {
namespace {

using provider::Cascade;
using provider::RevokeHow;
using store::RetiredKind;

bool can_revoke(const provider::Profile& profile, RetiredKind kind) {
  if (profile.revoke.how == RevokeHow::kNone) return false;
  return kind == RetiredKind::kAccess ? profile.revoke.access_tokens : profile.revoke.refresh_tokens;
}

store::Retirement make(const Leaving& grant, RetiredKind kind, WallTime not_before, WallTime now) {
  store::Retirement r;
  r.account = grant.account;
  r.identity = grant.identity;
  r.generation = grant.generation;
  r.kind = kind;
  r.token = kind == RetiredKind::kAccess ? grant.tokens->access_token.clone() : grant.tokens->refresh_token.clone();
  r.order = grant.order->clone();
  r.not_before = not_before;
  const auto end = kind == RetiredKind::kAccess ? grant.tokens->expires_at : grant.tokens->refresh_expires_at;
  r.give_up_at = end.value_or(saturating_add(now, kGiveUp));
  return r;
}

// A refresh at this provider kills the access token before it: nothing is left to revoke.
bool dies_by_refresh(const provider::Profile& profile) {
  return profile.refresh.access_overlap && *profile.refresh.access_overlap == Duration::zero();
}

}  // namespace

bool revokes_superseded(const config::Account& account, RetiredKind kind) {
  if (!can_revoke(*account.profile, kind)) return false;
  switch (account.revoke_superseded) {
    case config::RevokeSuperseded::kNever: return false;
    case config::RevokeSuperseded::kAlways: return true;
    case config::RevokeSuperseded::kAuto: break;
  }
  if (mutated(Mutation::kRevokeAnyCascade)) return true;
  const provider::Revoke& revoke = account.profile->revoke;
  return (kind == RetiredKind::kAccess ? revoke.access_cascade : revoke.refresh_cascade) == Cascade::kNone;
}

bool holds(const account::Live& live, const Secret& token) {
  return same_secret(live.tokens.access_token, token) || same_secret(live.tokens.refresh_token, token);
}

std::vector<store::Retirement> plan_superseded(const config::Account& account, const Leaving& old,
                                               const account::TokenSet& fresh, WallTime now) {
  std::vector<store::Retirement> plan;
  if (old.order->empty()) return plan;
  const WallTime not_before =
      mutated(Mutation::kRevokeAtOnce) ? now : std::max(saturating_add(now, account.revoke_grace), old.promised_until);
  const account::TokenSet& tokens = *old.tokens;
  const bool expired = tokens.expires_at && *tokens.expires_at <= not_before;
  const bool careless = mutated(Mutation::kRevokeCurrent);
  const bool same_access = !careless && same_secret(tokens.access_token, fresh.access_token);
  const bool refreshed_away = dies_by_refresh(*account.profile) && !tokens.refresh_token.empty();
  if (!tokens.access_token.empty() && !same_access && !expired && !refreshed_away &&
      revokes_superseded(account, RetiredKind::kAccess)) {
    plan.push_back(make(old, RetiredKind::kAccess, not_before, now));
  }
  const bool same_refresh = !careless && same_secret(tokens.refresh_token, fresh.refresh_token);
  if (!tokens.refresh_token.empty() && !same_refresh && revokes_superseded(account, RetiredKind::kRefresh)) {
    plan.push_back(make(old, RetiredKind::kRefresh, not_before, now));
  }
  return plan;
}

// The refresh token goes first: while it lives, it can make new access tokens.
std::vector<store::Retirement> plan_sign_out(const provider::Profile& profile, const Leaving& grant, WallTime now) {
  std::vector<store::Retirement> plan;
  if (grant.order->empty() && !grant.order_later) return plan;
  const account::TokenSet& tokens = *grant.tokens;
  const bool access_over = tokens.expires_at && *tokens.expires_at <= now;
  if (!tokens.refresh_token.empty() && can_revoke(profile, RetiredKind::kRefresh)) {
    plan.push_back(make(grant, RetiredKind::kRefresh, now, now));
  }
  if (!tokens.access_token.empty() && !access_over && can_revoke(profile, RetiredKind::kAccess)) {
    plan.push_back(make(grant, RetiredKind::kAccess, now, now));
  }
  for (store::Retirement& r : plan)
    r.by_sign_out = true;
  return plan;
}

}  // namespace credsync::retire
