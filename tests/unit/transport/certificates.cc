#include "tests/unit/transport/certificates.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/check.h"

namespace credsync::test {
namespace {

template <typename Write>
std::string to_pem(Write write) {
  BIO* bio = ::BIO_new(::BIO_s_mem());
  CHECK(write(bio) == 1);
  char* data = nullptr;
  const long size = ::BIO_get_mem_data(bio, &data);
  std::string pem(data, static_cast<std::size_t>(size));
  ::BIO_free(bio);
  return pem;
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  ::X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = ::X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  CHECK(extension != nullptr);
  CHECK(::X509_add_ext(certificate, extension, -1) == 1);
  ::X509_EXTENSION_free(extension);
}

}  // namespace

std::string Identity::certificate_pem() const {
  return to_pem([&](BIO* bio) { return ::PEM_write_bio_X509(bio, certificate.get()); });
}

std::string Identity::key_pem() const {
  return to_pem(
      [&](BIO* bio) { return ::PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr); });
}

Identity make_identity(const IdentityWish& wish, const Identity* issuer) {
  constexpr long kDay = 24 * 60 * 60;
  Identity made;
  made.key.reset(EVP_EC_gen("P-256"));
  made.certificate.reset(::X509_new());
  X509* certificate = made.certificate.get();
  ::X509_set_version(certificate, 2);
  long serial = 0;
  CHECK(::RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) == 1);
  ::ASN1_INTEGER_set(::X509_get_serialNumber(certificate), serial & 0x7fffffff);
  ::X509_gmtime_adj(::X509_getm_notBefore(certificate), wish.valid_from_days * kDay);
  ::X509_gmtime_adj(::X509_getm_notAfter(certificate), wish.valid_until_days * kDay);
  ::X509_set_pubkey(certificate, made.key.get());
  X509_NAME* name = ::X509_get_subject_name(certificate);
  ::X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(wish.common_name.c_str()), -1, -1, 0);
  X509* signer = issuer == nullptr ? certificate : issuer->certificate.get();
  ::X509_set_issuer_name(certificate, ::X509_get_subject_name(signer));
  add_extension(certificate, signer, NID_basic_constraints, wish.authority ? "critical,CA:TRUE" : "CA:FALSE");
  if (!wish.alt_names.empty()) add_extension(certificate, signer, NID_subject_alt_name, wish.alt_names);
  CHECK(::X509_sign(certificate, issuer == nullptr ? made.key.get() : issuer->key.get(), ::EVP_sha256()) > 0);
  return made;
}

}  // namespace credsync::test
