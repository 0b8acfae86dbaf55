// Who is at the other end of a Unix socket, as the kernel recorded it when the peer connected. Stateless, any
// thread. An Error means that the kernel would not say: such a peer is nobody, and must be let go.
#pragma once

#include "base/result.h"
#include "ipc/service.h"

namespace credsync::ipc {

// SO_PEERCRED and SO_PEERGROUPS (unix(7), socket(7)) of a connected AF_UNIX socket. Supplementary groups are
// the kernel's list, never a look-up by name.
Result<Caller> peer_of(int socket);

}  // namespace credsync::ipc
