// Finds and reads the files of the configuration: which there are, in their order, each checked and bounded.
#pragma once

#include <functional>

#include "daemon/config/tree.h"

namespace credsync::config {

constexpr std::size_t kMaxFileBytes = 1024 * 1024;  // some 5,000 accounts; more go into several files
constexpr std::size_t kMaxFilesPerFolder = 131072;  // a file for each of 100,000 accounts
constexpr std::size_t kMaxTotalBytes =
    256 * 1024 * 1024;  // of one load, so that a runaway folder cannot eat the memory

class FileReader {
 public:
  FileReader(FileNames& names, Problems& problems) : names_(names), problems_(problems) {}

  // Calls `use` with the tree of every *.toml in `folder`, by name in byte order. A missing folder has no
  // files, unless `must_exist`.
  void folder(const std::string& path, bool must_exist, const std::function<void(Node)>& use);
  // The same for one file; a missing one is fine.
  void file(const std::string& path, const std::function<void(Node)>& use);

 private:
  FileNames& names_;
  Problems& problems_;
  std::size_t total_ = 0;
};

}  // namespace credsync::config
