// The TLS settings of connections to one host, made once and shared: minimum version, trusted roots, the host
// that the certificate must name, our own certificate. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/secret.h"
#include "daemon/oauth/socket_patience.h"

namespace credsync::oauth {

// Hosts and roots known at once; the least recently used goes. One host more costs some 0.3 ms, not
// correctness.
constexpr std::size_t kMaxTlsContexts = 128;
constexpr std::size_t kMaxRootStores = 32;
// A CA bundle of the whole web is 0.25 MiB; a client certificate with its chain some 10 KiB.
constexpr std::size_t kMaxCaFileBytes = 4 * 1024 * 1024;
constexpr std::size_t kMaxClientCertificateBytes = 64 * 1024;

// An SSL_CTX within Poco's Context; what is in it is known to tls_parts.h only.
struct TlsContext;

struct TlsWish {
  std::string host;
  bool host_is_ip = false;
  std::string ca_file;             // empty: the system's roots
  std::string client_certificate;  // empty: none
  const Secret* client_key = nullptr;
};

// Tells a file from the one that took its place: device, inode, size and time of change.
std::string file_stamp(const std::string& path);

class TlsContexts {
 public:
  TlsContexts();
  ~TlsContexts();

  // Files are read again when they changed. kBadRequest when the CA or certificate file is no good,
  // kSecretSource when the key is.
  Outcome<std::shared_ptr<const TlsContext>> get(const TlsWish& wish);

 private:
  class Roots;
  // Where the system keeps its roots: SSL_CERT_FILE and SSL_CERT_DIR, else OpenSSL's own places.
  struct SystemRoots {
    std::string file;
    std::string directory;
  };
  template <typename T>
  struct Kept {
    std::shared_ptr<T> value;
    std::uint64_t last_used = 0;
  };
  template <typename T>
  using Shelf = std::map<std::string, Kept<T>>;  // the key says everything that went into the value
  template <typename T>
  std::shared_ptr<T> find(Shelf<T>& shelf, const std::string& key);
  template <typename T>
  std::shared_ptr<T> keep(Shelf<T>& shelf, const std::string& key, std::shared_ptr<T> value, std::size_t limit);

  Outcome<std::shared_ptr<const Roots>> roots(const std::string& ca_file, const std::string& stamp);

  SystemRoots system_;  // read once, for getenv is safe only while nobody calls setenv
  std::mutex mutex_;    // held for look-ups in the maps only, never while a file is read
  std::uint64_t uses_ = 0;
  Shelf<const TlsContext> contexts_;
  Shelf<const Roots> roots_;
};

}  // namespace credsync::oauth
