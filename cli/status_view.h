// How the status of accounts looks to a person. Pure: takes the moment and the terminal.
#pragma once

#include <span>
#include <string>

#include "cli/answers.h"
#include "cli/terminal.h"

namespace credsync::cli {

// A row an account; what went wrong and what to do in indented lines below it. Bars only on a terminal.
std::string render_statuses(std::span<const AccountStatus> statuses, WallTime now, const View& view);
// One account in full.
std::string render_status(const AccountStatus& status, WallTime now, const View& view);
// "5 accounts: 3 ok, 1 retrying, 1 needs-login"
std::string summary_of(std::span<const AccountStatus> statuses);
// "flat-me: ok, token good for 42 min": after a sign-in or a refresh.
std::string one_line(const AccountStatus& status, WallTime now);

}  // namespace credsync::cli
