#include "ipc/peer.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

#include "ipc/process.h"

namespace credsync::ipc {
namespace {

constexpr std::size_t kUsualGroups = 32;
constexpr std::size_t kMostGroups = 65536;  // NGROUPS_MAX of Linux

Result<std::vector<gid_t>> groups_of(int socket) {
  std::array<gid_t, kUsualGroups> usual;
  socklen_t bytes = sizeof usual;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, usual.data(), &bytes) == 0) {
    return std::vector<gid_t>(usual.begin(), usual.begin() + bytes / sizeof(gid_t));
  }
  if (errno != ERANGE || bytes > kMostGroups * sizeof(gid_t)) return from_errno("ask for the peer's groups", errno);
  std::vector<gid_t> groups(bytes / sizeof(gid_t));
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &bytes) != 0) {
    return from_errno("ask for the peer's groups", errno);
  }
  groups.resize(bytes / sizeof(gid_t));
  return groups;
}

Result<ucred> credentials_of(int socket) {
  ucred credentials{};
  socklen_t bytes = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) != 0) {
    return from_errno("ask for the peer's credentials", errno);
  }
  return credentials;
}

}  // namespace

Result<uid_t> peer_uid(int socket) {
  const auto credentials = credentials_of(socket);
  if (!credentials) return credentials.error();
  return credentials->uid;
}

Result<Caller> peer_of(int socket) {
  const auto known = credentials_of(socket);
  if (!known) return known.error();
  const ucred& credentials = *known;
  auto groups = groups_of(socket);
  if (!groups) return std::move(groups).error();
  Caller caller;
  caller.uid = credentials.uid;
  caller.gid = credentials.gid;
  caller.pid = credentials.pid;
  caller.groups = std::move(*groups);
  caller.process = PinnedProcess::of_peer(socket, credentials.pid, credentials.uid);
  return caller;
}

Result<Caller> caller_of(pid_t pid) {
  auto process = PinnedProcess::open(pid, std::nullopt);
  if (!process) return std::move(process).error();
  auto credentials = (*process)->credentials();
  if (!credentials) return std::move(credentials).error();
  Caller caller;
  caller.uid = credentials->effective;
  caller.gid = credentials->gid;
  caller.groups = std::move(credentials->groups);
  caller.pid = pid;
  caller.process = std::move(*process);
  return caller;
}

}  // namespace credsync::ipc
