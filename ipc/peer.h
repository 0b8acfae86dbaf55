// Who is at the other end of a Unix socket, as the kernel recorded it when the peer connected, and who a process is that
// somebody asks about. Loop only. An Error means that the kernel would not say: such a peer is nobody, and must be let go.
#pragma once

#include <sys/types.h>

#include "base/result.h"
#include "ipc/service.h"

namespace credsync::ipc {

// Whose socket it is; nothing else.
Result<uid_t> peer_uid(int socket);

// SO_PEERCRED and SO_PEERGROUPS (unix(7), socket(7)) of a connected AF_UNIX socket. Supplementary groups are
// the kernel's list, never a look-up by name. The caller's `process` is a PinnedProcess of this socket.
Result<Caller> peer_of(int socket);

// How the process with this id would be seen if it connected now. kNotFound if there is none that /proc shows.
Result<Caller> caller_of(pid_t pid);

}  // namespace credsync::ipc
