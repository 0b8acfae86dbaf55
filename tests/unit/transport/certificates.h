// Certificates made on the spot, so that no test depends on a file that expires.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace credsync::test {

struct OpensslFree {
  void operator()(X509* p) const { ::X509_free(p); }
  void operator()(EVP_PKEY* p) const { ::EVP_PKEY_free(p); }
};

struct Identity {
  std::unique_ptr<X509, OpensslFree> certificate;
  std::unique_ptr<EVP_PKEY, OpensslFree> key;

  std::string certificate_pem() const;
  std::string key_pem() const;
};

struct IdentityWish {
  std::string common_name = "test";
  std::string alt_names = {};  // as OpenSSL writes them: "DNS:a.test,IP:127.0.0.1"; empty: none
  bool authority = false;
  int valid_from_days = -1;  // from today
  int valid_until_days = 30;
};

// Signed by `issuer`; by itself when there is none.
Identity make_identity(const IdentityWish& wish, const Identity* issuer = nullptr);

}  // namespace credsync::test
