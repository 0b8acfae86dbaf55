#include "cli/config_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/environment.h"
#include "cli/users.h"

namespace credsync::cli {
namespace {

constexpr const char* kSystemFolder = "/etc/credsyncd";
// The user and group of the system's daemon (systemd's sysusers.d makes them).
constexpr const char* kDaemonGroup = "credsyncd";

// Empty when the surroundings do not tell.
std::string user_folder() {
  std::string base = variable("XDG_CONFIG_HOME");
  if (!base.starts_with('/')) {
    const std::string home = variable("HOME");
    if (!home.starts_with('/')) return {};
    base = home + "/.config";
  }
  return base + "/credsyncd";
}

std::string user_socket() {
  const std::string runtime = variable("XDG_RUNTIME_DIR");
  return runtime.starts_with('/') ? runtime + "/" + std::string(ipc::kUserSocketInRuntimeDir) : std::string();
}

std::string folder_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

bool write_whole(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

// Its mode is narrow from the start: the content may be a secret.
bool fill(int fd, std::string_view content, std::optional<gid_t> group) {
  if (!write_whole(fd, content)) return false;
  if (group && (::fchown(fd, static_cast<uid_t>(-1), *group) != 0 || ::fchmod(fd, 0640) != 0)) return false;
  return ::fsync(fd) == 0;
}

void sync_folder(const std::string& folder) {
  const Descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd) ::fsync(fd.get());
}

// link() is the rename that never replaces.
Outcome<void> place(const std::string& temporary, const std::string& path) {
  if (::link(temporary.c_str(), path.c_str()) == 0) return {};
  if (errno == EEXIST) return failed("there is a file " + clean_foreign_text(path) + " already; it is left as it is");
  return file_failure("write", path, errno);
}

}  // namespace

Failure file_failure(const std::string& what, const std::string& path, int error) {
  Failure failure = failed("cannot " + what + " " + clean_foreign_text(path) + ": " + ::strerror(error));
  if ((error == EACCES || error == EPERM) && ::geteuid() != 0)
    failure.details.emplace_back("The system's accounts are root's: call this with sudo. Your own: --user.");
  return failure;
}

Outcome<ConfigFolder> ConfigFolder::choose(const AccountPlace& place, const SocketChoice& socket) {
  ConfigFolder chosen;
  const bool named = socket.origin == SocketOrigin::kOption || socket.origin == SocketOrigin::kEnvironment;
  chosen.socket_ = socket.path;
  if (!place.folder.empty()) {
    chosen.kind_ = Kind::kNamed;
    chosen.folder_ = place.folder;
    return chosen;
  }
  const bool users = place.user || socket.origin == SocketOrigin::kUser || (named && socket.path == user_socket());
  const bool systems = place.system || (!named && !users) || (named && socket.path == ipc::kSystemSocket);
  if (!users && !systems) {
    return misused("the daemon at " + clean_foreign_text(socket.path) +
                   " reads a folder of its own: say which, with --config (or --system, --user)");
  }
  const bool system = place.system || (systems && !place.user);
  chosen.kind_ = system ? Kind::kSystem : Kind::kUser;
  chosen.folder_ = system ? kSystemFolder : user_folder();
  if (!named) chosen.socket_ = system ? std::string(ipc::kSystemSocket) : user_socket();
  if (chosen.folder_.empty() || chosen.socket_.empty())
    return failed("neither HOME and XDG_RUNTIME_DIR nor options say where your configuration and your daemon are");
  return chosen;
}

std::string ConfigFolder::path(std::string_view name) const {
  return folder_ + "/accounts.d/" + std::string(name);
}

Outcome<void> ConfigFolder::prepare() const {
  const std::string folder = folder_of(path("x"));
  struct stat info {};
  if (::stat(folder.c_str(), &info) == 0) return {};
  const mode_t mode = is_system() ? 0755 : 0700;
  errno = 0;
  return make_directories(folder, mode) ? Outcome<void>() : file_failure("make", folder, errno);
}

Outcome<void> ConfigFolder::write_new(std::string_view name, std::string_view content) const {
  CREDSYNC_TRY(prepare());
  const std::string target = path(name);
  // Names that begin with a dot are not read.
  std::string temporary = path("." + std::string(name) + ".XXXXXX");
  const Descriptor fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return file_failure("write", target, errno);
  // Root's file is for the daemon's user to read, and for nobody else: even names of accounts are told to the allowed only.
  const std::optional<gid_t> group = is_system() && ::geteuid() == 0 ? group_id(kDaemonGroup) : std::nullopt;
  Outcome<void> outcome;
  if (!fill(fd.get(), content, group)) {
    outcome = file_failure("write", target, errno);
  } else {
    outcome = place(temporary, target);
  }
  ::unlink(temporary.c_str());
  if (outcome) sync_folder(folder_of(target));
  return outcome;
}

}  // namespace credsync::cli
