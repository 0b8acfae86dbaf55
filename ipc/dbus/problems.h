// How a refusal looks on the bus: the error's name and its words. Pure.
#pragma once

#include <string>

#include "ipc/service.h"

namespace credsync::ipc::dbus {

std::string error_name(ProblemKind kind);
// The detail, what a refused reload complains of, and the command that mends it.
std::string error_message(const Problem& problem);

// The one answer for an account that does not exist, that the caller may not know of, or whose name cannot be one.
Problem no_such_account();

}  // namespace credsync::ipc::dbus
