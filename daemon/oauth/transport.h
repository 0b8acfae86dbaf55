// The one HTTPS transport, the only user of Poco::Net. Blocking: worker threads only; one Transport is shared
// by all of them. Every exchange ends by its deadline, verification is part of the handshake, nothing is ever
// sent twice.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "base/time.h"
#include "daemon/oauth/address_lookup.h"
#include "daemon/oauth/http.h"
#include "daemon/oauth/proxy.h"

namespace credsync::oauth {

constexpr std::size_t kMaxAnswerBytes = 64 * 1024;  // of the body; no token answer is near it
constexpr std::size_t kMaxHeaderBytes = 32 * 1024;  // status line and headers together, 1xx answers included
constexpr Duration kExchangeDeadline = 30s;         // in total: look-up, connect, handshake, sending, reading

struct ExchangeOptions {
  Duration deadline = kExchangeDeadline;
  std::optional<BootTime> send_before;  // if the first byte cannot leave before this, none does: kTooLate
  std::string ca_file;                  // PEM; empty: the system's roots
  bool allow_http_loopback = false;
  bool fresh_connection = false;       // never a kept one: for refreshes that rotate
  std::string client_certificate;      // PEM file, for TLS client authentication; empty: none
  const Secret* client_key = nullptr;  // its PEM private key
};

using ExchangeOutcome = std::variant<HttpResponse, TransportError>;

class Transport {
 public:
  // Reads the proxy variables of the environment, once.
  explicit Transport(const Clock& clock);
  // With a given resolver (empty: the system's) and proxy.
  Transport(const Clock& clock, Resolve resolve, Proxy proxy);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  // Thread-safe.
  ExchangeOutcome exchange(const HttpRequest& request, const ExchangeOptions& options);

  // Fails exchanges that have not begun to send; those that have are let finish. For shutdown.
  void stop_new();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace credsync::oauth
