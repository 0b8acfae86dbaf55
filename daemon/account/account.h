// One account while the daemon runs: its configuration, its tokens, how it stands. Lives on the loop. Everybody reads it,
// only Accounts changes it.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "base/secret.h"
#include "base/time.h"
#include "daemon/account/standing.h"
#include "daemon/account/tokens.h"

namespace credsync::config {
struct Account;
}

namespace credsync::account {

// A rotating refresh token was sent and nobody knows what became of it.
struct UnknownOutcome {
  std::uint32_t slot = 0;
  WallTime sent_at;      // first: an overlap counts from then
  unsigned resends = 0;  // counted durably before each was made
  // The same moment by the clock that nobody can set. Of an earlier run: as the wall clock told it at the start.
  BootTime sent_boot = {};
  bool earlier_run = false;

  // How long ago that was; of an earlier run, by the clock that says more. Nothing: the wall clock had been set back to
  // before it at the start.
  std::optional<Duration> since(WallTime wall, BootTime boot) const {
    const Duration by_boot = boot - sent_boot;
    if (!earlier_run) return by_boot;
    return by_boot >= Duration::zero() ? std::optional(std::max(by_boot, wall - sent_at)) : std::nullopt;
  }
};

// What the refresher remembers of its attempts; nothing here needs to survive a restart.
struct Attempts {
  unsigned failures = 0;                    // in a row
  unsigned unclear = 0;                     // in a row, kUnclear
  std::optional<WallTime> untrusted_since;  // TLS verification fails since
  std::optional<BootTime> last_on_demand;   // refresh, reject and min_valid share one allowance
  unsigned rejected = 0;                    // fresh generations refused by the API, in a row
  Generation rejected_generation = 0;       // the last of them
  std::optional<BootTime> paused_until;     // after three such
  std::optional<BootTime> not_before;       // Retry-After or back-off
};

// The tokens that are current, and what was said about them.
struct Live {
  TokenSet tokens;
  std::optional<BootTime> expires_boot;  // the same end on the clock that nobody can set
  WallTime promised_until;               // the last promise made for the access token
  Duration longest_promise{0};           // the longest that was made for it since the start
  // What is stored of its promises, and what is on its way there; refresh/promises.h, decision 032.
  WallTime kept_until, keeping_until;
  Secret memo;  // a front door's prebuilt answer
};

// The numbers that were given for tokens in this run, and may be on their way to the disk.
struct Ordered {
  Generation last = 0;    // the highest
  std::size_t whose = 0;  // a hash of the identity that it was for
  Generation before = 0;  // the highest for another identity than that
};

class Account {
 public:
  const std::string& name() const { return *name_; }
  const config::Account& config() const { return *config_; }
  const std::shared_ptr<const config::Account>& shared_config() const { return config_; }
  Generation generation() const { return generation_; }
  const Live* live() const { return live_ ? &*live_ : nullptr; }
  const Standing& standing() const { return standing_; }
  bool password_used() const { return password_used_; }
  const Secret& kept_password() const { return kept_password_; }
  const std::optional<UnknownOutcome>& unknown() const { return unknown_; }
  const std::optional<WallTime>& last_used() const { return last_used_; }
  // Its parked grant comes back when the store has what callers will see of it: nothing else is asked for meanwhile.
  bool coming_back() const { return coming_back_; }
  unsigned sign_in() const {
    return sign_in_;
  }  // counts sign-ins and sign-outs: late answers of earlier ones are known by it

  // What is left of the access token: by the clock that says less. Nothing: its end is unknown. Zero or less: over.
  std::optional<Duration> remaining(WallTime wall, BootTime boot) const;
  // May be handed out: there is one, and its end is unknown or lies ahead.
  bool usable(WallTime wall, BootTime boot) const;

  Attempts attempts;                    // the refresher's own notes
  std::optional<WallTime> use_written;  // the desk's: when last_used was last made durable

 private:
  friend class Accounts;
  const std::string* name_ = nullptr;  // the key under which Accounts keeps it
  std::shared_ptr<const config::Account> config_;
  Generation generation_ = 0;
  std::optional<Live> live_;
  Standing standing_;
  bool password_used_ = false;
  Secret kept_password_;
  std::optional<UnknownOutcome> unknown_;
  std::optional<WallTime> last_used_;
  bool coming_back_ = false;
  unsigned sign_in_ = 0;
  Generation reserved_ = 0;  // the highest number on its way through the store, or that somebody may have seen
  Ordered ordered_;
};

}  // namespace credsync::account
