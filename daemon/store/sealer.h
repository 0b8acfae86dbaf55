// Encryption at rest: XChaCha20-Poly1305 (IETF) with a random nonce a message. What a sealed value belongs to is
// authenticated with it, so that a value copied to another column, account or generation does not open.
// Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "daemon/account/tokens.h"
#include "daemon/store/key.h"

namespace credsync::store {

// What a sealed value belongs to.
struct Place {
  std::string_view column;  // "accounts.tokens"
  std::string_view account;
  account::Generation generation = 0;
  std::int64_t row = 0;  // the id, where an account has several rows
};

std::string seal(const Key& key, std::string_view plain, const Place& place);
// kCorrupt: damaged, sealed with another key, or moved here from another place.
Result<WipedString> open(const Key& key, std::string_view sealed, const Place& place);

// Both with one key, which it keeps.
class Sealer {
 public:
  explicit Sealer(Key key) : key_(std::move(key)) {}

  std::string seal(std::string_view plain, const Place& place) const { return store::seal(key_, plain, place); }
  Result<WipedString> open(std::string_view sealed, const Place& place) const {
    return store::open(key_, sealed, place);
  }
  // While it lives, seals are opened without a system call each.
  Key::Reading hold_open() const { return key_.read(); }

 private:
  Key key_;
};

// A Place's `row` for what belongs to a text besides its account: 63 bits of its hash.
std::int64_t row_of(std::string_view text);

// How much longer a sealed value is than what it holds: a format byte, the nonce, the tag.
constexpr std::size_t kSealOverhead = 1 + 24 + 16;

}  // namespace credsync::store
