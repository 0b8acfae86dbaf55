// What the providers show from outside: are their endpoints reached, how long are their certificates good, do they have the
// same time as we, does their metadata say what the profile says. One request each that asks for nothing and spends nothing
// (HEAD, or GET of a public document). plan() and judge() are pure; look() blocks: worker threads only.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/config/config.h"
#include "daemon/doctor/check.h"
#include "daemon/oauth/transport.h"

namespace credsync::doctor {

// More endpoints than any one machine has; beyond them the examination would take minutes.
inline constexpr std::size_t kMostProbes = 64;
inline constexpr Duration kProbeDeadline = 8s;
// A certificate is renewed weeks before its end; the shortest-lived ones live six days and are renewed at half of it.
inline constexpr Duration kEndsSoon = days(3);
// More than an exchange takes, and enough to move the end of a token.
inline constexpr Duration kSkewed = 60s;

struct Probe {
  enum class Kind { kEndpoint, kMetadata };
  Kind kind = Kind::kEndpoint;
  std::string provider;  // the profile's id
  std::string what;      // "token endpoint"
  std::string url;       // of kMetadata: the issuer
  std::string authority;
  std::shared_ptr<const config::Account> account;  // whose roots and variables hold
};

struct Plan {
  std::vector<Probe> probes;
  Checks problems;  // what could not even be planned
};
// One probe for each origin that is spoken with under the same roots, and one for each issuer.
Plan plan(const config::Config& config);

struct Finding {
  Check check;
  std::optional<Duration> skew;  // of the server's clock against ours: positive is later
};

using Exchange = std::function<oauth::ExchangeOutcome(const oauth::HttpRequest&, const oauth::ExchangeOptions&)>;
Finding look(const Probe& probe, const Exchange& exchange, const Clock& clock);

// What the servers' clocks say of ours; nothing when too few of them tell. A single server may be wrong itself.
std::optional<Check> judge_skew(std::vector<Duration> skews);

}  // namespace credsync::doctor
