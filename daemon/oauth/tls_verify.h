// Why a certificate was refused. OpenSSL verifies chain, host and dates inside the handshake; this only
// listens.
#pragma once

#include <string>

using X509_STORE_CTX = struct x509_store_ctx_st;
using X509 = struct x509_st;

namespace credsync::oauth {

// Keeps the first verification error of the handshake that runs on this thread while it lives.
class VerifyWatch {
 public:
  VerifyWatch();
  ~VerifyWatch();
  VerifyWatch(const VerifyWatch&) = delete;
  VerifyWatch& operator=(const VerifyWatch&) = delete;

  // X509_V_OK if nothing was refused.
  int error() const { return error_; }

  // For SSL_CTX_set_verify. It never overrules OpenSSL.
  static int callback(int ok, X509_STORE_CTX* store);

 private:
  int error_ = 0;
  VerifyWatch* outer_ = nullptr;
};

// "certificate expired", "certificate was issued for another host" …
std::string verify_words(int x509_error);

// Whether `certificate` names `host` in its subjectAltName; the subject's common name never counts.
bool certificate_names(X509* certificate, const std::string& host, bool host_is_ip);

// What set_hostflags and X509_check_host are told.
unsigned host_check_flags();

}  // namespace credsync::oauth
