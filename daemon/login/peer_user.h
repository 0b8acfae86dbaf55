// Whose process is at the other end of a TCP connection on this machine: the kernel's socket tables know the owner of
// every socket. By sock_diag(7), which looks one connection up, without privileges; only in a kernel without it by
// /proc/net, which lists all connections of everybody and so takes as long as others like. Loop only.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <functional>
#include <optional>
#include <utility>

namespace credsync::login {

class PeerUsers {
 public:
  using Look = std::function<std::optional<uid_t>(const sockaddr_storage& ours, const sockaddr_storage& theirs)>;
  struct Kernel {
    std::function<std::optional<bool>()> has_sock_diag;
    Look by_sock_diag, by_proc;
  };
  PeerUsers();
  // For tests.
  explicit PeerUsers(Kernel kernel) : kernel_(std::move(kernel)) {}

  // The owner of the socket that `connection`'s peer address names. Nothing: it could not be established, is closed
  // already (the kernel then says 0), or is the overflow id of another user namespace; what is not established is
  // refused. One way is taken for good: no owner by sock_diag is an answer, not a reason to look elsewhere.
  std::optional<uid_t> of(int connection);

 private:
  Kernel kernel_;
  std::optional<bool> has_sock_diag_;  // once it is known
};

// Whether this kernel answers by sock_diag: asked about a socket that is there. Nothing: it could not be asked (no
// descriptor is left, say), which may be different next time.
std::optional<bool> has_sock_diag();

// The two ways. `ours` and `theirs`: the connection's own and its peer's address, both of one family.
std::optional<uid_t> owner_by_sock_diag(const sockaddr_storage& ours, const sockaddr_storage& theirs);
std::optional<uid_t> owner_by_proc(const sockaddr_storage& ours, const sockaddr_storage& theirs);

}  // namespace credsync::login
