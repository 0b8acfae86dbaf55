// The master key: 32 random bytes, kept as base64 text in a systemd credential or in a file of mode 0600. It never seals
// tokens itself: it wraps the data key (data_key.h), so that it can be changed without touching every row.
// Blocking; at start and for a change of keys only.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "daemon/store/key.h"

namespace credsync::store {

// Where the master key is.
struct KeySource {
  enum class Kind {
    kDefault,     // the credential "credsyncd.key" when systemd passed one, else the file beside the database
    kFile,        // `path`
    kCredential,  // the credential named `path`
  };
  Kind kind = Kind::kDefault;
  std::string path;
};

struct MasterKey {
  Key key;
  std::string file;  // where it was read; empty: a credential, whose place only its admin knows
};

// Where the key is, or would be made: a file's path; empty: in a credential. kNotFound: that credential was not passed.
Result<std::string> key_file_of(const KeySource& source, const std::string& default_file);

// Reads the key. With `may_make` a missing key file is made (a credential never is). Refused: a file of another owner or
// readable by others (kDenied), a text that is no key (kInvalid), none at all (kNotFound). `database` is for the words.
Result<MasterKey> read_master_key(const KeySource& source, const std::string& default_file, const std::string& database,
                                  bool may_make);

constexpr std::size_t kMaxKeyFile = 4096;  // 45 bytes are needed; more is certainly something else

// A key as text: 32 bytes in base64. `from` is for the words.
Result<Key> decode_key(WipedString text, const std::string& from);

// Changing a key file: the new key is made whole beside it, under fresh_key_file()'s name, and later takes its place,
// at once and durably. The bytes of the one it replaces are overwritten, as far as the file system writes in place.
std::string fresh_key_file(const std::string& path);
Result<void> write_fresh_key(const std::string& path, const Key& key);
Result<void> use_fresh_key(const std::string& path);

}  // namespace credsync::store
