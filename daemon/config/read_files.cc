#include "daemon/config/read_files.h"

#include <dirent.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/file.h"
#include "daemon/config/parse_toml.h"

namespace credsync::config {
namespace {

// "/etc/x.toml can be written by others": the place says the file already.
std::string without_path(std::string words, const std::string& path) {
  if (words.starts_with(path + " ")) words.erase(0, path.size() + 1);
  return words;
}

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

// Reading takes a buffer of the limit's size and wipes it afterwards: a megabyte for each of ten thousand
// small files is a second at start.
Result<WipedString> read_config_file(const std::string& path) {
  constexpr std::size_t kUsualBytes = 16 * 1024;
  auto content = read_checked_file(path, kUsualBytes, Secrecy::kPublic);
  if (content || content.error().code() != ErrorCode::kInvalid) return content;
  return read_checked_file(path, kMaxFileBytes, Secrecy::kPublic);
}

bool is_config_name(std::string_view name) {
  return name.ends_with(".toml") && !name.starts_with('.');
}

}  // namespace

void FileReader::folder(const std::string& path, bool must_exist, const std::function<void(Node)>& use) {
  if (path.empty()) return;
  const std::unique_ptr<DIR, CloseFolder> folder(::opendir(path.c_str()));
  if (!folder) {
    if (errno == ENOENT && !must_exist) return;
    return problems_.add(Place{path, 0, 0}, "", from_errno("read folder", errno).message(), true);
  }
  std::vector<std::string> files;
  while (const dirent* entry = ::readdir(folder.get())) {
    if (is_config_name(entry->d_name)) files.emplace_back(entry->d_name);
    if (files.size() <= kMaxFilesPerFolder) continue;
    return problems_.add(Place{path, 0, 0}, "", "holds more than " + std::to_string(kMaxFilesPerFolder) + " files",
                         true);
  }
  std::sort(files.begin(), files.end());
  for (const std::string& name : files)
    file(path + "/" + name, use);
}

void FileReader::file(const std::string& path, const std::function<void(Node)>& use) {
  const auto content = read_config_file(path);
  if (!content) {
    if (content.error().code() == ErrorCode::kNotFound) return;
    return problems_.add(Place{path, 0, 0}, "", without_path(content.error().message(), path), true);
  }
  total_ += content->text().size();
  if (total_ > kMaxTotalBytes) {
    return problems_.add(Place{path, 0, 0}, "", "the files of the configuration are larger than 256 MiB together",
                         true);
  }
  const std::string* name = names_.add(path);
  if (auto tree = parse_toml(content->text(), name, problems_)) use(std::move(*tree));
}

}  // namespace credsync::config
