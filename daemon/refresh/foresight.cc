#include "daemon/refresh/foresight.h"

#include <algorithm>

#include "daemon/config/config.h"

namespace credsync::refresh {
namespace {

using provider::RefreshHow;

constexpr std::array<Duration, 3> kAhead{days(7), days(1), Duration(1h)};
// Of a life that is known as a whole: a half, a quarter, an eighth at most.
constexpr std::array<int, 3> kShares{2, 4, 8};
// Of a life that each use begins anew: only if the use that is planned at 80 % of it has failed.
constexpr std::array<int, 3> kIdleShares{10, 20, 40};

struct Life {
  WallTime end;
  std::optional<Duration> whole;
  bool idle = false;
};

// A refresh token's end and what is known of its life.
std::optional<Life> life_of_refresh_token(const account::Account& account) {
  const account::TokenSet& tokens = account.live()->tokens;
  if (tokens.refresh_token.empty() || !tokens.refresh_expires_at) return std::nullopt;
  const provider::Refresh& rules = account.config().profile->refresh;
  Life life{*tokens.refresh_expires_at, std::nullopt, false};
  const Duration left_at_birth = life.end - tokens.obtained_at;
  const bool by_idleness = rules.idle_life && left_at_birth >= *rules.idle_life - 1s;
  if (by_idleness || (!rules.absolute_life && account.config().refresh != config::RefreshMode::kAhead)) {
    life.whole = rules.idle_life.value_or(left_at_birth);
    life.idle = true;
  } else if (rules.absolute_life) {
    life.whole = *rules.absolute_life;
  }
  return life;
}

std::optional<Life> life_of(const account::Account& account, bool can_refresh) {
  const account::Live* live = account.live();
  if (live == nullptr) return std::nullopt;
  if (!can_refresh) {
    if (!live->tokens.expires_at) return std::nullopt;
    return Life{*live->tokens.expires_at, live->tokens.lifetime(), false};
  }
  // Client credentials, a configured password: they never need anybody.
  const bool by_refresh_token = account.config().profile->refresh.how == RefreshHow::kRefreshToken &&
                                account.config().grant != provider::Grant::kClientCredentials &&
                                !account.config().password.present() && account.kept_password().empty();
  return by_refresh_token ? life_of_refresh_token(account) : std::nullopt;
}

}  // namespace

std::optional<Outlook> outlook_of(const account::Account& account, bool can_refresh) {
  const auto life = life_of(account, can_refresh);
  if (!life) return std::nullopt;
  const WallTime born = account.live()->tokens.obtained_at;
  Outlook outlook;
  outlook.end = life->end;
  for (std::size_t i = 0; i < kAhead.size(); ++i) {
    Duration ahead = kAhead[i];
    if (life->whole) ahead = std::min(ahead, *life->whole / (life->idle ? kIdleShares[i] : kShares[i]));
    const WallTime due = saturating_add(life->end, -ahead);
    if (life->whole && i == 0) outlook.notice = due;
    if (due > born) outlook.warnings[i] = due;
  }
  return outlook;
}

std::optional<WallTime> due_warning(const Outlook& outlook, WallTime given, WallTime now) {
  std::optional<WallTime> latest;
  for (const auto& due : outlook.warnings) {
    if (due && *due > given && *due <= now) latest = due;
  }
  return latest;
}

std::optional<WallTime> next_warning(const Outlook& outlook, WallTime now) {
  for (const auto& due : outlook.warnings) {
    if (due && *due > now) return due;
  }
  return std::nullopt;
}

bool worth_a_note(const Outlook& outlook, WallTime now) {
  if (outlook.notice) return now >= *outlook.notice;
  return std::any_of(outlook.warnings.begin(), outlook.warnings.end(),
                     [&](const auto& due) { return due && *due <= now; });
}

}  // namespace credsync::refresh
