// The master key: 32 random bytes, kept as base64 text in a systemd credential or in a file of mode 0600. It never seals
// tokens itself: it wraps the data key (data_key.h), so that it can be changed without touching every row.
// Blocking; at start only.
#pragma once

#include <string>

#include "base/result.h"
#include "daemon/store/sealer.h"

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

// Reads the key. With `may_make` a missing key file is made (a credential never is). Refused: a file of another owner or
// readable by others (kDenied), a text that is no key (kInvalid), none at all (kNotFound). `database` is for the words.
Result<Key> read_master_key(const KeySource& source, const std::string& default_file, const std::string& database,
                            bool may_make);

}  // namespace credsync::store
