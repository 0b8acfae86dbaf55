// What a seed stands for: providers as they declare themselves and as they really are, accounts, callers, and how much goes
// wrong. Each seed has its own mixture: faults that are always all there hide one another.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/config/config.h"
#include "tests/simulation/chance.h"
#include "tests/simulation/timeline.h"

namespace credsync::simulation {

enum class Spelling { kInvalidGrant400, kInvalidGrant401, kInvalidGrant403, kBadRefreshToken200, kPassport401, kEmpty };
enum class EndTold { kNumber, kText, kAbsolute, kProfile, kUntold };

struct ProviderPlan {
  std::shared_ptr<const provider::Profile> profile;  // what is declared
  provider::Rotation rotation = provider::Rotation::kNone;
  Duration overlap{0};  // an old refresh token works on for this long
  bool reuse_kills = false;
  bool refresh_kills_access = false;
  double same_access_again = 0;
  Duration lifetime{0};
  EndTold end_told = EndTold::kNumber;
  Duration idle_life = kNever, absolute_life = kNever;
  bool access_cascades = false, refresh_cascades = false;
  Spelling dead = Spelling::kInvalidGrant400;
  std::optional<double> rate;
  Duration skew{0};
  Duration least_latency{0}, most_latency{0};
};

struct AccountPlan {
  std::string name;
  std::size_t provider = 0;
  std::string client;
  provider::Grant grant = provider::Grant::kRefreshToken;
  config::RefreshMode refresh = config::RefreshMode::kAhead;
  config::RevokeSuperseded revoke = config::RevokeSuperseded::kAuto;
  Duration grace = 60s;
  std::optional<Duration> margin;
  bool keep_password = false;
  Duration calls_every = kNever;  // callers who get
};

// Of one exchange, as probabilities; of the world, as mean times between two. kNever: not in this world.
struct FaultPlan {
  double not_sent = 0, request_lost = 0, answer_lost = 0, garbage = 0, page = 0, busy = 0, limited = 0, unclear = 0,
         wrong_client = 0, untrusted = 0, slow = 0;
  Duration outage_every = kNever, outage_lasts{0};
  Duration storm_every = kNever, storm_lasts{0};  // everything is answered 429
  Duration most_retry_after{0};
  Duration crash_every = kNever, down_for{0};
  double crash_at_step = 0;  // after something of consequence
  double reboots = 0;        // of the crashes
  Duration stop_every = kNever;
  Duration suspend_every = kNever, suspended_for{0};
  Duration clock_step_every = kNever, clock_step_most{0};
  Duration disk_latency{0};
  double disk_error = 0;  // of a batch
  Duration disk_full_every = kNever, disk_full_for{0};
  std::size_t slots = 64;
  Duration reload_every = kNever;
  double ambush = 0;  // of the requests: somebody edits their account, or signs out, before the answer is stored
  Duration sign_in_every = kNever, sign_out_every = kNever, order_every = kNever, reject_every = kNever;
  Duration death_every = kNever;  // the user withdraws a grant at the provider
};

struct Plan {
  std::uint64_t seed = 0;
  Duration scale{0};   // what the lifetimes of this world are about
  Duration active{0};  // for so long things go wrong
  std::vector<ProviderPlan> providers;
  std::vector<AccountPlan> accounts;
  FaultPlan faults;
};

Plan plan_of(std::uint64_t seed);
// One of a few hundred accounts.
Plan large_plan_of(std::uint64_t seed);

// The configuration of an account. `variant`: 0 or 1, two identities of grants; `edition` changes with every edit that
// does not change the identity.
std::shared_ptr<const config::Account> config_of(const AccountPlan& account, const ProviderPlan& provider,
                                                 unsigned variant, unsigned edition);

}  // namespace credsync::simulation
