// For a daemon that cannot start: who has connected to the socket that systemd holds is told so, and let go. Otherwise each of
// them would start the service again as soon as it has ended, for ever. Blocking, but never waits for anybody.
#pragma once

#include <cstddef>

#include "ipc/service.h"

namespace credsync::ipc::http {

// One backlog, as the socket unit has it: who comes later starts the service once more, and is told then.
inline constexpr std::size_t kMostTurnedAway = 4096;

// Accepts who waits at `listening`, a listening Unix stream socket, answers `problem` whatever they asked, and closes. Returns
// how many there were.
std::size_t turn_away(int listening, const Problem& problem);

}  // namespace credsync::ipc::http
