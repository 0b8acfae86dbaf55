// What becomes of tokens that are replaced or signed out. Pure. The rules are invariants 6 and 7: what is superseded is
// retired, and nothing is revoked automatically where that could kill the live grant.
#pragma once

#include <vector>

#include "daemon/config/config.h"
#include "daemon/store/records.h"

namespace credsync::account {
struct Live;
}

namespace credsync::retire {

constexpr Duration kKeptAfterIdentityChange = days(7);  // design section 4
constexpr Duration kKeptAfterRemoval = days(30);
constexpr Duration kGiveUp = days(30);  // tokens whose end is unknown

// A grant's tokens on their way out.
struct Leaving {
  std::string account;
  std::string identity;
  account::Generation generation = 0;
  const account::TokenSet* tokens = nullptr;
  WallTime promised_until;        // the last promise made for the access token
  const Secret* order = nullptr;  // serialised RevocationOrder; empty: nothing can be revoked …
  bool order_later = false;       // … or it could not be made just now: each attempt makes it from the configuration
};

// A grant that is kept aside: retire::Parking has it.
struct Parked {
  std::int64_t id = 0;
  account::Generation generation = 0;
  const account::TokenSet* tokens = nullptr;  // never null; valid until the grant changes
  WallTime promised_until;                    // the last promise made for its access token
};

// Would revoking this kind of token at `account`'s provider be right without anybody's order?
bool revokes_superseded(const config::Account& account, store::RetiredKind kind);

// One of the two tokens in use.
bool holds(const account::Live& live, const Secret& token);

// `old` is replaced by `fresh`. Tokens that are not revoked are not listed: the transaction that installs `fresh` erases them.
std::vector<store::Retirement> plan_superseded(const config::Account& account, const Leaving& old,
                                               const account::TokenSet& fresh, WallTime now);

// Nothing of the grant is to live on: everything that can be revoked is, at once.
std::vector<store::Retirement> plan_sign_out(const provider::Profile& profile, const Leaving& grant, WallTime now);

}  // namespace credsync::retire
