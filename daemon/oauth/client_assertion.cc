#include "daemon/oauth/client_assertion.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <memory>
#include <string>
#include <vector>

#include "base/encoding.h"
#include "base/text.h"
#include "daemon/oauth/jose.h"

namespace credsync::oauth {
namespace {

constexpr std::size_t kNonceBytes = 16;  // of `jti`

using Family = Algorithm::Family;
using BioPtr = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using EcSignaturePtr = std::unique_ptr<ECDSA_SIG, Freer<ECDSA_SIG_free>>;

// An encrypted key would otherwise make OpenSSL ask on the terminal.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

Result<KeyPtr> read_key(const Secret& pem) {
  ERR_clear_error();
  const BioPtr bio(BIO_new_mem_buf(pem.expose().data(), static_cast<int>(pem.size())));
  KeyPtr key(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr) : nullptr);
  ERR_clear_error();
  if (!key) return invalid("client_key is not an unencrypted private key in PEM");
  return key;
}

Result<const Algorithm*> algorithm_for(EVP_PKEY* key, std::string_view wanted) {
  const bool rsa = EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;
  const bool ec = EVP_PKEY_get_base_id(key) == EVP_PKEY_EC;
  if (!rsa && !ec) return invalid("client_key is neither an RSA nor an EC key");
  if (rsa && EVP_PKEY_get_bits(key) < kLeastRsaBits) {
    return invalid("client_key is an RSA key of less than 2048 bits");
  }
  if (const Algorithm* algorithm = algorithm_for_key(key, wanted)) return algorithm;
  return invalid("client_key cannot sign with the algorithm " + (wanted.empty() ? "any" : clean_foreign_text(wanted)));
}

std::string segment(std::string text) {
  std::string encoded = encode_base64url(text);
  wipe(text);
  return encoded;
}

// header.payload, what is signed (RFC 7515, 5.1).
std::string signing_input(const AssertionClaims& claims, std::string_view algorithm, Random& random) {
  std::string header = "{\"alg\":" + json_string(algorithm) + ",\"typ\":\"JWT\"";
  if (!claims.key_id.empty()) header += ",\"kid\":" + json_string(claims.key_id);
  header += "}";
  const std::int64_t now = unix_seconds(claims.now);
  std::string payload = "{\"iss\":" + json_string(claims.client_id) + ",\"sub\":" + json_string(claims.client_id) +
                        ",\"aud\":" + json_string(claims.audience) + ",\"iat\":" + std::to_string(now) +
                        ",\"exp\":" + std::to_string(now + to_seconds(kAssertionLife)) +
                        ",\"jti\":" + json_string(random.base64url(kNonceBytes)) + "}";
  return segment(std::move(header)) + "." + segment(std::move(payload));
}

// OpenSSL gives DER; JWS wants r and s side by side, each as long as the curve (RFC 7518, 3.4).
std::string raw_ecdsa(const std::vector<unsigned char>& der, int curve_bits) {
  const unsigned char* start = der.data();
  const EcSignaturePtr parts(d2i_ECDSA_SIG(nullptr, &start, static_cast<long>(der.size())));
  const int size = (curve_bits + 7) / 8;
  std::vector<unsigned char> raw(static_cast<std::size_t>(size) * 2);
  if (!parts || BN_bn2binpad(ECDSA_SIG_get0_r(parts.get()), raw.data(), size) != size ||
      BN_bn2binpad(ECDSA_SIG_get0_s(parts.get()), raw.data() + size, size) != size) {
    return {};
  }
  return std::string(raw.begin(), raw.end());
}

// Empty when OpenSSL refuses.
std::string sign(EVP_PKEY* key, const Algorithm& algorithm, std::string_view input) {
  const DigestPtr context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* options = nullptr;
  if (!context || EVP_DigestSignInit(context.get(), &options, algorithm.digest(), nullptr, key) != 1) return {};
  if (algorithm.family == Family::kPss && (EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) != 1 ||
                                           EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) != 1)) {
    return {};
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(input.data());
  std::size_t size = 0;
  if (EVP_DigestSign(context.get(), nullptr, &size, bytes, input.size()) != 1) return {};
  std::vector<unsigned char> signature(size);
  if (EVP_DigestSign(context.get(), signature.data(), &size, bytes, input.size()) != 1) return {};
  signature.resize(size);
  if (algorithm.family == Family::kEcdsa) return raw_ecdsa(signature, algorithm.curve_bits);
  return std::string(signature.begin(), signature.end());
}

Secret compact(std::string input, std::string_view signature) {
  const std::string encoded = encode_base64url(signature);
  input.reserve(input.size() + 1 + encoded.size());
  return Secret::take(std::move(input.append(".").append(encoded)));
}

}  // namespace

Result<Secret> sign_with_key(const AssertionClaims& claims, std::string_view wanted, const Secret& pem,
                             Random& random) {
  auto key = read_key(pem);
  if (!key) return key.error();
  auto algorithm = algorithm_for(key->get(), wanted);
  if (!algorithm) return algorithm.error();
  std::string input = signing_input(claims, (*algorithm)->name, random);
  const std::string signature = sign(key->get(), **algorithm, input);
  ERR_clear_error();
  if (signature.empty()) return invalid("client_key cannot sign with " + std::string((*algorithm)->name));
  return compact(std::move(input), signature);
}

Result<Secret> sign_with_secret(const AssertionClaims& claims, std::string_view wanted, const Secret& secret,
                                Random& random) {
  const Algorithm* algorithm = find_algorithm(wanted.empty() ? "HS256" : wanted);
  if (algorithm == nullptr || algorithm->family != Family::kHmac) {
    return invalid("client_secret_jwt signs with HS256, HS384 or HS512, not " + clean_foreign_text(wanted));
  }
  if (secret.empty()) return invalid("client_secret_jwt needs client_secret");
  std::string input = signing_input(claims, algorithm->name, random);
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  const unsigned char* made = HMAC(algorithm->digest(), secret.expose().data(), static_cast<int>(secret.size()),
                                   reinterpret_cast<const unsigned char*>(input.data()), input.size(), mac, &size);
  if (made == nullptr) return invalid("the client assertion could not be signed");
  return compact(std::move(input), {reinterpret_cast<const char*>(mac), size});
}

}  // namespace credsync::oauth
