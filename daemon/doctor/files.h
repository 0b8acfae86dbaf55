// What can be seen on the machine itself: the configuration on disk, who may change folders and files, whether secrets can
// be read, the clock, the socket. Blocking: worker threads only.
#pragma once

#include <memory>
#include <vector>

#include "daemon/config/config.h"
#include "daemon/doctor/check.h"

namespace credsync::doctor {

Check check_configuration(const config::Paths& paths);
// Folders that others could put something into, and the state that others could read.
Check check_folders(const config::Paths& paths, const std::string& socket);
// Of the accounts' secret files and credentials. Programs are not run: they may ask a person, or count.
Check check_secrets(const std::vector<std::shared_ptr<const config::Account>>& accounts, const Clock& clock,
                    BootTime until);
// Is it there, who may connect, does it lead to us?
Check check_socket(const std::string& path, bool user_instance);
// Is the clock one that certificates can be checked by, and does something keep it right?
Check check_clock(const Clock& clock);

}  // namespace credsync::doctor
