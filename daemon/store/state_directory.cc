#include "daemon/store/state_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace credsync::store {
namespace {

Result<void> check_directory(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return from_errno("state directory " + path, errno);
  if (!S_ISDIR(status.st_mode)) return invalid("state directory " + path + " is not a directory");
  if (status.st_uid != ::geteuid()) {
    return denied("state directory " + path + " belongs to another user than the daemon's");
  }
  if ((status.st_mode & 077) != 0) {
    return denied("state directory " + path + " is open to others; chmod 700 it");
  }
  return {};
}

// Who wrote the lock file, for the message. Nothing when it says nothing.
std::string holder_of(int lock) {
  char text[32];
  const ssize_t got = ::pread(lock, text, sizeof text, 0);
  std::string pid;
  for (ssize_t i = 0; i < got && text[i] >= '0' && text[i] <= '9'; ++i)
    pid += text[i];
  return pid.empty() ? "" : " (pid " + pid + ")";
}

Result<Descriptor> lock_file(const std::string& path, const std::string& directory) {
  Descriptor lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) return from_errno("open " + path, errno);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return from_errno("lock " + path, errno);
    return Error(ErrorCode::kTaken, "another credsyncd" + holder_of(lock.get()) + " uses " + directory);
  }
  // Only a hint for people: a full disk must not keep us from starting.
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(lock.get(), 0) == 0) [[maybe_unused]]
    const ssize_t put = ::pwrite(lock.get(), pid.data(), pid.size(), 0);
  return lock;
}

}  // namespace

Result<StateDirectory> StateDirectory::take(const std::string& path) {
  CREDSYNC_TRY(make_directories(path, 0700));
  CREDSYNC_TRY(check_directory(path));
  auto lock = lock_file(path + "/state.lock", path);
  if (!lock) return lock.error();
  return StateDirectory(path, std::move(*lock));
}

Result<void> sync_folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory || ::fsync(directory.get()) != 0) return from_errno("sync " + folder, errno);
  return {};
}

bool file_exists(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

}  // namespace credsync::store
