// What the store keeps, as plain values. Times are wall-clock: they must mean the same after a reboot.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "base/time.h"
#include "daemon/account/standing.h"
#include "daemon/account/tokens.h"

namespace credsync::store {

using account::Generation;

using account::Standing;
using account::State;
using account::Trouble;

struct StoredAccount {
  std::string name;
  std::string identity;       // of the grant the tokens belong to
  Generation generation = 0;  // the last one given out; never goes back, survives sign-out and removal
  Generation spent = 0;       // up to this one all may have been given out: before a copy was put back, or by SetSpent
  std::optional<account::TokenSet> tokens;  // current
  WallTime promised_until;                  // no caller was promised them for longer, but by what was lost in a crash
  Standing standing;
  bool password_used = false;         // a configured password has done its work
  Secret kept_password;               // prompted for, with keep_password; empty: none
  std::string kept_identity;          // of the grant that it was given for, in use or parked: it is nobody else's
  std::optional<WallTime> last_used;  // to the minute
  bool damaged = false;               // the row has tokens that do not open; they stay in the store until replaced
};

struct ParkedGrant {
  std::int64_t id = 0;  // from TokenStore::new_id(), or 0: the store gives one
  std::string account;
  std::string identity;
  Generation generation = 0;
  account::TokenSet tokens;
  Secret order;                  // serialised RevocationOrder; empty: erase only
  WallTime retire_at;            // 7 days after a change of identity, 30 after removal
  bool rolled_back = false;      // it came back with an older copy: its refresh token may have been replaced since
  WallTime promised_until = {};  // as StoredAccount's

  ParkedGrant clone() const {
    return {id, account, identity, generation, tokens.clone(), order.clone(), retire_at, rolled_back, promised_until};
  }
};

using SlotId = std::uint32_t;

// A rotating refresh token is about to be, or was, sent.
struct Intent {
  std::string account;
  std::string identity;
  Generation generation = 0;  // the generation whose refresh token is sent; 0: a sign-in's, of no grant in use
  SlotId slot = 0;
  WallTime sent_at;           // first: an overlap counts from then
  unsigned resends = 0;       // counted before each is made
  Generation renumbered = 0;  // its grant was parked and came back under this number; 0: it has the first

  Generation grant_number() const { return renumbered > generation ? renumbered : generation; }
};

enum class RetiredKind { kAccess, kRefresh };

struct Retirement {
  std::int64_t id = 0;  // from TokenStore::new_id(), or 0: the store gives one
  std::string account;
  std::string identity;
  Generation generation = 0;
  RetiredKind kind = RetiredKind::kAccess;
  Secret token;
  Secret order;         // serialised RevocationOrder; empty: erase only, at not_before
  WallTime not_before;  // grace and the last promise
  WallTime give_up_at;  // the token's own end, else 30 days
  unsigned attempts = 0;
  bool by_sign_out = false;  // what cannot be revoked then is reported as unrevoked

  Retirement clone() const {
    return {id,         account,    identity, generation, kind, token.clone(), order.clone(),
            not_before, give_up_at, attempts, by_sign_out};
  }
};

// What load() finds.
struct Snapshot {
  std::vector<StoredAccount> accounts;
  std::vector<ParkedGrant> parked;
  std::vector<Intent> intents;  // without an answer: the outcome is unknown
  std::vector<Retirement> retirements;
  WallTime forewarned_until;        // up to when people were told of grants that will end; 1970: never
  std::vector<std::string> damage;  // what did not open, a line each, for people; already logged
};

}  // namespace credsync::store
