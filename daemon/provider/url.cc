#include "daemon/provider/url.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace credsync::provider {
namespace {

constexpr unsigned kHttpPort = 80;
constexpr unsigned kHttpsPort = 443;
constexpr std::size_t kMaxHostBytes = 253;  // RFC 1035, 2.3.4

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

bool is_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// Letters, digits, '-', '.' and '_' (seen in the wild), no empty label. Names in other scripts are written in
// punycode.
bool is_host_name(std::string_view host) {
  if (host.empty() || host.size() > kMaxHostBytes || host.front() == '.' || host.find("..") != host.npos) return false;
  return std::all_of(host.begin(), host.end(), [](char c) { return is_alnum(c) || c == '-' || c == '.' || c == '_'; });
}

bool is_visible_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

Result<unsigned> parse_port(std::string_view text) {
  unsigned port = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || rest != text.data() + text.size() || port == 0 || port > 65535) {
    return invalid("the port must be a number from 1 to 65535");
  }
  return port;
}

Result<void> read_authority(std::string_view authority, Url& url) {
  if (authority.find('@') != authority.npos) return invalid("user information before the host is not allowed");
  const unsigned standard = url.scheme == "http" ? kHttpPort : kHttpsPort;
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == authority.npos) return invalid("the address in brackets is not closed");
    url.host = lower(authority.substr(1, end - 1));
    url.ipv6 = true;
    in6_addr unused{};
    if (::inet_pton(AF_INET6, url.host.c_str(), &unused) != 1) return invalid("the host is not an IPv6 address");
    port = authority.substr(end + 1);
    if (!port.empty() && !port.starts_with(':')) return invalid("the host is not valid");
  } else {
    const std::size_t colon = std::min(authority.find(':'), authority.size());
    url.host = lower(authority.substr(0, colon));
    if (!is_host_name(url.host)) return invalid("the host is missing or not valid");
    port = authority.substr(colon);
  }
  url.port = standard;
  if (port.empty()) return {};
  auto number =
      parse_port(port.substr(1));  // an empty one is refused: the transport would refuse it only when it is needed
  if (!number) return number.error();
  url.port = *number;
  return {};
}

}  // namespace

Result<Url> parse_url(std::string_view text) {
  if (text.size() > kMaxUrlBytes) return invalid("the URL is longer than " + std::to_string(kMaxUrlBytes) + " bytes");
  if (!is_visible_ascii(text) || text.find('\\') != text.npos) {
    return invalid("the URL holds a space, a backslash or a character that must be escaped");
  }
  const std::size_t colon = text.find("://");
  Url url;
  url.scheme = colon == text.npos ? std::string() : lower(text.substr(0, colon));
  if (url.scheme != "https" && url.scheme != "http")
    return invalid("must be an absolute URL that begins with https://");
  const std::string_view rest = text.substr(colon + 3);
  if (rest.find('#') != rest.npos) return invalid("a fragment (#…) is not allowed");
  const std::size_t slash = std::min(rest.find_first_of("/?"), rest.size());
  CREDSYNC_TRY(read_authority(rest.substr(0, slash), url));
  url.target = rest.substr(slash);
  if (!url.target.starts_with('/')) url.target.insert(0, 1, '/');
  url.has_query = url.target.find('?') != std::string::npos;
  return url;
}

bool is_loopback(const Url& url) {
  if (url.ipv6) return url.host == "::1";
  if (url.host == "localhost") return true;
  in_addr address{};
  if (::inet_pton(AF_INET, url.host.c_str(), &address) != 1) return false;
  return (ntohl(address.s_addr) >> 24) == 127;
}

Result<Url> check_endpoint_url(std::string_view text, bool allow_http_loopback) {
  auto url = parse_url(text);
  if (!url || url->scheme == "https") return url;
  if (!is_loopback(*url)) return invalid("http:// is never used with another host; write https://");
  if (!allow_http_loopback) {
    return invalid("http:// is only for tests on this host, and only with allow_http_loopback = true in the account");
  }
  return url;
}

std::string origin_of(const Url& url) {
  const unsigned standard = url.scheme == "http" ? kHttpPort : kHttpsPort;
  std::string out = url.scheme + "://";
  out += url.ipv6 ? "[" + url.host + "]" : url.host;
  if (url.port != standard) out += ":" + std::to_string(url.port);
  return out;
}

}  // namespace credsync::provider
