// Users and groups by name and number. This program is linked statically and reads no user database: getent(1) does, as the
// machine is set up to (files, LDAP, systemd).
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace credsync::cli {

std::optional<uid_t> user_id(const std::string& name_or_number);
std::optional<gid_t> group_id(const std::string& name);
// Empty when the user has none.
std::string user_name(uid_t uid);

// Who called sudo(8), when this runs as root by it.
std::optional<uid_t> sudo_caller();

}  // namespace credsync::cli
