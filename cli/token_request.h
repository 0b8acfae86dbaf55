// Asks the daemon for an access token: what `token` and `exec` share.
#pragma once

#include "base/secret.h"
#include "cli/answers.h"
#include "cli/commands.h"

namespace credsync::cli {

// The answer's body, waiting a little longer than the daemon was asked to wait.
Outcome<WipedString> fetch_token(const TokenNeed& need, Context& context);
// Tells a person, on standard error, when the token is good for less than was asked, or is the last for now.
void warn_about(const TokenAnswer& answer, const TokenNeed& need);

}  // namespace credsync::cli
