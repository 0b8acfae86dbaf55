// Promises to callers, in memory at once and on disk a step ahead: what an earlier run promised is kept after a crash, and
// no hand-out waits for the disk. Loop only. docs/decisions/032.
#pragma once

#include <set>
#include <string>

#include "base/agenda.h"
#include "daemon/account/accounts.h"
#include "daemon/store/token_store.h"

namespace credsync::refresh {

class Promises {
 public:
  Promises(account::Accounts& accounts, store::TokenStore& store, Agenda& agenda, const Clock& clock);

  // A caller is told that the account's present access token is good for `length` from now.
  void make(account::Account& account, Duration length);

  // What the transaction that stores new tokens of this account stores for their access token, so that its first
  // hand-outs need no write: as much as callers asked for of the one before.
  static WallTime to_install(const account::Live* before, const account::TokenSet& fresh, WallTime now);

 private:
  void keep(account::Account& account);
  void kept(const std::string& account, account::Generation generation, WallTime until, bool stored);
  void keep_again();

  account::Accounts& accounts_;
  store::TokenStore& store_;
  const Clock& clock_;
  std::set<std::string> unkept_;  // accounts whose promises the store could not take
  Agenda::Entry try_again_;
};

}  // namespace credsync::refresh
