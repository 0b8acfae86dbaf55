// Asks polkit whether a caller may administer the daemon (org.credsync.manage). Without an answer in time, or where there
// is no polkit, the answer is no, and the daemon's own rules decide alone. Loop only.
#pragma once

#include <functional>
#include <string>

#include "ipc/dbus/bus.h"

namespace credsync::ipc::dbus {

// `interactive`: polkit may ask a person for a password. `then` comes within `deadline`, unless the bus goes first.
void ask_polkit(Bus& bus, const std::string& sender, bool interactive, Duration deadline,
                std::function<void(bool allowed)> then);

}  // namespace credsync::ipc::dbus
