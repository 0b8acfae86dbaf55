#include "daemon/oauth/rate_limit.h"

#include <algorithm>

#include "daemon/oauth/json_value.h"
#include "daemon/oauth/lifetime.h"
#include "daemon/oauth/token_answer.h"

namespace credsync::oauth {
namespace {

// Tried on a 429 without Retry-After where the profile names no header: these mean the same wherever they are
// met.
constexpr std::string_view kResetHeaders[] = {"RateLimit-Reset", "X-RateLimit-Reset", "X-Rate-Limit-Reset"};

Duration clamp_wait(Duration wait) {
  return std::clamp(wait, Duration::zero(), kMaxRetryAfter);
}

std::optional<Duration> read_retry_after(const HttpResponse& response) {
  const std::string_view value = response.header("Retry-After");
  if (const auto seconds = parse_number(value)) return clamp_wait(to_duration(*seconds));
  if (const auto date = parse_http_date(value)) return clamp_wait(*date - answered_at(response));
  return std::nullopt;
}

std::optional<Duration> read_reset(std::string_view value, provider::ResetMeans means, const HttpResponse& response) {
  using provider::ResetMeans;
  const auto number = parse_number(value);
  if (!number) {
    const auto date = parse_http_date(value);
    return date ? std::optional(clamp_wait(*date - answered_at(response))) : std::nullopt;
  }
  if (means == ResetMeans::kGuess) {
    constexpr double kMilliseconds = 1e12, kEpoch = 1e9;  // as epochs both are in 2001; no delta is as long
    means = *number > kMilliseconds ? ResetMeans::kEpochMilliseconds
            : *number > kEpoch      ? ResetMeans::kEpochSeconds
                                    : ResetMeans::kDelta;
  }
  if (means == ResetMeans::kDelta) return clamp_wait(to_duration(*number));
  const double seconds = means == ResetMeans::kEpochMilliseconds ? *number / 1000 : *number;
  return clamp_wait(WallTime(to_duration(seconds)) - answered_at(response));
}

bool none_remains(const HttpResponse& response, const provider::Limits& limits) {
  if (limits.remaining.empty()) return false;
  const auto remaining = parse_number(response.header(limits.remaining));
  return remaining && *remaining <= 0;
}

}  // namespace

WallTime answered_at(const HttpResponse& response) {
  return parse_http_date(response.header("Date")).value_or(response.received_at);
}

bool limit_used_up(const HttpResponse& response, const provider::Limits& limits) {
  return none_remains(response, limits) && !limits.reset.empty() && !response.header(limits.reset).empty();
}

std::optional<Duration> retry_after(const HttpResponse& response, const provider::Limits& limits) {
  if (const auto wait = read_retry_after(response)) return wait;
  const bool limited = response.status == 429;
  if (!limits.reset.empty()) {
    if (!limited && !none_remains(response, limits)) return std::nullopt;
    return read_reset(response.header(limits.reset), limits.reset_means, response);
  }
  if (!limited) return std::nullopt;
  for (const std::string_view name : kResetHeaders) {
    if (const auto wait = read_reset(response.header(name), provider::ResetMeans::kGuess, response)) return wait;
  }
  return std::nullopt;
}

}  // namespace credsync::oauth
