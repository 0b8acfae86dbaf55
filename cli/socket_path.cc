#include "cli/socket_path.h"

#include <sys/stat.h>
#include <unistd.h>

#include "cli/environment.h"
#include "ipc/names.h"

namespace credsync::cli {
namespace {

// The owner is asked because `sudo -E` keeps XDG_RUNTIME_DIR: root must not hand a secret to another user's
// daemon.
bool is_our_socket(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode) && info.st_uid == ::geteuid();
}

}  // namespace

SocketChoice choose_socket(const std::string& option) {
  if (!option.empty()) return {option, SocketOrigin::kOption};
  std::string chosen = variable(ipc::kSocketVariable.data());
  if (!chosen.empty()) return {std::move(chosen), SocketOrigin::kEnvironment};
  // A job of cron or a shell of su(1) is not told of it; systemd-logind makes it there.
  std::string runtime = variable("XDG_RUNTIME_DIR");
  if (!runtime.starts_with('/')) runtime = "/run/user/" + std::to_string(::geteuid());
  std::string user = runtime + "/" + std::string(ipc::kUserSocketInRuntimeDir);
  if (is_our_socket(user)) return {std::move(user), SocketOrigin::kUser};
  return {std::string(ipc::kSystemSocket), SocketOrigin::kSystem};
}

bool shows_us_all(const SocketChoice& socket) {
  return socket.origin == SocketOrigin::kUser || (socket.origin == SocketOrigin::kSystem && ::geteuid() == 0);
}

}  // namespace credsync::cli
