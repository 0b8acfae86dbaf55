// Secret sources and other files that the configuration names: reading the key, and finding out at load
// whether what it names can be used. What was looked at once is not looked at again during a load: ten
// thousand accounts may share one client secret.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "daemon/config/table_reader.h"

namespace credsync::config {

// A relative path is relative to the folder of the file that names it.
std::string absolute_path(const std::string& path, const Spot& named_at);

// `{ file = … }`, `{ credential = … }` or `{ command = [ … ] }`. True if it was there and well formed.
bool read_source(TableReader& table, std::string_view key, SecretSource& out);

struct Finding {
  std::string words;
  bool fatal = true;
};

class FileChecks {
 public:
  // What hinders the secret from being read; nothing if it can be.
  std::optional<Finding> secret(const SecretSource& source);
  // The same, and it must be a private key in PEM.
  std::optional<Finding> private_key(const SecretSource& source);
  // A PEM file with at least one certificate.
  std::optional<Finding> certificates(const std::string& path);

 private:
  using Findings = std::map<std::string, std::optional<Finding>>;
  Findings secrets_, keys_, certificates_;
};

}  // namespace credsync::config
