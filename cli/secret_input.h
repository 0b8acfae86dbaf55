// Secrets come in on standard input or from a person at the terminal, never in arguments or environment.
#pragma once

#include <string>

#include "base/secret.h"
#include "cli/failure.h"

namespace credsync::cli {

// All of standard input without its last line end. Empty, longer than 64 KiB, or not text: a Failure.
Outcome<Secret> read_secret_from_stdin();

// Asks on the controlling terminal (/dev/tty) without echo. The terminal's settings are restored whatever
// ends the asking; a signal then takes its usual effect.
Outcome<Secret> ask_secret(const std::string& prompt);
// An empty answer is one too: there is no such secret.
Outcome<Secret> ask_optional_secret(const std::string& prompt);

}  // namespace credsync::cli
