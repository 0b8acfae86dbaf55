#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace credsync {
namespace {

Result<void> write_all(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return from_errno("write " + path, errno);
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

// `size` is what fstat said; one byte more is read, so that a file that grows meanwhile is seen, up to `limit`.
Result<void> read_all(int fd, std::string& out, std::size_t size, std::size_t limit, const std::string& path) {
  out.resize(std::min(size, limit) + 1);
  std::size_t have = 0;
  while (have < out.size()) {
    const ssize_t got = ::read(fd, out.data() + have, out.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return from_errno("read " + path, errno);
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  if (have > size) return from_errno(path + " changed while it was read", EAGAIN);
  out.resize(have);
  return {};
}

Result<Descriptor> open_regular(const std::string& path, std::size_t limit, struct stat& status) {
  // O_NONBLOCK: a FIFO put there instead of a file must not hang us.
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd) return from_errno("open " + path, errno);
  if (::fstat(fd.get(), &status) != 0) return from_errno("stat " + path, errno);
  if (!S_ISREG(status.st_mode)) return invalid(path + " is not a regular file");
  if (status.st_size > static_cast<off_t>(limit)) {
    return invalid(path + " is larger than " + std::to_string(limit) + " bytes");
  }
  return fd;
}

Result<void> check_ownership(const struct stat& status, Secrecy secrecy, const std::string& path) {
  const uid_t me = ::geteuid();
  if (status.st_uid != 0 && status.st_uid != me) {
    return denied(path + " belongs to another user; it must be owned by root or by the daemon's user");
  }
  const bool group_is_ours = secrecy != Secrecy::kCredential && (status.st_gid == ::getegid() || status.st_gid == 0);
  if ((status.st_mode & S_IWOTH) != 0 || ((status.st_mode & S_IWGRP) != 0 && !group_is_ours)) {
    return denied(path + " can be written by others; chmod go-w it");
  }
  if (secrecy == Secrecy::kPublic) return {};
  const bool group_is_the_daemons = secrecy == Secrecy::kCredential || status.st_gid == ::getegid();
  if ((status.st_mode & S_IROTH) != 0 || ((status.st_mode & S_IRGRP) != 0 && !group_is_the_daemons)) {
    return denied(path + " can be read by others; chmod 600 it");
  }
  return {};
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = other.release();
  }
  return *this;
}

int Descriptor::release() {
  return std::exchange(fd_, -1);
}

void Descriptor::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Result<WipedString> read_checked_file(const std::string& path, std::size_t limit, Secrecy secrecy) {
  struct stat status {};
  auto fd = open_regular(path, limit, status);
  if (!fd) return fd.error();
  CREDSYNC_TRY(check_ownership(status, secrecy, path));
  WipedString content;
  CREDSYNC_TRY(read_all(fd->get(), content.text(), static_cast<std::size_t>(status.st_size), limit, path));
  return content;
}

Result<std::string> read_file(const std::string& path, std::size_t limit) {
  struct stat status {};
  auto fd = open_regular(path, limit, status);
  if (!fd) return fd.error();
  std::string content;
  CREDSYNC_TRY(read_all(fd->get(), content, static_cast<std::size_t>(status.st_size), limit, path));
  return content;
}

Result<void> create_file(const std::string& path, std::string_view content, mode_t mode) {
  Descriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd) return from_errno("create " + path, errno);
  CREDSYNC_TRY(write_all(fd.get(), content, path));
  if (::fsync(fd.get()) != 0) return from_errno("sync " + path, errno);
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory || ::fsync(directory.get()) != 0) return from_errno("sync " + folder, errno);
  return {};
}

Result<void> make_directories(const std::string& path, mode_t mode) {
  for (std::size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
    const std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), mode) != 0 && errno != EEXIST) return from_errno("create " + part, errno);
    if (at == std::string::npos) return {};
  }
}

}  // namespace credsync
