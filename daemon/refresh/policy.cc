#include "daemon/refresh/policy.h"

#include <algorithm>
#include <cmath>

namespace credsync::refresh {
namespace {

constexpr Duration kZero = Duration::zero();
constexpr Duration kSecond = 1s;

Duration scaled(Duration d, double factor) {
  return Duration(static_cast<Duration::rep>(static_cast<double>(d.count()) * factor));
}

// base * 2^(failures-1), not above `most`.
Duration doubled(Duration base, unsigned failures, Duration most) {
  Duration delay = base;
  for (unsigned i = 1; i < failures && delay < most; ++i)
    delay *= 2;
  return std::min(delay, most);
}

Duration jittered(Duration c, double unit) {
  return scaled(c, 0.5 + 0.5 * unit);
}

}  // namespace

Duration floor_of(Duration lifetime) {
  const Duration floor =
      is_short(lifetime) ? std::clamp<Duration>(lifetime / 4, 2s, 10s) : std::clamp<Duration>(lifetime / 10, 10s, 60s);
  return std::max(kZero, std::min(floor, lifetime / 2));
}

Duration margin_of(Duration lifetime, std::optional<Duration> configured, std::optional<Duration> advised) {
  const Duration ride_out = std::min<Duration>(kRideOut, lifetime / 12 * 7);
  const Duration usual = std::max(std::min<Duration>(lifetime / 3, days(7)), ride_out);
  Duration margin = lifetime < 10min ? lifetime / 2 : usual;
  const bool sane = advised && *advised > kZero && *advised < lifetime;
  if (sane) margin = lifetime - *advised;
  if (configured) margin = *configured;
  return std::clamp(margin, floor_of(lifetime), std::max(floor_of(lifetime), scaled(lifetime, 0.9)));
}

double jitter_of(double unit) {
  return 0.2 * unit;
}

Duration until_planned(Duration lifetime, Duration remaining, Duration margin, double jitter) {
  const Duration before_end = std::min(margin + scaled(margin, jitter), scaled(lifetime, 0.95));
  return std::max(kZero, remaining - before_end);
}

bool good_enough(Duration lifetime, Duration remaining, Duration min_valid) {
  if (remaining < floor_of(lifetime)) return false;
  return remaining >= std::min(min_valid, scaled(lifetime, 0.9));
}

Duration on_demand_interval(std::optional<Duration> lifetime) {
  return lifetime ? std::clamp<Duration>(*lifetime / 10, 10s, 5min) : Duration(10s);
}

Duration retry_delay(unsigned failures, std::optional<Duration> lifetime, std::optional<Duration> remaining,
                     double unit) {
  constexpr Duration kLeastBase = 50ms;  // L/60 of the shortest tokens must not become a busy loop
  const Duration base = lifetime && *lifetime < 60s ? std::max<Duration>(*lifetime / 60, kLeastBase) : kSecond;
  const Duration most =
      remaining && *remaining > kZero ? std::max(base, std::min<Duration>(5min, *remaining / 4)) : Duration(60s);
  return jittered(doubled(base, failures, most), unit);
}

Duration suspended_delay(unsigned failures, double unit) {
  return jittered(doubled(15min, failures, 6h), unit);
}

Duration promise_of(Duration min_valid, std::optional<Duration> remaining) {
  const Duration wanted = std::min<Duration>(min_valid, 1h);
  return remaining ? std::max(kZero, std::min(wanted, *remaining)) : wanted;
}

}  // namespace credsync::refresh
