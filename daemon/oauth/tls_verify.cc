#include "daemon/oauth/tls_verify.h"

#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

namespace credsync::oauth {
namespace {
// The verify callback gets no argument of ours, but runs on the thread that drives the handshake.
thread_local VerifyWatch* watch_of_this_thread = nullptr;
}  // namespace

VerifyWatch::VerifyWatch() : outer_(watch_of_this_thread) {
  watch_of_this_thread = this;
}

VerifyWatch::~VerifyWatch() {
  watch_of_this_thread = outer_;
}

int VerifyWatch::callback(int ok, X509_STORE_CTX* store) {
  VerifyWatch* watch = watch_of_this_thread;
  if (ok == 0 && watch != nullptr && watch->error_ == X509_V_OK) watch->error_ = ::X509_STORE_CTX_get_error(store);
  return ok;
}

std::string verify_words(int x509_error) {
  switch (x509_error) {
    case X509_V_ERR_CERT_HAS_EXPIRED: return "certificate expired";
    case X509_V_ERR_CERT_NOT_YET_VALID: return "certificate is not valid yet (is this machine's clock right?)";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return "certificate was issued for another host";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: return "self-signed certificate";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return "self-signed certificate in the chain: its authority is not trusted here";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: return "certificate was issued by an unknown authority";
    default: return std::string("certificate does not verify: ") + ::X509_verify_cert_error_string(x509_error);
  }
}

unsigned host_check_flags() {
  return X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
}

bool certificate_names(X509* certificate, const std::string& host, bool host_is_ip) {
  if (host_is_ip) return ::X509_check_ip_asc(certificate, host.c_str(), 0) == 1;
  return ::X509_check_host(certificate, host.data(), host.size(), host_check_flags(), nullptr) == 1;
}

}  // namespace credsync::oauth
