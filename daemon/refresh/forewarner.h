// Says in time that an account will need a person: a journal record with ACCOUNT and UNTIL, and a state event, each warning
// once, also across restarts: the moment up to which warnings were given is durable. What lay between the last run and
// this one is made up for at the start. Loop only.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/agenda.h"
#include "base/message_ids.h"
#include "daemon/account/accounts.h"
#include "daemon/refresh/foresight.h"
#include "daemon/refresh/refresher.h"
#include "daemon/store/token_store.h"

namespace credsync::refresh {

// Journal records of warnings; see credsyncd(8).
inline constexpr std::string_view kForewarning = message_id::kGrantEnding.id;

class Forewarner {
 public:
  Forewarner(account::Accounts& accounts, const Refresher& refresher, store::TokenStore& store, Agenda& agenda,
             const Clock& clock);
  ~Forewarner();

  // Warnings up to this moment were given by earlier runs. Accounts that are there already are looked at now.
  void begin(WallTime given);
  void replan_all();  // after a step of the clock

 private:
  struct Planned;
  void plan(account::Account& account);
  // Gives the latest warning that is due and lies after `given`.
  void look(account::Account& account, WallTime given);
  void on_time(const std::string& name);
  void warn(account::Account& account, WallTime end);

  account::Accounts& accounts_;
  const Refresher& refresher_;
  store::TokenStore& store_;
  Agenda& agenda_;
  const Clock& clock_;
  bool begun_ = false;
  std::map<std::string, std::unique_ptr<Planned>, std::less<>> planned_;  // only accounts with an end in sight
};

}  // namespace credsync::refresh
