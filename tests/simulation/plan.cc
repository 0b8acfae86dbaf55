#include "tests/simulation/plan.h"

#include <algorithm>

#include "daemon/config/fingerprint.h"

namespace credsync::simulation {
namespace {

using provider::Cascade;
using provider::Rotation;

Duration times(Duration d, double factor) {
  return Duration(static_cast<Duration::rep>(static_cast<double>(d.count()) * factor));
}

Rotation declared(Chance& chance, Rotation real) {
  return chance.odds(0.3) ? Rotation::kUnknown : real;
}

Cascade declared(Chance& chance, bool cascades) {
  if (chance.odds(0.25)) return Cascade::kUnknown;
  return cascades ? Cascade::kGrant : Cascade::kNone;
}

void plan_refresh(Chance& chance, ProviderPlan& plan, provider::Profile& profile, Duration scale) {
  const double kind = chance.real();
  plan.rotation = kind < 0.25 ? Rotation::kNone : kind < 0.75 ? Rotation::kAlways : Rotation::kSometimes;
  profile.refresh.rotation = declared(chance, plan.rotation);
  if (plan.rotation != Rotation::kNone) {
    const double overlap = chance.real();
    plan.overlap = overlap < 0.5    ? Duration::zero()
                   : overlap < 0.95 ? std::max<Duration>(1s, times(scale, chance.real()))
                                    : days(3650);
    if (plan.overlap > Duration::zero() && chance.odds(0.6)) profile.refresh.overlap = plan.overlap;
    if (plan.overlap == Duration::zero() && chance.odds(0.3)) profile.refresh.overlap = Duration::zero();
    plan.reuse_kills = chance.odds(0.6);
    plan.refresh_kills_access = chance.odds(0.25);
  }
  if (plan.refresh_kills_access) profile.refresh.access_overlap = Duration::zero();
  if (!plan.refresh_kills_access && chance.odds(0.1)) plan.same_access_again = 0.3;
  if (chance.odds(0.2)) plan.idle_life = times(scale, 4 + 20 * chance.real());
  if (chance.odds(0.1)) plan.absolute_life = times(scale, 15 + 60 * chance.real());
  if (plan.idle_life != kNever) profile.refresh.idle_life = plan.idle_life;
  if (plan.absolute_life != kNever) profile.refresh.absolute_life = plan.absolute_life;
}

void plan_revocation(Chance& chance, ProviderPlan& plan, provider::Profile& profile) {
  plan.access_cascades = chance.odds(0.3);
  plan.refresh_cascades = chance.odds(0.5);
  if (chance.odds(0.25)) return;  // it has none
  profile.endpoints.revoke.url = "https://" + profile.id + ".example/revoke";
  profile.revoke.how = provider::RevokeHow::kRfc7009;
  profile.revoke.access_tokens = chance.odds(0.9);
  profile.revoke.access_cascade = declared(chance, plan.access_cascades);
  profile.revoke.refresh_cascade = declared(chance, plan.refresh_cascades);
}

void plan_answer(Chance& chance, ProviderPlan& plan, provider::Profile& profile) {
  const double told = chance.real();
  plan.end_told = told < 0.6    ? EndTold::kNumber
                  : told < 0.75 ? EndTold::kText
                  : told < 0.9  ? EndTold::kAbsolute
                  : told < 0.97 ? EndTold::kProfile
                                : EndTold::kUntold;
  if (plan.end_told == EndTold::kAbsolute) profile.answer.expires_at = "ends";
  if (plan.end_told == EndTold::kProfile) {
    profile.answer.default_lifetime = plan.lifetime;
    plan.same_access_again = 0;  // nobody could know its end
  }
  plan.dead = static_cast<Spelling>(chance.between(0, 5));
  if (plan.dead == Spelling::kPassport401) {
    profile.errors.match.push_back(
        {401, "invalid_request", provider::RequestKind::kRefresh, provider::ErrorClass::kNeedsLogin});
  }
}

ProviderPlan plan_provider(Chance& chance, std::size_t number, Duration scale) {
  ProviderPlan plan;
  auto profile = std::make_shared<provider::Profile>();
  profile->id = "p" + std::to_string(number);
  profile->endpoints.token.url = "https://" + profile->id + ".example/token";
  profile->endpoints.authorize.url = "https://" + profile->id + ".example/authorize";
  plan.lifetime = std::clamp<Duration>(times(scale, 0.5 + 1.5 * chance.real()), 5s, days(365));
  plan.lifetime -= plan.lifetime % Duration(1s);  // expires_in has whole seconds
  plan_refresh(chance, plan, *profile, scale);
  plan_revocation(chance, plan, *profile);
  plan_answer(chance, plan, *profile);
  if (chance.odds(0.2)) plan.rate = chance.odds(0.5) ? 1 : 10;
  profile->limits.requests_per_second = plan.rate;
  plan.skew = chance.odds(0.3) ? chance.between(-10min, 10min) : Duration::zero();
  plan.least_latency = chance.spread(1ms, 200ms);
  plan.most_latency = plan.least_latency * 4;
  plan.profile = std::move(profile);
  return plan;
}

AccountPlan plan_account(Chance& chance, std::size_t number, const std::vector<ProviderPlan>& providers,
                         Duration scale) {
  using provider::Grant;
  AccountPlan plan;
  plan.name = "a" + std::to_string(number);
  plan.provider = static_cast<std::size_t>(chance.between(0, static_cast<std::int64_t>(providers.size()) - 1));
  plan.client = "client-" + std::to_string(chance.between(0, 1));
  const double grant = chance.real();
  plan.grant = grant < 0.5    ? Grant::kRefreshToken
               : grant < 0.75 ? Grant::kAuthorizationCode
               : grant < 0.85 ? Grant::kPassword
               : grant < 0.95 ? Grant::kClientCredentials
                              : Grant::kStatic;
  const double mode = chance.real();
  plan.refresh = mode < 0.7    ? config::RefreshMode::kAhead
                 : mode < 0.85 ? config::RefreshMode::kOnDemand
                               : config::RefreshMode::kWhileUsed;
  const double revoke = chance.real();
  plan.revoke = revoke < 0.75  ? config::RevokeSuperseded::kAuto
                : revoke < 0.9 ? config::RevokeSuperseded::kNever
                               : config::RevokeSuperseded::kAlways;
  plan.grace = chance.odds(0.5) ? 60s : times(scale, 0.2 * chance.real());
  if (chance.odds(0.2)) plan.margin = times(scale, 0.05 + 0.4 * chance.real());
  plan.keep_password = chance.odds(0.5);
  if (chance.odds(0.85)) plan.calls_every = times(scale, 0.05 + 1.5 * chance.real() * chance.real());
  return plan;
}

constexpr Duration kLongestTrouble = 12h;  // retries every few minutes for months are only slow to simulate

double rarely(Chance& chance, double odds, double most) {
  return chance.odds(odds) ? most * chance.real() * chance.real() : 0;
}

void plan_network(Chance& chance, FaultPlan& f, Duration scale) {
  f.not_sent = rarely(chance, 0.5, 0.3);
  f.request_lost = rarely(chance, 0.35, 0.2);
  f.answer_lost = rarely(chance, 0.35, 0.25);
  f.garbage = rarely(chance, 0.25, 0.15);
  f.page = rarely(chance, 0.25, 0.2);
  f.busy = rarely(chance, 0.5, 0.4);
  f.limited = rarely(chance, 0.3, 0.3);
  f.unclear = rarely(chance, 0.15, 0.1);
  f.wrong_client = rarely(chance, 0.15, 0.1);
  f.untrusted = rarely(chance, 0.2, 0.2);
  f.slow = rarely(chance, 0.4, 0.3);
  f.most_retry_after = std::min<Duration>(1h, times(scale, 2 * chance.real()));
  if (chance.odds(0.4)) f.outage_every = times(scale, 2 + 8 * chance.real());
  f.outage_lasts = std::min(kLongestTrouble, times(scale, 1.2 * chance.real()));
  if (chance.odds(0.2)) f.storm_every = times(scale, 2 + 8 * chance.real());
  f.storm_lasts = std::min(kLongestTrouble, times(scale, 0.5 * chance.real()));
}

void plan_machine(Chance& chance, FaultPlan& f, Duration scale) {
  if (chance.odds(0.4)) f.crash_every = times(scale, 1 + 10 * chance.real());
  f.crash_at_step = rarely(chance, 0.4, 0.05);
  f.down_for = chance.odds(0.7) ? chance.spread(100ms, 10s) : times(scale, 1.5 * chance.real());
  f.reboots = chance.real();
  if (chance.odds(0.2)) f.stop_every = times(scale, 2 + 10 * chance.real());
  if (chance.odds(0.25)) f.suspend_every = times(scale, 2 + 10 * chance.real());
  f.suspended_for = times(scale, 2 * chance.real());
  if (chance.odds(0.25)) f.clock_step_every = times(scale, 2 + 10 * chance.real());
  f.clock_step_most = chance.odds(0.5) ? Duration(2s) : times(scale, 2 * chance.real());
  f.disk_latency = chance.odds(0.7) ? chance.spread(500us, 20ms) : chance.spread(20ms, 5s);
  f.disk_error = rarely(chance, 0.15, 0.05);
  if (chance.odds(0.2)) f.disk_full_every = times(scale, 2 + 10 * chance.real());
  f.disk_full_for = std::min(kLongestTrouble, times(scale, 1.5 * chance.real()));
  if (chance.odds(0.15) && scale < Duration(10min)) f.slots = static_cast<std::size_t>(chance.between(1, 3));
}

void plan_people(Chance& chance, FaultPlan& f, Duration scale) {
  if (chance.odds(0.4)) f.reload_every = times(scale, 1 + 6 * chance.real());
  f.sign_in_every = times(scale, 1 + 8 * chance.real());
  if (chance.odds(0.3)) f.sign_out_every = times(scale, 3 + 10 * chance.real());
  if (chance.odds(0.4)) f.order_every = times(scale, 1 + 5 * chance.real());
  if (chance.odds(0.4)) f.reject_every = times(scale, 0.5 + 5 * chance.real());
  if (chance.odds(0.2)) f.death_every = times(scale, 5 + 20 * chance.real());
}

Plan make(std::uint64_t seed, std::size_t accounts, std::size_t providers, double lifetimes) {
  Plan plan;
  plan.seed = seed;
  Chance chance(seed, "plan");
  plan.scale = chance.spread(5s, days(365));
  plan.active = times(plan.scale, lifetimes);
  for (std::size_t i = 0; i < providers; ++i) {
    Chance own(seed, "provider", i);
    plan.providers.push_back(plan_provider(own, i, plan.scale));
  }
  for (std::size_t i = 0; i < accounts; ++i) {
    Chance own(seed, "account", i);
    plan.accounts.push_back(plan_account(own, i, plan.providers, plan.scale));
  }
  Chance faults(seed, "faults");
  plan_network(faults, plan.faults, plan.scale);
  plan_machine(faults, plan.faults, plan.scale);
  plan_people(faults, plan.faults, plan.scale);
  Chance ambush(seed, "ambush plan");
  if (plan.faults.reload_every != kNever && ambush.odds(0.6)) plan.faults.ambush = 0.04 * ambush.real();
  return plan;
}

}  // namespace

Plan plan_of(std::uint64_t seed) {
  Chance chance(seed, "shape");
  const auto accounts = static_cast<std::size_t>(chance.between(1, 6));
  const auto providers = static_cast<std::size_t>(chance.between(1, 3));
  return make(seed, accounts, providers, 5 + 25 * chance.real());
}

Plan large_plan_of(std::uint64_t seed) {
  Chance chance(seed, "shape");
  return make(seed, static_cast<std::size_t>(chance.between(200, 400)), 12, 6);
}

std::shared_ptr<const config::Account> config_of(const AccountPlan& plan, const ProviderPlan& provider,
                                                 unsigned variant, unsigned edition) {
  auto account = std::make_shared<config::Account>();
  account->name = plan.name;
  account->provider = provider.profile->id;
  account->profile = provider.profile;
  account->grant = plan.grant;
  account->client_id = plan.client;
  account->scopes = {variant == 0 ? "read" : "write"};
  account->refresh = plan.refresh;
  account->revoke_superseded = plan.revoke;
  account->revoke_grace = plan.grace;
  account->margin = plan.margin;
  account->keep_password = plan.keep_password;
  account->username = "user of " + plan.name;
  account->identity = provider.profile->id + " " + plan.client + " " + plan.name + " " + account->scopes[0];
  account->fingerprint = config::FieldHash(account->identity + " " + std::to_string(edition)).fingerprint();
  return account;
}

}  // namespace credsync::simulation
