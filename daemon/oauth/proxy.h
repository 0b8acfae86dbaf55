// The HTTP proxy of the environment: https_proxy or HTTPS_PROXY, with no_proxy or NO_PROXY. Read once at
// construction, for getenv is safe only while nobody calls setenv. Immutable afterwards, so any thread may
// ask.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"
#include "daemon/oauth/endpoint_url.h"
#include "daemon/oauth/socket_stream.h"

namespace credsync::oauth {

constexpr std::size_t kMaxNoProxyEntries = 256;

class Proxy {
 public:
  Proxy() = default;  // none
  static Proxy from_environment();
  // `proxy`: "http://user:password@host:port", "host:port"; empty: none. What cannot be understood is not
  // ignored: every exchange that would need it fails with kProxy. `no_proxy`: hosts, domains (with or without
  // a leading dot), addresses, each with an optional port, separated by commas or spaces; "*" switches the
  // proxy off.
  static Proxy parse(std::string_view proxy, std::string_view no_proxy);

  // Whether this URL goes through the proxy: https only, and never to this machine itself.
  bool applies_to(const EndpointUrl& url) const;

  const std::string& host() const { return host_; }
  std::uint16_t port() const { return port_; }
  std::string name() const;                                // for words: "proxy proxy.example:3128"
  const std::string& problem() const { return problem_; }  // why it cannot be used; empty when it can

  // CONNECT (RFC 9110, 9.3.6) on a connection to the proxy. Afterwards its bytes are those of `url`'s host.
  Outcome<void> open_tunnel(Connection& connection, const EndpointUrl& url, const Patience& patience) const;

 private:
  struct Exception {
    std::string host;        // without a leading dot; "*": all
    std::uint16_t port = 0;  // 0: any
  };
  static std::optional<Exception> parse_exception(std::string_view text);
  void read_exceptions(std::string_view no_proxy);
  void read_address(std::string_view proxy);  // leaves problem_ when it cannot be used
  bool is_excepted(const EndpointUrl& url) const;

  bool set_ = false;
  std::string host_;
  std::uint16_t port_ = 0;
  Secret credentials_;  // base64 of user:password; empty: none
  std::string problem_;
  std::vector<Exception> exceptions_;
};

}  // namespace credsync::oauth
