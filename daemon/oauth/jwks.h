// The public keys of an issuer (RFC 7517), as its jwks_uri gives them. Immutable once parsed; safe to share between
// threads. Every input is hostile: keys that are not fit for checking signatures are left out, not an error.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace credsync::oauth {

struct Algorithm;

constexpr std::size_t kMaxKeys = 64;  // of one issuer; checked one after the other where a token names none

class KeySet {
 public:
  // Error: not a JSON object with `keys`, or none of them is fit: no RSA key of 2048 to 16384 bits, EC key on P-256,
  // P-384 or P-521, or Ed25519 or Ed448 key that is for signatures.
  static Result<KeySet> parse(std::string_view text);
  KeySet(KeySet&&) noexcept;
  KeySet& operator=(KeySet&&) noexcept;
  ~KeySet();

  enum class Check { kGood, kBad, kNoKey };
  // `key_id` of the token; empty: any key that fits the algorithm will do. kNoKey: no key of that id fits.
  Check verify(const Algorithm& algorithm, std::string_view key_id, std::string_view input,
               std::string_view signature) const;

 private:
  struct Key;
  KeySet();
  std::vector<Key> keys_;
};

}  // namespace credsync::oauth
