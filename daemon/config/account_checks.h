// What must hold between an account and its provider's profile.
#pragma once

#include "daemon/config/sources.h"
#include "daemon/config/table_reader.h"

namespace credsync::config {

// `account.profile` is set. Fills in the defaults of `vars`. Problems are placed at the account's keys.
void check_account(Account& account, TableReader& table, FileChecks& files);

}  // namespace credsync::config
