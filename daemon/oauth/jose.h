// The signature algorithms of JWS (RFC 7518, 3.1; RFC 8037) and OpenSSL's objects with owners: what signing a client
// assertion and checking an ID token share. The only header here that names OpenSSL. Thread-safe.
#pragma once

#include <openssl/evp.h>

#include <memory>
#include <string_view>

namespace credsync::oauth {

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* p) const {
    Free(p);
  }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using DigestPtr = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>>;

constexpr int kLeastRsaBits = 2048;  // RFC 7518, 3.3

struct Algorithm {
  enum class Family { kHmac, kPkcs1, kPss, kEcdsa, kEdwards };
  std::string_view name;
  Family family;
  const EVP_MD* (*digest)();  // kEdwards: what at_hash is made with
  int curve_bits;             // kEcdsa: each algorithm has its one curve
};

// Null for every other name, "none" among them.
const Algorithm* find_algorithm(std::string_view name);
// The first that a private or public key of this type and size can be used with, `wanted` where it is given; else null.
const Algorithm* algorithm_for_key(EVP_PKEY* key, std::string_view wanted);

// Does `signature` sign `input`? The key must fit the algorithm. No HMAC here.
bool verify_signature(const Algorithm& algorithm, EVP_PKEY* key, std::string_view input, std::string_view signature);
// The same for HMAC with a shared secret; compared in constant time.
bool verify_mac(const Algorithm& algorithm, std::string_view secret, std::string_view input, std::string_view mac);

}  // namespace credsync::oauth
