// Completion scripts. They complete accounts by asking the daemon (`credsync account list --names`).
#pragma once

#include <string_view>

#include "cli/arguments.h"

namespace credsync::cli {

std::string_view completion_script(Shell shell);

}  // namespace credsync::cli
