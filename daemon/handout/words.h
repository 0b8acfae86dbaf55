// What people and programs are told about an account: its status, and the problem when there is no token to give.
#pragma once

#include <optional>
#include <string>

#include "daemon/account/accounts.h"
#include "daemon/config/config.h"
#include "daemon/refresh/refresher.h"
#include "daemon/retire/retirer.h"
#include "ipc/service.h"

namespace credsync::handout {

// The command with which a person signs in to this account.
std::string login_command(const config::Account& account);

struct Sight {
  const refresh::Refresher& refresher;
  const retire::Retirer& retirer;
  const Clock& clock;
};

// What mends the account, or keeps it well; absent: nothing has to be done.
std::optional<ipc::AccountStatus::NextStep> next_step(const account::Account& account, const Sight& sight);

ipc::AccountStatus describe(const account::Account& account, const Sight& sight, config::Actions actions);

// The same bytes whether the account is missing or not the caller's to know of.
ipc::Problem no_such_account();

// Why there is no valid token now, for a caller who may have one.
ipc::Problem no_token(const account::Account& account, const Sight& sight);

}  // namespace credsync::handout
