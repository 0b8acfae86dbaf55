// Reads a secret from where the configuration says. Blocks (a command up to 10 s): on a worker only.
#pragma once

#include "base/result.h"
#include "base/secret.h"
#include "daemon/config/config.h"

namespace credsync::config {

constexpr std::size_t kMaxSecretBytes = 64 * 1024;  // design section 4
constexpr Duration kSecretCommandDeadline = 10s;    // design section 4

// The secret without one trailing newline. Errors name the file or the command, never its output. `patience`
// is for a command only: then it is killed with all it started.
Result<Secret> read_secret(const SecretSource& source, Duration patience = kSecretCommandDeadline);

}  // namespace credsync::config
