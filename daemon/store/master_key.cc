#include "daemon/store/master_key.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/encoding.h"
#include "base/fail_point.h"
#include "base/file.h"
#include "base/log.h"
#include "daemon/store/state_directory.h"

namespace credsync::store {
namespace {

constexpr char kDefaultCredential[] = "credsyncd.key";

// Linked, so that a crash leaves a whole key or none, and an existing one is never replaced.
Result<Key> make_key(const std::string& path) {
  Key key = Key::random();
  CREDSYNC_TRY(write_fresh_key(path, key));
  const std::string fresh = fresh_key_file(path);
  CREDSYNC_FAIL_POINT("first-key.written");
  const bool linked = ::link(fresh.c_str(), path.c_str()) == 0;
  const int problem = errno;
  CREDSYNC_FAIL_POINT("first-key.named");
  ::unlink(fresh.c_str());
  if (!linked) return from_errno("create " + path, problem);
  CREDSYNC_TRY(sync_folder_of(path));
  log::notice("made a new master key", {{"FILE", path}});
  return key;
}

Result<Key> key_of_file(const std::string& path, const std::string& database, bool may_make) {
  auto text = read_checked_file(path, kMaxKeyFile, Secrecy::kSecret);
  if (text) return decode_key(std::move(*text), path);
  if (text.error().code() != ErrorCode::kNotFound) return text.error().within("master key");
  if (may_make) return make_key(path);
  return not_found("the master key " + path + " is missing, and " + database +
                   " cannot be opened without it (no new one is made while there is a database)");
}

// The path of a credential, or empty when systemd passed none of that name.
std::string credential_path(const std::string& name) {
  const char* directory = std::getenv("CREDENTIALS_DIRECTORY");
  if (directory == nullptr || name.empty() || name.find('/') != std::string::npos) return {};
  const std::string path = std::string(directory) + "/" + name;
  return file_exists(path) ? path : std::string();
}

Result<Key> key_of_credential(const std::string& path) {
  auto text = read_checked_file(path, kMaxKeyFile, Secrecy::kCredential);
  if (!text) return text.error().within("master key");
  return decode_key(std::move(*text), path);
}

std::string credential_name(const KeySource& source) {
  return source.kind == KeySource::Kind::kCredential ? source.path : kDefaultCredential;
}

// Overwritten once nothing names it any more; a link that somebody made of it stays as it is.
void overwrite_unnamed(int file) {
  struct stat status {};
  if (::fstat(file, &status) != 0 || status.st_nlink != 0) return;
  const std::string zeros(static_cast<std::size_t>(status.st_size), '\0');
  if (::pwrite(file, zeros.data(), zeros.size(), 0) < 0 || ::fsync(file) != 0)
    log::warning("the bytes of the old key file could not be overwritten", {{"WHY", std::strerror(errno)}});
}

}  // namespace

Result<Key> decode_key(WipedString text, const std::string& from) {
  while (!text.text().empty() && text.text().back() == '\n')
    text.text().pop_back();
  std::optional<std::string> bytes = decode_base64(text.text());
  const WipedString wiped(bytes ? std::move(*bytes) : std::string());
  if (wiped.text().size() != kKeyBytes) {
    return invalid(from +
                   " holds no master key: wanted are 32 random bytes as base64 (head -c32 /dev/urandom | base64)");
  }
  return Key::from(wiped.text());
}

Result<std::string> key_file_of(const KeySource& source, const std::string& default_file) {
  if (source.kind == KeySource::Kind::kFile) return source.path;
  if (!credential_path(credential_name(source)).empty()) return std::string();
  if (source.kind == KeySource::Kind::kDefault) return default_file;
  return not_found("the master key's credential \"" + source.path +
                   "\" was not passed: add LoadCredential= or LoadCredentialEncrypted= to the unit");
}

Result<MasterKey> read_master_key(const KeySource& source, const std::string& default_file, const std::string& database,
                                  bool may_make) {
  auto file = key_file_of(source, default_file);
  if (!file) return file.error();
  auto key = file->empty() ? key_of_credential(credential_path(credential_name(source)))
                           : key_of_file(*file, database, may_make);
  if (!key) return key.error();
  return MasterKey{std::move(*key), std::move(*file)};
}

std::string fresh_key_file(const std::string& path) {
  return path + ".new";
}

Result<void> write_fresh_key(const std::string& path, const Key& key) {
  const WipedString text(encode_base64(key.read().expose()));
  WipedString line;
  line.text().reserve(text.text().size() + 1);
  line.text().append(text.text()).append("\n");
  const std::string fresh = fresh_key_file(path);
  ::unlink(fresh.c_str());
  const auto written = create_file(fresh, line.text(), 0600);
  if (!written) ::unlink(fresh.c_str());  // half a key
  return written;
}

Result<void> use_fresh_key(const std::string& path) {
  const Descriptor old(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  if (::rename(fresh_key_file(path).c_str(), path.c_str()) != 0) return from_errno("replace " + path, errno);
  CREDSYNC_FAIL_POINT("key.renamed");
  CREDSYNC_TRY(sync_folder_of(path));
  if (old) overwrite_unnamed(old.get());
  return {};
}

}  // namespace credsync::store
