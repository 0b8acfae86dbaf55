#include "daemon/oauth/jwks.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include <algorithm>

#include "base/encoding.h"
#include "daemon/oauth/jose.h"
#include "daemon/oauth/json_value.h"

namespace credsync::oauth {
namespace {

constexpr std::size_t kMostModulusBytes = 2048;  // 16384 bits, where OpenSSL stops
constexpr std::size_t kMostExponentBytes = 8;    // 65537 has three
constexpr std::size_t kMaxKeyIdBytes = 256;

using BuilderPtr = std::unique_ptr<OSSL_PARAM_BLD, Freer<OSSL_PARAM_BLD_free>>;
using ParamsPtr = std::unique_ptr<OSSL_PARAM, Freer<OSSL_PARAM_free>>;
using ContextPtr = std::unique_ptr<EVP_PKEY_CTX, Freer<EVP_PKEY_CTX_free>>;
using NumberPtr = std::unique_ptr<BIGNUM, Freer<BN_free>>;

const unsigned char* bytes_of(const std::string& text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string decoded(const JsonValue& jwk, std::string_view name) {
  return decode_base64url(text_of(jwk, name)).value_or(std::string());
}

KeyPtr from_params(const char* type, OSSL_PARAM_BLD* builder) {
  const ParamsPtr params(OSSL_PARAM_BLD_to_param(builder));
  const ContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    return nullptr;
  }
  return KeyPtr(key);
}

KeyPtr rsa_key(const JsonValue& jwk) {  // RFC 7518, 6.3.1
  const std::string n = decoded(jwk, "n");
  const std::string e = decoded(jwk, "e");
  if (n.empty() || n.size() > kMostModulusBytes || e.empty() || e.size() > kMostExponentBytes) return nullptr;
  const NumberPtr modulus(BN_bin2bn(bytes_of(n), static_cast<int>(n.size()), nullptr));
  const NumberPtr exponent(BN_bin2bn(bytes_of(e), static_cast<int>(e.size()), nullptr));
  const BuilderPtr builder(OSSL_PARAM_BLD_new());
  if (!modulus || !exponent || !builder) return nullptr;
  // With an exponent of 1 everything signs itself; even ones are none.
  if (BN_is_one(exponent.get()) || !BN_is_odd(exponent.get()) || !BN_is_odd(modulus.get())) return nullptr;
  if (OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1) {
    return nullptr;
  }
  return from_params("RSA", builder.get());
}

struct Curve {
  std::string_view name;
  const char* group;
  std::size_t bytes;
};
constexpr Curve kCurves[] = {{"P-256", "P-256", 32}, {"P-384", "P-384", 48}, {"P-521", "P-521", 66}};

KeyPtr ec_key(const JsonValue& jwk) {  // RFC 7518, 6.2.1
  const auto curve = std::find_if(std::begin(kCurves), std::end(kCurves),
                                  [&](const Curve& one) { return one.name == text_of(jwk, "crv"); });
  if (curve == std::end(kCurves)) return nullptr;
  const std::string x = decoded(jwk, "x");
  const std::string y = decoded(jwk, "y");
  if (x.size() != curve->bytes || y.size() != curve->bytes) return nullptr;
  const std::string point = "\x04" + x + y;
  const BuilderPtr builder(OSSL_PARAM_BLD_new());
  if (!builder || OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve->group, 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1) {
    return nullptr;
  }
  return from_params("EC", builder.get());  // refuses a point that is not on the curve
}

KeyPtr okp_key(const JsonValue& jwk) {  // RFC 8037, 2
  const std::string_view curve = text_of(jwk, "crv");
  const int type = curve == "Ed25519" ? EVP_PKEY_ED25519 : curve == "Ed448" ? EVP_PKEY_ED448 : EVP_PKEY_NONE;
  const std::string x = decoded(jwk, "x");
  if (type == EVP_PKEY_NONE || x.empty()) return nullptr;
  return KeyPtr(EVP_PKEY_new_raw_public_key(type, nullptr, bytes_of(x), x.size()));
}

// RFC 7517, 4.2 and 4.3: what is for something else is not for signatures.
bool is_for_signatures(const JsonValue& jwk) {
  const JsonValue* use = jwk.member("use");
  if (use != nullptr && use->text() != "sig") return false;
  const JsonValue* operations = jwk.member("key_ops");
  if (operations == nullptr) return true;
  return std::any_of(operations->items().begin(), operations->items().end(),
                     [](const JsonValue& one) { return one.text() == "verify"; });
}

KeyPtr read_key(const JsonValue& jwk) {
  const std::string_view type = text_of(jwk, "kty");
  if (type == "RSA") return rsa_key(jwk);
  if (type == "EC") return ec_key(jwk);
  if (type == "OKP") return okp_key(jwk);
  return nullptr;  // "oct" among them: a shared key does not come from a public address
}

}  // namespace

struct KeySet::Key {
  std::string id;         // empty: it has none
  std::string algorithm;  // empty: any that fits
  KeyPtr key;
};

KeySet::KeySet() = default;
KeySet::KeySet(KeySet&&) noexcept = default;
KeySet& KeySet::operator=(KeySet&&) noexcept = default;
KeySet::~KeySet() = default;

Result<KeySet> KeySet::parse(std::string_view text) {
  const auto document = JsonValue::parse(text);
  const JsonValue* list = document ? document->member("keys") : nullptr;
  if (list == nullptr || list->kind() != JsonValue::Kind::kArray) return invalid("not a JSON Web Key Set");
  KeySet set;
  for (const JsonValue& jwk : list->items()) {
    if (set.keys_.size() == kMaxKeys) break;
    if (!jwk.is_object() || !is_for_signatures(jwk) || text_of(jwk, "kid").size() > kMaxKeyIdBytes) continue;
    KeyPtr key = read_key(jwk);
    if (!key || algorithm_for_key(key.get(), text_of(jwk, "alg")) == nullptr) continue;
    set.keys_.push_back({std::string(text_of(jwk, "kid")), std::string(text_of(jwk, "alg")), std::move(key)});
  }
  ERR_clear_error();
  if (set.keys_.empty()) return invalid("no key in it is fit for checking signatures");
  return set;
}

KeySet::Check KeySet::verify(const Algorithm& algorithm, std::string_view key_id, std::string_view input,
                             std::string_view signature) const {
  Check found = Check::kNoKey;
  for (const Key& key : keys_) {
    const bool fits = (key_id.empty() || key.id == key_id) &&
                      (key.algorithm.empty() || key.algorithm == algorithm.name) &&
                      algorithm_for_key(key.key.get(), algorithm.name) != nullptr;
    if (!fits) continue;
    if (verify_signature(algorithm, key.key.get(), input, signature)) return Check::kGood;
    found = Check::kBad;
  }
  return found;
}

}  // namespace credsync::oauth
