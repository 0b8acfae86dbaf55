// Whose process is at the other end of a TCP connection on this machine: the kernel's socket tables know the owner of
// every socket. By sock_diag(7), which answers for one connection without privileges; by /proc/net where that is missing.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <optional>

namespace credsync::login {

// The owner of the socket that `connection`'s peer address names. Nothing: it could not be established, is closed already
// (the kernel then says 0), or is the overflow id of another user namespace; what is not established is refused.
std::optional<uid_t> peer_user(int connection);

// The two ways, for tests. `ours` and `theirs`: the connection's own and its peer's address, both of one family.
std::optional<uid_t> owner_by_sock_diag(const sockaddr_storage& ours, const sockaddr_storage& theirs);
std::optional<uid_t> owner_by_proc(const sockaddr_storage& ours, const sockaddr_storage& theirs);

}  // namespace credsync::login
