#include "daemon/oauth/tls_context.h"

#include <Poco/Exception.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>

#include "base/check.h"
#include "base/encoding.h"
#include "base/file.h"
#include "daemon/oauth/tls_parts.h"
#include "daemon/oauth/tls_verify.h"

namespace credsync::oauth {
namespace {

struct Free {
  void operator()(BIO* p) const { ::BIO_free(p); }
  void operator()(X509* p) const { ::X509_free(p); }
  void operator()(X509_STORE* p) const { ::X509_STORE_free(p); }
  void operator()(EVP_PKEY* p) const { ::EVP_PKEY_free(p); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

// Read only: OpenSSL looks at our memory and copies nothing.
Owned<BIO> memory_bio(std::string_view bytes) {
  return Owned<BIO>(::BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

// Never asks on a terminal: Poco's default callback would.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

// All certificates of a PEM text in order; empty when one of them cannot be read.
std::vector<Owned<X509>> read_certificates(std::string_view pem) {
  ::ERR_clear_error();
  std::vector<Owned<X509>> certificates;
  const Owned<BIO> bio = memory_bio(pem);
  while (X509* certificate = ::PEM_read_bio_X509_AUX(bio.get(), nullptr, no_passphrase, nullptr)) {
    certificates.emplace_back(certificate);
  }
  const bool at_end = ERR_GET_REASON(::ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ::ERR_clear_error();
  if (!at_end) certificates.clear();
  return certificates;
}

Outcome<std::vector<Owned<X509>>> load_certificates(const std::string& path, std::size_t limit, const char* what) {
  auto pem = read_file(path, limit);
  if (!pem) return failed(TransportFault::kBadRequest, std::string(what) + ": " + pem.error().message());
  auto certificates = read_certificates(*pem);
  if (certificates.empty()) {
    return failed(TransportFault::kBadRequest, std::string(what) + " " + path + ": not certificates in PEM");
  }
  return certificates;
}

std::string digest_of(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  ::EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, ::EVP_sha256(), nullptr);
  return encode_hex({reinterpret_cast<const char*>(digest.data()), size});
}

std::string environment(const char* name) {
  const char* value = ::secure_getenv(name);
  return value == nullptr ? "" : value;
}

// Whether certificates can be found in it by their subject's hash: "002c0b4f.0".
bool is_hashed_directory(const std::string& path) {
  constexpr std::size_t kHashDigits = 8;
  std::error_code problem;
  for (std::filesystem::directory_iterator entry(path, problem), end; !problem && entry != end;
       entry.increment(problem)) {
    const std::string name = entry->path().filename().string();
    if (name.find_first_not_of("0123456789abcdef") == kHashDigits && name.find('.') == kHashDigits) return true;
  }
  return false;
}

Outcome<void> use_client_certificate(SSL_CTX* ctx, const TlsWish& wish) {
  auto chain = load_certificates(wish.client_certificate, kMaxClientCertificateBytes, "client certificate");
  if (!chain) return tl::unexpected(chain.error());
  bool taken = ::SSL_CTX_use_certificate(ctx, chain->front().get()) == 1;
  for (std::size_t i = 1; taken && i < chain->size(); ++i) {
    taken = ::SSL_CTX_add1_chain_cert(ctx, (*chain)[i].get()) == 1;
  }
  ::ERR_clear_error();
  if (!taken) {
    return failed(TransportFault::kBadRequest,
                  "client certificate " + wish.client_certificate + ": too weak or broken");
  }
  if (wish.client_key == nullptr || wish.client_key->empty()) {
    return failed(TransportFault::kSecretSource, "the client certificate's private key is missing");
  }
  const Owned<BIO> bio = memory_bio(wish.client_key->expose());
  const Owned<EVP_PKEY> key(::PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  const bool fits = key && ::SSL_CTX_use_PrivateKey(ctx, key.get()) == 1 && ::SSL_CTX_check_private_key(ctx) == 1;
  ::ERR_clear_error();
  if (!fits) {
    return failed(TransportFault::kSecretSource,
                  "the client certificate's private key is not unencrypted PEM or does not belong to it");
  }
  return {};
}

bool demand_host(SSL_CTX* ctx, const TlsWish& wish) {
  X509_VERIFY_PARAM* param = ::SSL_CTX_get0_param(ctx);
  ::X509_VERIFY_PARAM_set_hostflags(param, host_check_flags());
  if (wish.host_is_ip) return ::X509_VERIFY_PARAM_set1_ip_asc(param, wish.host.c_str()) == 1;
  return ::X509_VERIFY_PARAM_set1_host(param, wish.host.data(), wish.host.size()) == 1;
}

// Poco's own settings differ between 1.11 and 1.13 (it sets level 0 and forgives a missing close_notify); all
// that matters is set here. Returns false when OpenSSL refuses one.
bool harden(SSL_CTX* ctx) {
  ::SSL_CTX_set_security_level(ctx, 2);
  ::SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, &VerifyWatch::callback);
  ::SSL_CTX_set_options(ctx, SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
#ifdef SSL_OP_IGNORE_UNEXPECTED_EOF
  ::SSL_CTX_clear_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);  // a cut answer must not look like a whole one
#endif
  ::SSL_CTX_clear_options(ctx, SSL_OP_LEGACY_SERVER_CONNECT);
  // Partial writes: what SSL_write reports as accepted is then never less than the records that left.
  ::SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
  ::SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  return ::SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
         ::SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384:P-521") == 1;
}

Poco::Net::Context::Ptr make_poco_context() {
  Poco::Net::Context::Params params;
  params.verificationMode = Poco::Net::Context::VERIFY_STRICT;
  params.loadDefaultCAs = false;
  params.cipherList = "DEFAULT:!aNULL:!PSK:!SRP";
  return new Poco::Net::Context(Poco::Net::Context::TLS_CLIENT_USE, params);
}

}  // namespace

// Trusted certificates, shared by all contexts that trust the same: a bundle costs 0.7 MiB and some 10 ms.
class TlsContexts::Roots {
 public:
  explicit Roots(Owned<X509_STORE> store) : store_(std::move(store)) {}
  X509_STORE* get() const { return store_.get(); }

 private:
  Owned<X509_STORE> store_;
};

TlsContexts::TlsContexts() {
  system_.file = environment(::X509_get_default_cert_file_env());
  system_.directory = environment(::X509_get_default_cert_dir_env());
  if (!system_.file.empty() || !system_.directory.empty()) return;
  system_.file = ::X509_get_default_cert_file();
  system_.directory = ::X509_get_default_cert_dir();
}
TlsContexts::~TlsContexts() = default;

std::string file_stamp(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return "?";
  std::string stamp;
  for (const auto part :
       {static_cast<long long>(info.st_dev), static_cast<long long>(info.st_ino), static_cast<long long>(info.st_size),
        static_cast<long long>(info.st_mtim.tv_sec), static_cast<long long>(info.st_mtim.tv_nsec)}) {
    stamp += std::to_string(part) + ',';
  }
  return stamp;
}

template <typename T>
std::shared_ptr<T> TlsContexts::find(Shelf<T>& shelf, const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = shelf.find(key);
  if (found == shelf.end()) return nullptr;
  found->second.last_used = ++uses_;
  return found->second.value;
}

template <typename T>
std::shared_ptr<T> TlsContexts::keep(Shelf<T>& shelf, const std::string& key, std::shared_ptr<T> value,
                                     std::size_t limit) {
  const std::lock_guard lock(mutex_);
  const auto [place, is_new] = shelf.try_emplace(key, Kept<T>{.value = std::move(value), .last_used = ++uses_});
  std::shared_ptr<T> kept = place->second.value;  // another thread's, if it was quicker
  if (is_new && shelf.size() > limit) {
    const auto older = [](const auto& a, const auto& b) { return a.second.last_used < b.second.last_used; };
    shelf.erase(std::min_element(shelf.begin(), shelf.end(), older));
  }
  return kept;
}

Outcome<std::shared_ptr<const TlsContexts::Roots>> TlsContexts::roots(const std::string& ca_file,
                                                                      const std::string& stamp) {
  const std::string key = ca_file + '\n' + stamp;
  if (auto known = find(roots_, key)) return known;
  Owned<X509_STORE> store(::X509_STORE_new());
  CHECK(store);  // only memory can lack
  if (ca_file.empty()) {
    // The directory if it is one: it is read certificate by certificate as needed (0.3 ms), the bundle whole
    // (10 to 20 ms and 0.7 MiB).
    const bool loaded = is_hashed_directory(system_.directory)
                            ? ::X509_STORE_load_path(store.get(), system_.directory.c_str()) == 1
                            : ::X509_STORE_load_file(store.get(), system_.file.c_str()) == 1;
    ::ERR_clear_error();
    if (!loaded) {
      return failed(TransportFault::kBadRequest,
                    "the system's trusted certificates cannot be read (is ca-certificates installed?)");
    }
  } else {
    auto certificates = load_certificates(ca_file, kMaxCaFileBytes, "ca_file");
    if (!certificates) return tl::unexpected(certificates.error());
    for (const auto& certificate : *certificates)
      ::X509_STORE_add_cert(store.get(), certificate.get());
    ::ERR_clear_error();
  }
  return keep<const Roots>(roots_, key, std::make_shared<const Roots>(std::move(store)), kMaxRootStores);
}

Outcome<std::shared_ptr<const TlsContext>> TlsContexts::get(const TlsWish& wish) {
  // The time of a directory changes whenever a root is added or removed; a store keeps what it once read from
  // it.
  const std::string stamp =
      wish.ca_file.empty() ? file_stamp(system_.directory) + file_stamp(system_.file) : file_stamp(wish.ca_file);
  std::string key = wish.host + '\n' + wish.ca_file + '\n' + stamp;
  if (!wish.client_certificate.empty()) {
    key += '\n' + wish.client_certificate + '\n' + file_stamp(wish.client_certificate) + '\n' +
           (wish.client_key == nullptr ? "" : digest_of(wish.client_key->expose()));
  }
  if (auto known = find(contexts_, key)) return known;
  auto trusted = roots(wish.ca_file, stamp);
  if (!trusted) return tl::unexpected(trusted.error());
  try {
    Poco::Net::Context::Ptr poco = make_poco_context();
    SSL_CTX* ctx = poco->sslContext();
    ::SSL_CTX_set1_cert_store(ctx, (*trusted)->get());
    const bool hardened = harden(ctx) && demand_host(ctx, wish);
    ::ERR_clear_error();
    if (!hardened) return failed(TransportFault::kBadRequest, wish.host + ": TLS cannot be set up for this host");
    if (!wish.client_certificate.empty()) {
      if (auto used = use_client_certificate(ctx, wish); !used) return tl::unexpected(used.error());
    }
    return keep<const TlsContext>(contexts_, key,
                                  std::make_shared<const TlsContext>(TlsContext{poco, wish.host, wish.host_is_ip}),
                                  kMaxTlsContexts);
  } catch (const Poco::Exception&) {
    return failed(TransportFault::kBadRequest, wish.host + ": TLS cannot be set up");
  }
}

}  // namespace credsync::oauth
