// What `account add` must know: from its options, from the daemon's catalogue, and from the person where there is one.
#pragma once

#include "base/secret.h"
#include "cli/account_file.h"
#include "cli/arguments.h"
#include "cli/daemon_client.h"

namespace credsync::cli {

struct AskedAccount {
  AccountDraft draft;
  Secret secret;  // of the client; empty: it has none
};

// `own`: the daemon is the caller's, who may do everything without a rule. With --print, and all options there, a daemon that
// cannot be reached is not needed.
Outcome<AskedAccount> ask_for_account(const AccountAddCommand& command, bool own, const DaemonClient& client);

}  // namespace credsync::cli
