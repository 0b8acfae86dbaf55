// The state directory: 0700, ours alone. Owns the lock that keeps a second daemon out for as long as it lives, and knows
// the names inside. The lock is a file of its own: closing any other descriptor of the database would drop SQLite's.
#pragma once

#include <string>

#include "base/file.h"
#include "base/result.h"

namespace credsync::store {

class StateDirectory {
 public:
  // Makes the directory if it is not there. kTaken: another credsyncd uses it. kDenied: others may enter it, or it is
  // not ours; it is not changed then, for it may be a directory that was named by mistake.
  static Result<StateDirectory> take(const std::string& path);

  const std::string& path() const { return path_; }
  std::string database() const { return path_ + "/state.db"; }
  std::string slots() const { return path_ + "/answers.slots"; }
  std::string witness() const { return path_ + "/state.count"; }
  std::string restored() const { return path_ + "/state.restored"; }
  std::string key() const { return path_ + "/credsyncd.key"; }

 private:
  StateDirectory(std::string path, Descriptor lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  Descriptor lock_;
};

// Makes a rename or a new name in the folder of `path` durable.
Result<void> sync_folder_of(const std::string& path);
bool file_exists(const std::string& path);

}  // namespace credsync::store
