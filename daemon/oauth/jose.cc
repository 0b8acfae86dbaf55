#include "daemon/oauth/jose.h"

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include <vector>

namespace credsync::oauth {
namespace {

using Family = Algorithm::Family;
using EcSignaturePtr = std::unique_ptr<ECDSA_SIG, Freer<ECDSA_SIG_free>>;

constexpr Algorithm kAlgorithms[] = {
    {"HS256", Family::kHmac, EVP_sha256, 0},    {"HS384", Family::kHmac, EVP_sha384, 0},
    {"HS512", Family::kHmac, EVP_sha512, 0},    {"RS256", Family::kPkcs1, EVP_sha256, 0},
    {"RS384", Family::kPkcs1, EVP_sha384, 0},   {"RS512", Family::kPkcs1, EVP_sha512, 0},
    {"PS256", Family::kPss, EVP_sha256, 0},     {"PS384", Family::kPss, EVP_sha384, 0},
    {"PS512", Family::kPss, EVP_sha512, 0},     {"ES256", Family::kEcdsa, EVP_sha256, 256},
    {"ES384", Family::kEcdsa, EVP_sha384, 384}, {"ES512", Family::kEcdsa, EVP_sha512, 521},
    {"EdDSA", Family::kEdwards, EVP_sha512, 0},
};

bool fits(const Algorithm& algorithm, int type, int bits) {
  switch (algorithm.family) {
    case Family::kHmac: return false;  // never with a public key: anybody could sign
    case Family::kPkcs1:
    case Family::kPss: return type == EVP_PKEY_RSA && bits >= kLeastRsaBits;
    case Family::kEcdsa: return type == EVP_PKEY_EC && bits == algorithm.curve_bits;
    case Family::kEdwards: return type == EVP_PKEY_ED25519 || type == EVP_PKEY_ED448;
  }
  return false;
}

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// JWS has r and s side by side, each as long as the curve (RFC 7518, 3.4); OpenSSL wants DER. Empty if it is not that.
std::vector<unsigned char> der_ecdsa(std::string_view raw, int curve_bits) {
  const std::size_t size = (static_cast<std::size_t>(curve_bits) + 7) / 8;
  if (raw.size() != 2 * size) return {};
  const EcSignaturePtr parts(ECDSA_SIG_new());
  BIGNUM* r = BN_bin2bn(bytes_of(raw), static_cast<int>(size), nullptr);
  BIGNUM* s = BN_bin2bn(bytes_of(raw) + size, static_cast<int>(size), nullptr);
  if (!parts || r == nullptr || s == nullptr || ECDSA_SIG_set0(parts.get(), r, s) != 1) {
    BN_free(r);
    BN_free(s);
    return {};
  }
  std::vector<unsigned char> der(static_cast<std::size_t>(i2d_ECDSA_SIG(parts.get(), nullptr)));
  unsigned char* out = der.data();
  i2d_ECDSA_SIG(parts.get(), &out);
  return der;
}

}  // namespace

const Algorithm* find_algorithm(std::string_view name) {
  for (const Algorithm& algorithm : kAlgorithms) {
    if (algorithm.name == name) return &algorithm;
  }
  return nullptr;
}

const Algorithm* algorithm_for_key(EVP_PKEY* key, std::string_view wanted) {
  const int type = EVP_PKEY_get_base_id(key);
  const int bits = EVP_PKEY_get_bits(key);
  for (const Algorithm& algorithm : kAlgorithms) {
    if (fits(algorithm, type, bits) && (wanted.empty() || wanted == algorithm.name)) return &algorithm;
  }
  return nullptr;
}

bool verify_signature(const Algorithm& algorithm, EVP_PKEY* key, std::string_view input, std::string_view signature) {
  if (!fits(algorithm, EVP_PKEY_get_base_id(key), EVP_PKEY_get_bits(key))) return false;
  std::vector<unsigned char> der;
  if (algorithm.family == Family::kEcdsa) {
    der = der_ecdsa(signature, algorithm.curve_bits);
    signature = {reinterpret_cast<const char*>(der.data()), der.size()};
  }
  const DigestPtr context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* options = nullptr;
  const EVP_MD* digest = algorithm.family == Family::kEdwards ? nullptr : algorithm.digest();
  bool good = context && !signature.empty() && EVP_DigestVerifyInit(context.get(), &options, digest, nullptr, key) == 1;
  if (good && algorithm.family == Family::kPss) {
    good = EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) == 1;
  }
  good = good &&
         EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(input), input.size()) == 1;
  ERR_clear_error();  // what it left there must not be taken for another's
  return good;
}

bool verify_mac(const Algorithm& algorithm, std::string_view secret, std::string_view input, std::string_view mac) {
  unsigned char expected[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (secret.empty() || algorithm.family != Family::kHmac ||
      HMAC(algorithm.digest(), secret.data(), static_cast<int>(secret.size()), bytes_of(input), input.size(), expected,
           &size) == nullptr) {
    ERR_clear_error();
    return false;
  }
  return mac.size() == size && CRYPTO_memcmp(mac.data(), expected, size) == 0;
}

}  // namespace credsync::oauth
