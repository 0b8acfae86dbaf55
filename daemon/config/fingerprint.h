// Hashes that tell whether two configurations mean the same. BLAKE2b-256 of length-prefixed fields.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "daemon/config/config.h"

namespace credsync::config {

// A hash over a list of texts: {"a", "bc"} and {"ab", "c"} differ.
class FieldHash {
 public:
  explicit FieldHash(std::string_view purpose);
  ~FieldHash();
  FieldHash(const FieldHash&) = delete;
  FieldHash& operator=(const FieldHash&) = delete;
  FieldHash& add(std::string_view field);
  std::string hex();
  Fingerprint fingerprint();  // the first half

 private:
  std::array<unsigned char, 32> finish();
  struct State;
  std::unique_ptr<State> state_;
};

// Fingerprints of accounts; a profile's own is computed once, many accounts share it.
class Fingerprints {
 public:
  Fingerprint of(const Account& account);

 private:
  const std::string& of(const std::shared_ptr<const provider::Profile>& profile);
  std::map<const provider::Profile*, std::string> profiles_;
};

}  // namespace credsync::config
