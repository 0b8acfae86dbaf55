// Encryption at rest: XChaCha20-Poly1305 (IETF) with a random nonce a message. What a sealed value belongs to is
// authenticated with it, so that a value copied to another column, account or generation does not open.
// Keys live in guarded, locked, read-only pages. Thread-safe: nothing changes after construction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "daemon/account/tokens.h"

namespace credsync::store {

constexpr std::size_t kKeyBytes = 32;

// 32 bytes between guard pages (libsodium's sodium_malloc), wiped when freed.
class Key {
 public:
  static Key random();
  // `bytes` must be kKeyBytes long.
  static Key from(std::string_view bytes);

  const unsigned char* bytes() const { return memory_.get(); }
  std::string_view expose() const { return {reinterpret_cast<const char*>(memory_.get()), kKeyBytes}; }
  // Names the key in messages and beside what it wraps: 16 hex digits of a hash, which say nothing about its bytes.
  std::string id() const;

 private:
  struct Free {
    void operator()(unsigned char* memory) const;
  };
  using Memory = std::unique_ptr<unsigned char, Free>;
  explicit Key(Memory memory) : memory_(std::move(memory)) {}
  static Memory allocate();
  Memory memory_;
};

// What a sealed value belongs to.
struct Place {
  std::string_view column;  // "accounts.tokens"
  std::string_view account;
  account::Generation generation = 0;
  std::int64_t row = 0;  // the id, where an account has several rows
};

class Sealer {
 public:
  explicit Sealer(Key key) : key_(std::move(key)) {}

  std::string seal(std::string_view plain, const Place& place) const;
  // kCorrupt: damaged, sealed with another key, or moved here from another place.
  Result<WipedString> open(std::string_view sealed, const Place& place) const;

 private:
  Key key_;
};

// How much longer a sealed value is than what it holds: a format byte, the nonce, the tag.
constexpr std::size_t kSealOverhead = 1 + 24 + 16;

// libsodium's start; once before any of the above. CHECKs, for without it nothing may be stored.
void start_sealing();

}  // namespace credsync::store
