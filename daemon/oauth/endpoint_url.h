// An absolute http(s) URL taken apart for the transport. Pure. Poco::URI is not used: it keeps copies of the
// query, which may carry a token, and puts what it does not like into exceptions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace credsync::oauth {

struct EndpointUrl {
  bool tls = true;
  std::string host;  // lower case, no brackets, no trailing dot
  bool host_is_ip = false;
  std::uint16_t port = 443;
  WipedString target;  // path and query as they are sent; at least "/"

  // With brackets where it is an IPv6 address.
  std::string bracketed_host() const;
  // For the Host header and for words: "flat.io", "localhost:8443", "[::1]:8443".
  std::string authority() const;
  // 127.0.0.0/8, ::1, localhost and what is below it (RFC 6761, 6.3).
  bool host_is_loopback() const;
};

// Refuses what is not http or https, user information, fragments, odd hosts and ports, and bytes that do not
// belong into a request line. Messages never repeat the URL.
Result<EndpointUrl> parse_endpoint_url(std::string_view url);

// Splits "host", "host:port", "[v6]", "[v6]:port"; the host without brackets. kInvalid when it is none of
// these.
struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};
Result<HostPort> parse_host_port(std::string_view text, std::uint16_t default_port);

}  // namespace credsync::oauth
