#include "daemon/oauth/client_assertion.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <memory>
#include <set>

#include "base/encoding.h"
#include "daemon/oauth/json_value.h"
#include "tests/unit/oauth/oauth_testing.h"

namespace credsync::oauth {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

std::string bytes(std::string_view base64url) {
  return decode_base64url(base64url).value_or("");
}
const unsigned char* raw(const std::string& text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
Key rsa_key(unsigned bits) {
  return {EVP_RSA_gen(bits), EVP_PKEY_free};
}
Key ec_key(const char* curve) {
  return {EVP_EC_gen(curve), EVP_PKEY_free};
}

Secret pem_of(const Key& key, const EVP_CIPHER* cipher = nullptr) {
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> out(BIO_new(BIO_s_mem()), BIO_free_all);
  PEM_write_bio_PrivateKey(out.get(), key.get(), cipher, nullptr, 0, nullptr, const_cast<char*>("words"));
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return Secret(std::string_view(data, static_cast<std::size_t>(size)));
}

// Builds a key from OpenSSL parameters: numbers by name.
Key key_from(const char* type, std::initializer_list<std::pair<const char*, std::string>> numbers, const char* curve,
             const std::string& point) {
  std::unique_ptr<OSSL_PARAM_BLD, decltype(&OSSL_PARAM_BLD_free)> build(OSSL_PARAM_BLD_new(), OSSL_PARAM_BLD_free);
  std::vector<std::unique_ptr<BIGNUM, decltype(&BN_free)>> owned;
  for (const auto& [name, value] : numbers) {
    owned.emplace_back(BN_bin2bn(raw(value), static_cast<int>(value.size()), nullptr), BN_free);
    OSSL_PARAM_BLD_push_BN(build.get(), name, owned.back().get());
  }
  if (curve != nullptr) {
    OSSL_PARAM_BLD_push_utf8_string(build.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve, 0);
    OSSL_PARAM_BLD_push_octet_string(build.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size());
  }
  const std::unique_ptr<OSSL_PARAM, decltype(&OSSL_PARAM_free)> parameters(OSSL_PARAM_BLD_to_param(build.get()),
                                                                           OSSL_PARAM_free);
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(
      EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr), EVP_PKEY_CTX_free);
  EVP_PKEY* key = nullptr;
  EVP_PKEY_fromdata_init(context.get());
  EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_KEYPAIR, parameters.get());
  return {key, EVP_PKEY_free};
}

std::string der_signature(const std::string& sides) {
  const int half = static_cast<int>(sides.size() / 2);
  const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> parts(ECDSA_SIG_new(), ECDSA_SIG_free);
  ECDSA_SIG_set0(parts.get(), BN_bin2bn(raw(sides), half, nullptr), BN_bin2bn(raw(sides) + half, half, nullptr));
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(parts.get(), &der);
  std::string out(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return out;
}

// OpenSSL's verdict on a compact JWS. It is tried on the RFC's own signatures below.
bool verifies(const Key& key, std::string_view algorithm, std::string_view token) {
  const std::size_t dot = token.rfind('.');
  const std::string_view input = token.substr(0, dot);
  std::string signature = bytes(token.substr(dot + 1));
  if (algorithm.starts_with("ES")) signature = der_signature(signature);
  const EVP_MD* digest = algorithm.ends_with("256")   ? EVP_sha256()
                         : algorithm.ends_with("384") ? EVP_sha384()
                                                      : EVP_sha512();
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  EVP_PKEY_CTX* options = nullptr;
  if (EVP_DigestVerifyInit(context.get(), &options, digest, nullptr, key.get()) != 1) return false;
  if (algorithm.starts_with("PS")) {
    EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING);
    EVP_PKEY_CTX_set_rsa_pss_saltlen(options, EVP_MD_get_size(digest));
  }
  return EVP_DigestVerify(context.get(), raw(signature), signature.size(),
                          reinterpret_cast<const unsigned char*>(input.data()), input.size()) == 1;
}

// RFC 7515, appendix A: the payload of all its examples.
constexpr std::string_view kRfcPayload =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

Key rfc7515_ec_key() {
  const std::string x = bytes("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
  const std::string y = bytes("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
  return key_from("EC", {{OSSL_PKEY_PARAM_PRIV_KEY, bytes("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI")}}, "P-256",
                  "\x04" + x + y);
}

AssertionClaims claims() {
  return {"s6BhdRkqt3", "https://as.example/token", "key-1", testing::kSent};
}

JsonValue segment_of(const Secret& token, int index) {
  std::string_view rest = token.expose();
  for (int i = 0; i < index; ++i)
    rest.remove_prefix(rest.find('.') + 1);
  auto value = JsonValue::parse(bytes(rest.substr(0, rest.find('.'))));
  EXPECT_TRUE(value);
  return value ? std::move(*value) : JsonValue();
}

TEST(ClientAssertion, TheVerifierOfTheseTestsAgreesWithRfc7515) {
  const std::string es256 = "eyJhbGciOiJFUzI1NiJ9." + std::string(kRfcPayload) +
                            ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
  EXPECT_TRUE(verifies(rfc7515_ec_key(), "ES256", es256));
  std::string forged = es256;
  forged[30] = forged[30] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(verifies(rfc7515_ec_key(), "ES256", forged));
}

TEST(ClientAssertion, SignsEs256WithTheKeyOfRfc7515) {
  fakes::FakeRandom random;
  const auto token = sign_with_key(claims(), "", pem_of(rfc7515_ec_key()), random);
  ASSERT_TRUE(token) << token.error().message();
  EXPECT_EQ(segment_of(*token, 0).member("alg")->text(), "ES256");
  EXPECT_TRUE(verifies(rfc7515_ec_key(), "ES256", token->expose()));
}

TEST(ClientAssertion, EcdsaSignaturesHaveTheirFullLength) {
  // A leading zero byte of r or s comes about once in 128 signatures, and must stay.
  const Key key = rfc7515_ec_key();
  const Secret pem = pem_of(key);
  fakes::FakeRandom random;
  for (int i = 0; i < 600; ++i) {
    const auto token = sign_with_key(claims(), "ES256", pem, random);
    ASSERT_TRUE(token);
    ASSERT_EQ(bytes(token->expose().substr(token->expose().rfind('.') + 1)).size(), 64U);
  }
}

TEST(ClientAssertion, SignsWithEveryAlgorithmOfItsKey) {
  const Key rsa = rsa_key(2048);
  const Secret pem = pem_of(rsa);
  fakes::FakeRandom random;
  for (const char* algorithm : {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}) {
    const auto token = sign_with_key(claims(), algorithm, pem, random);
    ASSERT_TRUE(token) << algorithm;
    EXPECT_TRUE(verifies(rsa, algorithm, token->expose())) << algorithm;
    EXPECT_EQ(segment_of(*token, 0).member("alg")->text(), algorithm);
  }
  const std::pair<const char*, const char*> curves[] = {{"P-256", "ES256"}, {"P-384", "ES384"}, {"P-521", "ES512"}};
  for (const auto& [curve, algorithm] : curves) {
    const Key ec = ec_key(curve);
    const auto token = sign_with_key(claims(), "", pem_of(ec), random);
    ASSERT_TRUE(token) << curve;
    EXPECT_EQ(segment_of(*token, 0).member("alg")->text(), algorithm);
    EXPECT_TRUE(verifies(ec, algorithm, token->expose())) << curve;
  }
}

TEST(ClientAssertion, AnRsaKeyMeansRs256WhenNothingIsSaid) {
  fakes::FakeRandom random;
  const auto token = sign_with_key(claims(), "", pem_of(rsa_key(2048)), random);
  ASSERT_TRUE(token);
  EXPECT_EQ(segment_of(*token, 0).member("alg")->text(), "RS256");
}

TEST(ClientAssertion, CarriesTheClaimsOfRfc7523) {
  fakes::FakeRandom random;
  const auto token = sign_with_secret(claims(), "", Secret("gX1fBat3bV"), random);
  ASSERT_TRUE(token);
  const JsonValue header = segment_of(*token, 0);
  EXPECT_EQ(header.member("alg")->text(), "HS256");
  EXPECT_EQ(header.member("kid")->text(), "key-1");
  const JsonValue payload = segment_of(*token, 1);
  EXPECT_EQ(payload.member("iss")->text(), "s6BhdRkqt3");
  EXPECT_EQ(payload.member("sub")->text(), "s6BhdRkqt3");
  EXPECT_EQ(payload.member("aud")->text(), "https://as.example/token");
  EXPECT_EQ(payload.member("iat")->as_number(), 1'800'000'000);
  EXPECT_EQ(payload.member("exp")->as_number(), 1'800'000'060);
  EXPECT_GE(payload.member("jti")->text().size(), 20U);
}

TEST(ClientAssertion, EveryAssertionHasItsOwnJti) {
  fakes::FakeRandom random;
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const auto token = sign_with_secret(claims(), "", Secret("gX1fBat3bV"), random);
    ASSERT_TRUE(token);
    EXPECT_TRUE(seen.emplace(segment_of(*token, 1).member("jti")->text()).second);
  }
}

TEST(ClientAssertion, MacsAsRfc7515DoesInA1) {
  const std::string key =
      bytes("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow");
  const auto mac = [&](const std::string& input) {
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), raw(input), input.size(), out, &size);
    return encode_base64url({reinterpret_cast<char*>(out), size});
  };
  EXPECT_EQ(mac("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + std::string(kRfcPayload)),
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
  fakes::FakeRandom random;
  const auto token = sign_with_secret(claims(), "HS256", Secret(key), random);
  ASSERT_TRUE(token);
  const std::string text(token->expose());
  EXPECT_EQ(text.substr(text.rfind('.') + 1), mac(text.substr(0, text.rfind('.'))));
}

TEST(ClientAssertion, GoesWithARequestAndWithARevocation) {
  const Key key = rsa_key(2048);
  provider::Profile profile = testing::plain_profile();
  profile.client.auth = {provider::ClientAuth::kPrivateKeyJwt, provider::ClientAuth::kPost};
  profile.client.signing_algorithm = "PS256";
  const ClientCredentials client{"s6BhdRkqt3", Secret(), pem_of(key), "key-1"};
  const HttpRequest request = testing::request_for(profile, client, RefreshInput{Secret("r")});
  auto form = testing::form_of(request.body.text());
  EXPECT_TRUE(verifies(key, "PS256", form.at("client_assertion")));
  EXPECT_FALSE(form.contains("client_secret"));

  fakes::FakeRandom random;
  const auto order = make_revocation_order(profile, {}, client);
  ASSERT_TRUE(order);
  const auto stored = parse_revocation_order(serialise(*order));
  ASSERT_TRUE(stored);
  const auto revocation = build_revocation_request(*stored, TokenKind::kAccess, Secret("a"), testing::kSent, random);
  ASSERT_TRUE(revocation);
  form = testing::form_of(revocation->body.text());
  EXPECT_TRUE(verifies(key, "PS256", form.at("client_assertion")));
  EXPECT_EQ(segment_of(Secret(form.at("client_assertion")), 1).member("aud")->text(), "https://as.example/token");
}

TEST(ClientAssertion, RefusesKeysThatCannotSign) {
  fakes::FakeRandom random;
  const Key rsa = rsa_key(2048);
  const std::tuple<const char*, Secret, const char*> cases[] = {
      {"", Secret("-----BEGIN nonsense"), "not an unencrypted private key"},
      {"", Secret(), "not an unencrypted private key"},
      {"", pem_of(rsa, EVP_aes_128_cbc()), "not an unencrypted private key"},
      {"", pem_of(rsa_key(1024)), "less than 2048"},
      {"ES256", pem_of(rsa), "cannot sign"},
      {"RS256", pem_of(ec_key("P-256")), "cannot sign"},
      {"ES256", pem_of(ec_key("P-384")), "cannot sign"},
      {"HS256", pem_of(rsa), "cannot sign"},
      {"none", pem_of(rsa), "cannot sign"},
      {"", pem_of(Key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), EVP_PKEY_free)), "neither an RSA nor an EC"},
  };
  for (const auto& [algorithm, key, words] : cases) {
    const auto token = sign_with_key(claims(), algorithm, key, random);
    ASSERT_FALSE(token) << algorithm;
    EXPECT_NE(token.error().message().find(words), std::string::npos) << token.error().message();
  }
  EXPECT_FALSE(sign_with_secret(claims(), "RS256", Secret("secret"), random));
  EXPECT_FALSE(sign_with_secret(claims(), "none", Secret("secret"), random));
  EXPECT_FALSE(sign_with_secret(claims(), "", Secret(), random));
}

TEST(ClientAssertion, QuotesWhatJsonWouldTrip) {
  fakes::FakeRandom random;
  AssertionClaims odd = claims();
  odd.client_id = "a\"b\\c";
  const auto token = sign_with_secret(odd, "", Secret("secret"), random);
  ASSERT_TRUE(token);
  EXPECT_EQ(segment_of(*token, 1).member("sub")->text(), "a\"b\\c");
}

}  // namespace
}  // namespace credsync::oauth
