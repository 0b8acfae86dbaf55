// Where tokens are handed out: at once when the cached one is good enough, else after the refresh that the caller's need
// calls for, and never an expired one. Loop only.
#pragma once

#include <memory>

#include "base/agenda.h"
#include "daemon/account/accounts.h"
#include "daemon/handout/words.h"
#include "daemon/refresh/promises.h"
#include "daemon/refresh/refresher.h"
#include "daemon/store/token_store.h"
#include "ipc/service.h"

namespace credsync::handout {

class Desk {
 public:
  // Called at the moment of the hand-out, with whether the caller has waited since it was found to be allowed: records it,
  // or says why it is not to be.
  using Admits = std::function<std::optional<ipc::Problem>(const account::Account&, bool waited)>;

  Desk(account::Accounts& accounts, refresh::Refresher& refresher, const retire::Retirer& retirer,
       store::TokenStore& store, Agenda& agenda, const Clock& clock);

  // The caller has been found to be allowed. The reply may come at once.
  std::unique_ptr<ipc::Pending> token(account::Account& account, const ipc::TokenQuery& query, Admits admits,
                                      ipc::Reply<ipc::TokenView> reply);

  // Calls back when the account's present or next attempt ends, or after `wait`; at once if there is none to wait for.
  std::unique_ptr<ipc::Pending> after_attempt(account::Account& account, Duration wait, UniqueFunction<void()> then);

  // Everybody who waits is answered now: the daemon stops.
  void stop();

  struct Counters {
    std::uint64_t handed_out = 0, waited = 0, timed_out = 0;
  };
  const Counters& counters() const { return counters_; }
  std::size_t waiting() const { return waits_.size(); }
  Sight sight() const { return {refresher_, retirer_, clock_}; }

 private:
  class Wait;
  class AttemptWait;
  enum class Need { kNone, kRefreshFirst };
  Need need(account::Account& account, Duration min_valid);
  void serve(account::Account& account, Duration min_valid, bool waited, const Admits& admits,
             ipc::Reply<ipc::TokenView>& reply);
  void note_use(account::Account& account, WallTime now);

  account::Accounts& accounts_;
  refresh::Refresher& refresher_;
  const retire::Retirer& retirer_;
  store::TokenStore& store_;
  Agenda& agenda_;
  const Clock& clock_;
  refresh::Promises promises_;
  Counters counters_;
  std::set<Wait*> waits_;
  bool stopped_ = false;
};

}  // namespace credsync::handout
