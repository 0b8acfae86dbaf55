// Connections that have answered and may carry another request for a while. Thread-safe. Whoever takes one
// has it alone.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "base/time.h"
#include "daemon/oauth/socket_stream.h"

namespace credsync::oauth {

constexpr std::size_t kMaxKeptPerOrigin = 8;  // as many as are likely to be wanted at once again
constexpr std::size_t kMaxKept = 64;          // an idle TLS connection costs some 20 KiB and a descriptor
constexpr Duration kKeptIdle = 15s;           // servers close at 5 to 75 s; a shorter time loses fewer races with them

// What a connection is good for: the origin, and the very TLS settings it was verified with.
struct ConnectionKey {
  std::string origin;
  std::shared_ptr<const TlsContext> context;
  bool operator==(const ConnectionKey&) const = default;
};

class ConnectionCache {
 public:
  explicit ConnectionCache(const Clock& clock) : clock_(clock) {}

  // The one used last that is still open and silent, or null.
  std::unique_ptr<Connection> take(const ConnectionKey& key);
  void keep(ConnectionKey key, std::unique_ptr<Connection> connection);

 private:
  struct Entry {
    ConnectionKey key;
    std::unique_ptr<Connection> connection;
    BootTime since;
  };
  using Entries = std::list<Entry>;
  Entries take_out_old();  // with mutex_ held; to be closed without it

  const Clock& clock_;
  std::mutex mutex_;
  Entries entries_;  // the one used last in front
};

}  // namespace credsync::oauth
