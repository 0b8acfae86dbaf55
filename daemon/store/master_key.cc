#include "daemon/store/master_key.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/encoding.h"
#include "base/file.h"
#include "base/log.h"
#include "daemon/store/state_directory.h"

namespace credsync::store {
namespace {

constexpr std::size_t kMaxKeyFile = 4096;  // 45 bytes are needed; more is certainly something else
constexpr char kDefaultCredential[] = "credsyncd.key";

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

// Written under another name and linked, so that a crash leaves a whole key or none, and an existing one is never replaced.
Result<Key> make_key(const std::string& path) {
  Key key = Key::random();
  const WipedString text(encode_base64(key.expose()));
  WipedString line;
  line.text().reserve(text.text().size() + 1);
  line.text().append(text.text()).append("\n");
  const std::string fresh = path + ".new";
  ::unlink(fresh.c_str());
  CREDSYNC_TRY(create_file(fresh, line.text(), 0600));
  const bool linked = ::link(fresh.c_str(), path.c_str()) == 0;
  const int problem = errno;
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
                   " cannot be opened without it: put the key back (no new one is made while there is a database)");
}

// The path of a credential, or empty when systemd passed none of that name.
std::string credential_path(const std::string& name) {
  const char* directory = std::getenv("CREDENTIALS_DIRECTORY");
  if (directory == nullptr || name.empty() || name.find('/') != std::string::npos) return {};
  const std::string path = std::string(directory) + "/" + name;
  return file_exists(path) ? path : std::string();
}

// systemd owns the directory and its modes (an ACL shows as a group's right), so ownership is not checked here.
Result<Key> key_of_credential(const std::string& path) {
  auto text = read_file(path, kMaxKeyFile);
  if (!text) return text.error().within("master key");
  return decode_key(WipedString(std::move(*text)), path);
}

}  // namespace

Result<Key> read_master_key(const KeySource& source, const std::string& default_file, const std::string& database,
                            bool may_make) {
  if (source.kind == KeySource::Kind::kFile) return key_of_file(source.path, database, may_make);
  const bool named = source.kind == KeySource::Kind::kCredential;
  const std::string name = named ? source.path : kDefaultCredential;
  const std::string credential = credential_path(name);
  if (!credential.empty()) return key_of_credential(credential);
  if (named) {
    return not_found("the master key's credential \"" + name +
                     "\" was not passed: add LoadCredential= or LoadCredentialEncrypted= to the unit");
  }
  return key_of_file(default_file, database, may_make);
}

}  // namespace credsync::store
