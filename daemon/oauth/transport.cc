// Poco gives the TLS sockets and contexts; connecting, HTTP framing and reuse are ours, because Poco's
// sessions reconnect and resend by themselves, have no total deadline, and keep bodies in pooled buffers. So
// no session buffer exists that would have to be scrubbed: a request is in one WipedString, an answer in its
// body and in the buffer below. What is not wiped: OpenSSL's record buffers after encryption (they hold
// ciphertext by then), and the kernel's.
#include "daemon/oauth/transport.h"

#include <array>
#include <atomic>

#include "base/text.h"
#include "daemon/oauth/connection_cache.h"
#include "daemon/oauth/request_message.h"
#include "daemon/oauth/response_reader.h"
#include "daemon/oauth/socket_connect.h"

namespace credsync::oauth {
namespace {

// The plain text of the answer passes through here.
class ReceiveBuffer {
 public:
  ~ReceiveBuffer() { wipe(bytes_.data(), bytes_.size()); }
  std::span<char> span() { return bytes_; }

 private:
  std::array<char, 16 * 1024> bytes_;  // one TLS record
};

// One request on one connection. `sent` is true from the first byte that the connection accepted.
class Conversation {
 public:
  Conversation(Connection& connection, const Clock& clock, Patience& patience)
      : connection_(connection), clock_(clock), patience_(patience) {}

  Outcome<HttpResponse> run(std::string_view message, std::string_view method) {
    ResponseReader reader(method);
    const WallTime sent_at = clock_.wall();
    Outcome<void> done = send(message);
    if (done) done = receive(reader);
    if (!done) {
      TransportError error = std::move(done.error());
      error.sent = sent_;
      return tl::unexpected(std::move(error));
    }
    reusable_ = reader.keeps_alive();
    HttpResponse response = reader.take();
    response.sent_at = sent_at;
    response.received_at = clock_.wall();
    response.certificate_ends = connection_.certificate_ends();
    return response;
  }

  bool reusable() const { return reusable_; }

 private:
  Outcome<void> send(std::string_view message) {
    while (!message.empty()) {
      auto accepted = connection_.send(message, patience_);
      if (!accepted) return tl::unexpected(accepted.error());
      sent_ = true;
      patience_.mark_sent();
      message.remove_prefix(*accepted);
    }
    return {};
  }

  Outcome<void> receive(ResponseReader& reader) {
    ReceiveBuffer buffer;
    while (!reader.done()) {
      auto received = connection_.receive(buffer.span(), patience_);
      if (!received) return tl::unexpected(received.error());
      auto read = *received == 0 ? reader.end_of_stream() : reader.feed({buffer.span().data(), *received});
      if (!read) return read;
    }
    return {};
  }

  Connection& connection_;
  const Clock& clock_;
  Patience& patience_;
  bool sent_ = false;
  bool reusable_ = false;
};

// What opening a connection to the proxy came to, seen from the exchange: it is the proxy that fails, unless
// time did.
tl::unexpected<TransportError> blame_proxy(TransportError error) {
  const bool other = error.fault == TransportFault::kDeadline || error.fault == TransportFault::kTooLate ||
                     error.words == kShuttingDown;
  if (!other) error.fault = TransportFault::kProxy;
  return tl::unexpected(std::move(error));
}

}  // namespace

struct Transport::Parts {
  Parts(const Clock& clock_in, Resolve resolve, Proxy proxy_in)
      : clock(clock_in), lookup(std::move(resolve)), proxy(std::move(proxy_in)), kept(clock_in) {}

  Outcome<std::unique_ptr<Connection>> dial(const std::string& host, std::uint16_t port, bool loopback_only,
                                            const std::string& name, const Patience& patience) const;
  Outcome<std::unique_ptr<Connection>> open(const EndpointUrl& url, const ConnectionKey& key,
                                            const Patience& patience) const;
  Outcome<HttpResponse> converse(std::unique_ptr<Connection> connection, const ConnectionKey& key,
                                 std::string_view message, const HttpRequest& request, const ExchangeOptions& options,
                                 Patience& patience);
  Outcome<HttpResponse> exchange(const HttpRequest& request, const ExchangeOptions& options);

  const Clock& clock;
  StopSignal stop;
  const AddressLookup lookup;
  const Proxy proxy;
  TlsContexts contexts;
  ConnectionCache kept;
};

Outcome<std::unique_ptr<Connection>> Transport::Parts::dial(const std::string& host, std::uint16_t port,
                                                            bool loopback_only, const std::string& name,
                                                            const Patience& patience) const {
  auto addresses = lookup.find(host, port, name, patience);
  if (!addresses) return tl::unexpected(addresses.error());
  if (loopback_only) {
    std::erase_if(*addresses, [](const Address& address) { return !address.is_loopback(); });
    if (addresses->empty()) return failed(TransportFault::kBadRequest, name + ": http:// is for this machine only");
  }
  auto socket = connect_any(*addresses, name, patience);
  if (!socket) return tl::unexpected(socket.error());
  return std::make_unique<Connection>(std::move(*socket), name);
}

Outcome<std::unique_ptr<Connection>> Transport::Parts::open(const EndpointUrl& url, const ConnectionKey& key,
                                                            const Patience& patience) const {
  const bool by_proxy = proxy.applies_to(url);
  if (by_proxy && !proxy.problem().empty()) return failed(TransportFault::kProxy, proxy.problem());
  auto connection = by_proxy ? dial(proxy.host(), proxy.port(), false, proxy.name(), patience)
                             : dial(url.host, url.port, !url.tls, url.authority(), patience);
  if (by_proxy) {
    if (!connection) return blame_proxy(std::move(connection.error()));
    if (auto tunnel = proxy.open_tunnel(**connection, url, patience); !tunnel)
      return blame_proxy(std::move(tunnel.error()));
    (*connection)->rename(url.authority());  // from here on it speaks with the provider
  }
  if (connection && url.tls) {
    if (auto secured = (*connection)->secure(key.context, patience); !secured) return tl::unexpected(secured.error());
  }
  return connection;
}

Outcome<HttpResponse> Transport::Parts::converse(std::unique_ptr<Connection> connection, const ConnectionKey& key,
                                                 std::string_view message, const HttpRequest& request,
                                                 const ExchangeOptions& options, Patience& patience) {
  Conversation conversation(*connection, clock, patience);
  auto response = conversation.run(message, request.method);
  // Not after an error, and not what was made for one request only.
  if (response && conversation.reusable() && !options.fresh_connection) kept.keep(key, std::move(connection));
  return response;
}

Outcome<HttpResponse> Transport::Parts::exchange(const HttpRequest& request, const ExchangeOptions& options) {
  Patience patience(clock, options.deadline, stop, options.send_before);
  auto url = parse_endpoint_url(request.url);
  if (!url) return failed(TransportFault::kBadRequest, url.error().message());
  if (!url->tls && !(options.allow_http_loopback && url->host_is_loopback())) {
    return failed(TransportFault::kBadRequest,
                  "http:// is allowed for this machine only, and where the account says so");
  }
  auto message = write_request(request, *url);
  if (!message) return failed(TransportFault::kBadRequest, message.error().message());
  ConnectionKey key{.origin = (url->tls ? "https://" : "http://") + url->authority(), .context = nullptr};
  if (url->tls) {
    auto context = contexts.get({.host = url->host,
                                 .host_is_ip = url->host_is_ip,
                                 .ca_file = options.ca_file,
                                 .client_certificate = options.client_certificate,
                                 .client_key = options.client_key});
    if (!context) return tl::unexpected(context.error());
    key.context = std::move(*context);
  }
  if (auto going = patience.check("starting"); !going) return tl::unexpected(going.error());
  if (!options.fresh_connection) {
    if (auto connection = kept.take(key)) {
      auto response = converse(std::move(connection), key, message->text(), request, options, patience);
      // It died before it accepted a byte: nothing was sent, so a new one may be tried, once.
      const bool try_new = !response && !response.error().sent && response.error().fault == TransportFault::kReset;
      if (!try_new) return response;
    }
  }
  auto connection = open(*url, key, patience);
  if (!connection) return tl::unexpected(connection.error());
  return converse(std::move(*connection), key, message->text(), request, options, patience);
}

Transport::Transport(const Clock& clock) : Transport(clock, {}, Proxy::from_environment()) {}

Transport::Transport(const Clock& clock, Resolve resolve, Proxy proxy)
    : parts_(std::make_unique<Parts>(clock, std::move(resolve), std::move(proxy))) {}

Transport::~Transport() {
  const SigpipeGuard guard;  // kept TLS connections say goodbye
  parts_.reset();
}

ExchangeOutcome Transport::exchange(const HttpRequest& request, const ExchangeOptions& options) {
  const SigpipeGuard guard;
  auto outcome = parts_->exchange(request, options);
  if (outcome) return std::move(*outcome);
  outcome.error().words = clean_foreign_text(outcome.error().words);
  return std::move(outcome.error());
}

void Transport::stop_new() {
  parts_->stop.raise();
}

}  // namespace credsync::oauth
