#include <array>

#include "daemon/oauth/proxy.h"
#include "daemon/oauth/response_reader.h"

namespace credsync::oauth {

Outcome<void> Proxy::open_tunnel(Connection& connection, const EndpointUrl& url, const Patience& patience) const {
  // The port is always said here, even 443.
  const std::string target = url.bracketed_host() + ":" + std::to_string(url.port);
  WipedString message;
  message.text().reserve(256 + 2 * target.size() + credentials_.size());
  message.text().append("CONNECT ").append(target).append(" HTTP/1.1\r\nHost: ").append(target).append("\r\n");
  if (!credentials_.empty()) {
    message.text().append("Proxy-Authorization: Basic ").append(credentials_.expose()).append("\r\n");
  }
  message.text().append("\r\n");
  for (std::string_view rest = message.text(); !rest.empty();) {
    auto sent = connection.send(rest, patience);
    if (!sent) return tl::unexpected(sent.error());
    rest.remove_prefix(*sent);
  }
  ResponseReader reader("CONNECT");
  std::array<char, 1024> buffer;
  while (!reader.done()) {
    auto received = connection.receive(buffer, patience);
    if (!received) return tl::unexpected(received.error());
    auto read = *received == 0 ? reader.end_of_stream() : reader.feed({buffer.data(), *received});
    if (!read) return failed(TransportFault::kProxy, name() + ": " + read.error().words);
  }
  // The host speaks only after our ClientHello: more bytes now were made up by the proxy.
  if (reader.has_leftover()) return failed(TransportFault::kProxy, name() + ": sent more than its answer");
  const int status = reader.take().status;
  if (status == 407) return failed(TransportFault::kProxy, name() + ": wants other credentials (407)");
  if (status < 200 || status > 299) {
    return failed(TransportFault::kProxy, name() + ": refused the connection (" + std::to_string(status) + ")");
  }
  return {};
}

}  // namespace credsync::oauth
