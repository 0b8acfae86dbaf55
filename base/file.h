// Files read and written whole, with the checks that configuration and secrets need. Blocking; keep it off the loop
// except at start and reload.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "base/secret.h"

namespace credsync {

// An owned file descriptor.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor() { reset(); }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release();
  void reset();

 private:
  int fd_ = -1;
};

enum class Secrecy {
  kPublic,  // must not be writable by others than its owner (root or us) and our group
  kSecret,  // also not readable by others; by a group only if it is the process's
  // One that systemd passed in $CREDENTIALS_DIRECTORY: as kSecret, but any group may seem to read it, and none write. Where systemd keeps
  // credentials on a tmpfs they are root's, 0440, and what looks like a group's right is the mask of an ACL for us.
  kCredential,
};

// Reads a regular file of at most `limit` bytes, owned by root or by the process's user, opened without following a
// last symbolic link's race (the checks are made on the open descriptor).
Result<WipedString> read_checked_file(const std::string& path, std::size_t limit, Secrecy secrecy);

// Reads any regular file up to `limit` bytes, without checks of ownership.
Result<std::string> read_file(const std::string& path, std::size_t limit);

// Creates `path` (it must not exist) with `mode`, writes, syncs file and folder.
Result<void> create_file(const std::string& path, std::string_view content, mode_t mode);

// Makes `path` and its parents; what it creates gets `mode`.
Result<void> make_directories(const std::string& path, mode_t mode);

}  // namespace credsync
