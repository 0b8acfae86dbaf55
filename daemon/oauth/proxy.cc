#include "daemon/oauth/proxy.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/encoding.h"
#include "daemon/oauth/address_lookup.h"

namespace credsync::oauth {
namespace {

constexpr std::uint16_t kProxyPort = 80;  // the default of http://; who means 3128 or 8080 says so

// The lower-case name first: it is the older and the one curl prefers.
std::string_view environment(const char* lower, const char* upper) {
  for (const char* name : {lower, upper}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return {};
}

bool same_address(const std::string& a, const std::string& b) {
  const auto x = literal_address(a, 0);
  const auto y = literal_address(b, 0);
  return x && y && x->size == y->size && std::memcmp(&x->storage, &y->storage, x->size) == 0;
}

// Basic credentials of "user:password", which may be percent-encoded (RFC 3986, 3.2.1; RFC 7617).
std::optional<Secret> basic_credentials(std::string_view user_info) {
  auto plain = decode_percent(user_info, false);
  if (!plain) return std::nullopt;
  if (plain->find(':') == std::string::npos) *plain += ':';
  Secret credentials = Secret::take(encode_base64(*plain));
  wipe(*plain);
  return credentials;
}

}  // namespace

Proxy Proxy::from_environment() {
  return parse(environment("https_proxy", "HTTPS_PROXY"), environment("no_proxy", "NO_PROXY"));
}

std::optional<Proxy::Exception> Proxy::parse_exception(std::string_view text) {
  if (text == "*") return Exception{.host = "*"};
  if (literal_address(std::string(text), 0)) return Exception{.host = std::string(text)};  // a bare IPv6 address
  if (text.starts_with("*.")) text.remove_prefix(1);
  if (text.starts_with('.')) text.remove_prefix(1);
  auto parts = parse_host_port(text, 1);
  if (!parts) return std::nullopt;
  const bool has_port = text.ends_with(std::string(":").append(std::to_string(parts->port)));
  return Exception{.host = std::move(parts->host), .port = has_port ? parts->port : std::uint16_t{0}};
}

void Proxy::read_exceptions(std::string_view no_proxy) {
  while (!no_proxy.empty() && exceptions_.size() < kMaxNoProxyEntries) {
    const std::size_t end = std::min(no_proxy.find_first_of(", \t"), no_proxy.size());
    if (auto exception = parse_exception(no_proxy.substr(0, end))) exceptions_.push_back(std::move(*exception));
    no_proxy.remove_prefix(std::min(end + 1, no_proxy.size()));
  }
}

void Proxy::read_address(std::string_view proxy) {
  if (const std::size_t scheme = proxy.find("://"); scheme != std::string_view::npos) {
    if (proxy.substr(0, scheme) != "http") {
      problem_ = "https_proxy: only http:// proxies are supported";
      return;
    }
    proxy.remove_prefix(scheme + 3);
  }
  proxy = proxy.substr(0, proxy.find('/'));
  if (const std::size_t at = proxy.rfind('@'); at != std::string_view::npos) {
    auto credentials = basic_credentials(proxy.substr(0, at));
    if (!credentials) {
      problem_ = "https_proxy: its user name or password is not percent-encoded properly";
      return;
    }
    credentials_ = std::move(*credentials);
    proxy.remove_prefix(at + 1);
  }
  auto parts = parse_host_port(proxy, kProxyPort);
  if (!parts) {
    problem_ = "https_proxy: not a host and port";
    return;
  }
  host_ = std::move(parts->host);
  port_ = parts->port;
}

Proxy Proxy::parse(std::string_view proxy, std::string_view no_proxy) {
  Proxy result;
  if (proxy.empty()) return result;
  result.set_ = true;
  result.read_exceptions(no_proxy);
  result.read_address(proxy);
  return result;
}

bool Proxy::is_excepted(const EndpointUrl& url) const {
  return std::any_of(exceptions_.begin(), exceptions_.end(), [&](const Exception& exception) {
    if (exception.port != 0 && exception.port != url.port) return false;
    if (exception.host == "*" || exception.host == url.host) return true;
    if (url.host_is_ip) return same_address(exception.host, url.host);
    return url.host.ends_with("." + exception.host);
  });
}

bool Proxy::applies_to(const EndpointUrl& url) const {
  return set_ && url.tls && !url.host_is_loopback() && !is_excepted(url);
}

std::string Proxy::name() const {
  return "proxy " + host_ + ":" + std::to_string(port_);
}

}  // namespace credsync::oauth
