#include "daemon/store/witness.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <optional>

#include "base/log.h"

namespace credsync::store {
namespace {

constexpr std::size_t kLineChecksumBytes = 16;
constexpr std::size_t kMostBytes = 256;  // a line has 95
// One change a second for twelve days: generations leave out that many numbers at most, which harms nobody.
constexpr std::int64_t kMostMissed = 1'000'000;

std::string checksum_of(std::string_view text) {
  std::array<unsigned char, kLineChecksumBytes> sum{};
  ::crypto_generichash(sum.data(), sum.size(), reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                       nullptr, 0);
  std::array<char, 2 * kLineChecksumBytes + 1> hex{};
  ::sodium_bin2hex(hex.data(), hex.size(), sum.data(), sum.size());
  return hex.data();
}

// Of fixed length, so that one is written over another, and small enough for a sector.
std::string line_of(const std::string& database, const Counts& counts) {
  std::array<char, kMostBytes> text{};
  std::snprintf(text.data(), text.size(), "%s %019" PRId64 " %019" PRId64 " ", database.c_str(), counts.rotations,
                counts.generations);
  const std::string body(text.data());
  return body + checksum_of(body) + "\n";
}

struct Said {
  std::string database;
  Counts counts;
};

std::optional<Said> parse(const std::string& line) {
  std::array<char, 17> database{};
  Counts counts;
  if (std::sscanf(line.c_str(), "%16[0-9a-f] %" SCNd64 " %" SCNd64, database.data(), &counts.rotations,
                  &counts.generations) != 3)
    return std::nullopt;
  if (counts.rotations < 0 || counts.generations < 0 || line_of(database.data(), counts) != line) return std::nullopt;
  return Said{database.data(), counts};
}

std::optional<Said> read(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file) return std::nullopt;
  std::array<char, kMostBytes> text{};
  const ssize_t got = ::read(file.get(), text.data(), text.size());
  auto said = parse(std::string(text.data(), got > 0 ? static_cast<std::size_t>(got) : 0));
  if (!said) log::warning("a file that counts the database's changes is damaged; it is done without", {{"FILE", path}});
  return said;
}

}  // namespace

Witness::Witness(std::string database, std::vector<std::string> files) : database_(std::move(database)) {
  for (std::string& path : files) {
    const auto said = read(path);
    if (said && said->database == database_) {
      seen_.rotations = std::max(seen_.rotations, said->counts.rotations);
      seen_.generations = std::max(seen_.generations, said->counts.generations);
    }
    files_.push_back({std::move(path), {}, false});
  }
}

void Witness::suspect(const Counts& in_database) {
  seen_.rotations = std::max(seen_.rotations, in_database.rotations + kMostMissed);
  seen_.generations = std::max(seen_.generations, in_database.generations + kMostMissed);
}

void Witness::note(const Counts& counts) {
  seen_.rotations = std::max(seen_.rotations, counts.rotations);
  seen_.generations = std::max(seen_.generations, counts.generations);
  const std::string line = line_of(database_, seen_);
  for (File& file : files_) {
    if (!file.given_up) write(file, line);
  }
}

void Witness::write(File& file, const std::string& line) {
  if (!file.open) file.open = Descriptor(::open(file.path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  const ssize_t put = file.open ? ::pwrite(file.open.get(), line.data(), line.size(), 0) : -1;
  if (put == static_cast<ssize_t>(line.size())) return;
  if (file.open && errno == ENOSPC) return;  // a full disk passes
  file.given_up = true;
  log::warning("the count of the database's changes cannot be kept; an older copy of it would not be noticed",
               {{"FILE", file.path}, {"WHY", std::strerror(errno)}});
}

std::string witness_in(const std::string& directory, const std::string& database) {
  if (directory.empty()) return {};
  struct stat status {};
  const auto made = make_directories(directory, 0700);
  const bool ours = made && ::stat(directory.c_str(), &status) == 0 && S_ISDIR(status.st_mode) &&
                    status.st_uid == ::geteuid() && (status.st_mode & 022) == 0;
  if (ours) return directory + "/" + database + ".count";
  log::warning(
      "no second count of the database's changes is kept: the directory is not ours alone to write, or not there",
      {{"DIRECTORY", directory}, {"WHY", made ? "its owner or mode" : made.error().message()}});
  return {};
}

}  // namespace credsync::store
