#include "ipc/http/listener.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace credsync::ipc::http {
namespace {

// As many as may have connected while the loop is busy with one turn; the kernel cuts it to
// net.core.somaxconn.
constexpr int kBacklog = 4096;
constexpr mode_t kDirectoryMode = 0755;

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.front() != '/' || path.size() >= sizeof address.sun_path) {
    return invalid("the socket's path must be absolute and shorter than " + std::to_string(sizeof address.sun_path) +
                   " bytes: " + path);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

Result<Descriptor> make_socket() {
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return from_errno("make a socket", errno);
  return socket;
}

// Removes what an earlier run left behind, and nothing else.
Result<void> remove_stale(const std::string& path, const sockaddr_un& address) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return from_errno("look at " + path, errno);
  }
  if (!S_ISSOCK(status.st_mode)) return invalid(path + " exists and is not a socket");
  if (status.st_uid != ::geteuid()) return denied(path + " belongs to another user");
  auto probe = make_socket();
  if (!probe) return std::move(probe).error();
  if (::connect(probe->get(), generic(address), sizeof address) == 0 || errno != ECONNREFUSED) {
    return Error(ErrorCode::kTaken, "another process listens on " + path);
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return from_errno("remove " + path, errno);
  return {};
}

// The kernel then says with each read who wrote it; connections inherit it.
Result<void> ask_for_senders(int socket) {
  const int on = 1;
  if (::setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) {
    return from_errno("ask for senders' credentials", errno);
  }
  return {};
}

Result<void> bind_and_listen(int socket, const std::string& path, const sockaddr_un& address, mode_t mode) {
  CREDSYNC_TRY(ask_for_senders(socket));
  // Nobody but us may connect before the mode is what was asked for.
  if (::fchmod(socket, 0600) != 0) return from_errno("set the mode of a socket", errno);
  if (::bind(socket, generic(address), sizeof address) != 0) return from_errno("bind " + path, errno);
  if (::chmod(path.c_str(), mode) != 0) return from_errno("set the mode of " + path, errno);
  if (::listen(socket, kBacklog) != 0) return from_errno("listen on " + path, errno);
  return {};
}

Result<int> socket_option(int socket, int option) {
  int value = 0;
  socklen_t size = sizeof value;
  if (::getsockopt(socket, SOL_SOCKET, option, &value, &size) != 0)
    return from_errno("ask the inherited socket", errno);
  return value;
}

}  // namespace

Result<ListeningSocket> ListeningSocket::open(const std::string& path, mode_t mode) {
  const auto address = address_of(path);
  if (!address) return address.error();
  if (const std::size_t slash = path.rfind('/'); slash != 0) {
    CREDSYNC_TRY(make_directories(path.substr(0, slash), kDirectoryMode));
  }
  CREDSYNC_TRY(remove_stale(path, *address));
  auto socket = make_socket();
  if (!socket) return std::move(socket).error();
  CREDSYNC_TRY(bind_and_listen(socket->get(), path, *address, mode));
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return from_errno("look at " + path, errno);
  ListeningSocket listening(std::move(*socket));
  listening.path_ = path;
  listening.device_ = status.st_dev;
  listening.inode_ = status.st_ino;
  return listening;
}

Result<ListeningSocket> ListeningSocket::adopt(Descriptor socket) {
  const int expected[][2] = {{SO_DOMAIN, AF_UNIX}, {SO_TYPE, SOCK_STREAM}, {SO_ACCEPTCONN, 1}};
  for (const auto& [option, wanted] : expected) {
    const auto value = socket_option(socket.get(), option);
    if (!value) return value.error();
    if (*value != wanted) return invalid("the inherited descriptor is not a listening Unix stream socket");
  }
  const int flags = ::fcntl(socket.get(), F_GETFL);
  if (flags < 0 || ::fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) != 0 ||
      ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC) != 0) {
    return from_errno("set up the inherited socket", errno);
  }
  CREDSYNC_TRY(ask_for_senders(socket.get()));
  return ListeningSocket(std::move(socket));
}

ListeningSocket::ListeningSocket(ListeningSocket&& other) noexcept
    : socket_(std::move(other.socket_)),
      path_(std::exchange(other.path_, {})),
      device_(other.device_),
      inode_(other.inode_) {}

void ListeningSocket::refuse_new() {
  if (!adopted()) ::shutdown(socket_.get(), SHUT_RD);
}

ListeningSocket::~ListeningSocket() {
  if (path_.empty()) return;
  struct stat status {};
  const bool ours = ::lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_;
  if (ours) ::unlink(path_.c_str());
}

}  // namespace credsync::ipc::http
