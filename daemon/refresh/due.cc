#include "daemon/refresh/due.h"

#include <algorithm>

#include "daemon/config/config.h"
#include "daemon/refresh/policy.h"

namespace credsync::refresh {

using account::Account;
using account::State;
using provider::Grant;
using provider::RefreshHow;

namespace {

bool has_password(const Account& account, bool ordered) {
  const auto& trouble = account.standing().trouble;
  if (!ordered && trouble && trouble->code == kPasswordRefused) return false;
  if (!account.kept_password().empty()) return true;
  if (!account.config().password.present()) return false;
  return account.config().keep_password || !account.password_used();
}

// How long the refresh token lives if it is not used; nothing: nobody knows, or its end is near and stays.
std::optional<Duration> idle_life(const provider::Refresh& rules, const account::TokenSet& tokens) {
  if (tokens.refresh_token.empty()) return std::nullopt;
  if (rules.idle_life) return rules.idle_life;
  if (rules.absolute_life || !tokens.refresh_expires_at) return std::nullopt;
  const Duration told = *tokens.refresh_expires_at - tokens.obtained_at;
  return told >= kLeastIdleLife ? std::optional(told) : std::nullopt;
}

std::optional<BootTime> due_while_live(const Account& account, WallTime wall, BootTime now) {
  const config::Account& config = account.config();
  const account::Live& live = *account.live();
  const provider::Refresh& rules = config.profile->refresh;
  std::optional<BootTime> when;

  // Even an unused refresh token is used before it dies of disuse.
  if (const auto life = idle_life(rules, live.tokens)) {
    const auto idle = Duration(static_cast<Duration::rep>(static_cast<double>(life->count()) * kIdleShare));
    when = now + std::max(Duration::zero(), live.tokens.obtained_at + idle - wall);
  }
  const auto lifetime = live.tokens.lifetime();
  if (!lifetime) return when;
  const Duration remaining = *account.remaining(wall, now);
  const auto used_within = [&](Duration window) { return account.last_used() && wall - *account.last_used() < window; };
  bool ahead = config.refresh == config::RefreshMode::kAhead ||
               (config.refresh == config::RefreshMode::kWhileUsed && used_within(kWhileUsed));
  if (is_short(*lifetime)) ahead = ahead && used_within(kUsedWithinLifetimes * *lifetime);
  if (!ahead) return when;

  const Duration margin = margin_of(*lifetime, config.margin, live.tokens.refresh_in);
  Duration delay = until_planned(*lifetime, remaining, margin, live.tokens.jitter);
  if (rules.access_overlap && *rules.access_overlap == Duration::zero()) {
    // This refresh kills the token in callers' hands: it waits for the last promise, at the latest to the floor.
    const Duration latest = std::max(Duration::zero(), remaining - floor_of(*lifetime));
    delay = std::max(delay, std::min(live.promised_until - wall, latest));
  }
  const BootTime planned = now + delay;
  return when ? std::min(*when, planned) : planned;
}

}  // namespace

Way way_for(const Account& account, bool ordered) {
  const config::Account& config = account.config();
  const State state = account.standing().state;
  if (state == State::kSignedOut) return Way::kNone;
  if (config.grant == Grant::kClientCredentials) return Way::kClientCredentials;
  const RefreshHow how = config.profile->refresh.how;
  const account::Live* live = account.live();
  const bool dead = state == State::kNeedsLogin && !ordered;
  if (live != nullptr && !dead && how == RefreshHow::kRefreshToken && !live->tokens.refresh_token.empty())
    return Way::kRefreshToken;
  if (live != nullptr && !dead && how == RefreshHow::kAccessToken) return Way::kAccessToken;
  if (config.grant == Grant::kPassword && has_password(account, ordered)) return Way::kPassword;
  return Way::kNone;
}

bool sends_rotating_token(const Account& account) {
  return account.config().profile->refresh.rotation != provider::Rotation::kNone &&
         way_for(account, true) == Way::kRefreshToken;
}

std::optional<BootTime> due(const Account& account, WallTime wall, BootTime now) {
  if (way_for(account, false) == Way::kNone || account.coming_back()) return std::nullopt;
  std::optional<BootTime> when;
  if (account.live() == nullptr) {
    when = now;  // a token was never there
  } else if (account.attempts.failures > 0 || account.standing().state == State::kSuspended) {
    when = account.attempts.not_before.value_or(now);
  } else {
    when = due_while_live(account, wall, now);
  }
  if (when && account.attempts.not_before) when = std::max(*when, *account.attempts.not_before);
  if (when && account.attempts.paused_until && *account.attempts.paused_until > now)
    when = std::max(*when, *account.attempts.paused_until);
  return when;
}

}  // namespace credsync::refresh
