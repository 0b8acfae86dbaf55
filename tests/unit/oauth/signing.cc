#include "tests/unit/oauth/signing.h"

#include <gtest/gtest.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <vector>

#include "base/encoding.h"

namespace credsync::oauth::testing {
namespace {

using Kind = SigningKey::Kind;
using NumberPtr = std::unique_ptr<BIGNUM, Freer<BN_free>>;
using EcSignaturePtr = std::unique_ptr<ECDSA_SIG, Freer<ECDSA_SIG_free>>;
using BioPtr = std::unique_ptr<BIO, Freer<BIO_free_all>>;

EVP_PKEY* generate(Kind kind) {
  switch (kind) {
    case Kind::kRsa: return EVP_RSA_gen(2048);
    case Kind::kP256: return EVP_EC_gen("P-256");
    case Kind::kP384: return EVP_EC_gen("P-384");
    case Kind::kP521: return EVP_EC_gen("P-521");
    case Kind::kEd25519: return EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  }
  return nullptr;
}

std::size_t curve_bytes(Kind kind) {
  return kind == Kind::kP256 ? 32 : kind == Kind::kP384 ? 48 : 66;
}

std::string to_raw(const std::vector<unsigned char>& der, std::size_t size) {
  const unsigned char* at = der.data();
  const EcSignaturePtr parts(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  std::string raw(2 * size, '\0');
  auto* out = reinterpret_cast<unsigned char*>(raw.data());
  EXPECT_GT(BN_bn2binpad(ECDSA_SIG_get0_r(parts.get()), out, static_cast<int>(size)), 0);
  EXPECT_GT(BN_bn2binpad(ECDSA_SIG_get0_s(parts.get()), out + size, static_cast<int>(size)), 0);
  return raw;
}

}  // namespace

SigningKey::SigningKey(Kind kind, std::string id) : kind_(kind), id_(std::move(id)), key_(generate(kind)) {
  EXPECT_NE(key_, nullptr);
}

std::string SigningKey::number(const char* name, std::size_t size) const {
  BIGNUM* raw = nullptr;
  EXPECT_EQ(EVP_PKEY_get_bn_param(key_.get(), name, &raw), 1) << name;
  const NumberPtr number(raw);
  std::string bytes(size == 0 ? static_cast<std::size_t>(BN_num_bytes(raw)) : size, '\0');
  EXPECT_GT(BN_bn2binpad(raw, reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size())), 0);
  return encode_base64url(bytes);
}

std::string SigningKey::jwk(std::string_view more) const {
  std::string out = "{\"kid\":\"" + id_ + "\"" + std::string(more);
  if (kind_ == Kind::kRsa) {
    return out + R"(,"kty":"RSA","n":")" + number(OSSL_PKEY_PARAM_RSA_N) + R"(","e":")" +
           number(OSSL_PKEY_PARAM_RSA_E) + "\"}";
  }
  if (kind_ == Kind::kEd25519) {
    std::string bytes(32, '\0');
    std::size_t size = bytes.size();
    EXPECT_EQ(EVP_PKEY_get_raw_public_key(key_.get(), reinterpret_cast<unsigned char*>(bytes.data()), &size), 1);
    return out + R"(,"kty":"OKP","crv":"Ed25519","x":")" + encode_base64url(bytes) + "\"}";
  }
  const std::size_t size = curve_bytes(kind_);
  const char* name = kind_ == Kind::kP256 ? "P-256" : kind_ == Kind::kP384 ? "P-384" : "P-521";
  return out + R"(,"kty":"EC","crv":")" + name + R"(","x":")" + number(OSSL_PKEY_PARAM_EC_PUB_X, size) + R"(","y":")" +
         number(OSSL_PKEY_PARAM_EC_PUB_Y, size) + "\"}";
}

std::string SigningKey::signature(std::string_view name, std::string_view input) const {
  const Algorithm* algorithm = find_algorithm(name);
  const DigestPtr context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* options = nullptr;
  const EVP_MD* digest = kind_ == Kind::kEd25519 ? nullptr : algorithm->digest();
  EXPECT_EQ(EVP_DigestSignInit(context.get(), &options, digest, nullptr, key_.get()), 1);
  if (algorithm->family == Algorithm::Family::kPss) {
    EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING);
    EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST);
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(input.data());
  std::size_t size = 0;
  EXPECT_EQ(EVP_DigestSign(context.get(), nullptr, &size, bytes, input.size()), 1);
  std::vector<unsigned char> out(size);
  EXPECT_EQ(EVP_DigestSign(context.get(), out.data(), &size, bytes, input.size()), 1);
  out.resize(size);
  const bool curve = kind_ == Kind::kP256 || kind_ == Kind::kP384 || kind_ == Kind::kP521;
  return curve ? to_raw(out, curve_bytes(kind_)) : std::string(out.begin(), out.end());
}

std::string SigningKey::sign(std::string_view algorithm, std::string_view payload) const {
  std::string header = R"({"alg":")" + std::string(algorithm) + "\"";
  if (!id_.empty()) header += R"(,"kid":")" + id_ + "\"";
  const std::string input = unsigned_part(header + "}", payload);
  return input + "." + encode_base64url(signature(algorithm, input));
}

std::string SigningKey::public_pem() const {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  EXPECT_EQ(PEM_write_bio_PUBKEY(bio.get(), key_.get()), 1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

std::string key_set(std::string_view keys) {
  return "{\"keys\":[" + std::string(keys) + "]}";
}

std::string unsigned_part(std::string_view header, std::string_view payload) {
  return encode_base64url(header) + "." + encode_base64url(payload);
}

std::string hs256(std::string_view payload, std::string_view secret) {
  const std::string input = unsigned_part(R"({"alg":"HS256"})", payload);
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(input.data()), input.size(), mac, &size);
  return input + "." + encode_base64url({reinterpret_cast<const char*>(mac), size});
}

}  // namespace credsync::oauth::testing
