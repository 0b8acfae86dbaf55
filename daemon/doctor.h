// What can be examined from inside: the configuration on disk, secrets, the store, the clock, the accounts. Blocking on
// local files only. Loop only.
#pragma once

#include <vector>

#include "daemon/account/accounts.h"
#include "daemon/config/config.h"
#include "daemon/refresh/refresher.h"
#include "daemon/retire/retirer.h"
#include "daemon/store/sqlite_store.h"
#include "ipc/dbus/server.h"
#include "ipc/service.h"

namespace credsync {

struct Patient {
  const config::Paths& paths;
  const config::Config& config;
  const account::Accounts& accounts;
  const store::SqliteStore& store;
  const refresh::Refresher& refresher;
  const retire::Retirer& retirer;
  const Clock& clock;
  const ipc::dbus::Server* bus;  // null: listen.dbus is off
};
std::vector<ipc::Check> examine(const Patient& patient);

}  // namespace credsync
