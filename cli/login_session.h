// Follows one sign-in session of the daemon to its end: shows the address or the code, opens a browser, reads what is pasted,
// shows the time left, and cancels it in the daemon when the person gives up. Everything for people goes to standard error.
#pragma once

#include <string_view>

#include "cli/arguments.h"
#include "cli/commands.h"

namespace credsync::cli {

// Begins by POST `request`, whose answer is a session (201), or an account's status where the grant needs nobody.
Outcome<ExitCode> sign_in_interactively(const LoginCommand& command, Context& context, const Request& request);

// What the daemon answers (an account's status) when a sign-in was done in one request.
Outcome<ExitCode> show_signed_in(const LoginCommand& command, std::string_view body);

}  // namespace credsync::cli
