#include "daemon/oauth/endpoint_url.h"

#include <algorithm>
#include <charconv>

#include "daemon/oauth/address_lookup.h"

namespace credsync::oauth {
namespace {

constexpr std::size_t kMaxHost = 253;  // RFC 1035 2.3.4, without the final dot
constexpr std::size_t kMaxUrl = 16 * 1024;

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

bool starts_with_scheme(std::string_view url, std::string_view scheme) {
  return url.size() >= scheme.size() &&
         std::equal(scheme.begin(), scheme.end(), url.begin(), [](char a, char b) { return a == lower(b); });
}

Result<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (problem != std::errc{} || end != text.data() + text.size() || port == 0) return invalid("bad port in URL");
  return port;
}

}  // namespace

Result<HostPort> parse_host_port(std::string_view text, std::uint16_t default_port) {
  const bool bracketed = text.starts_with('[');
  const std::size_t host_end = bracketed ? text.find(']') : std::min(text.find(':'), text.size());
  if (host_end == std::string_view::npos) return invalid("bad host in URL");
  HostPort result{.host = std::string(text.substr(bracketed ? 1 : 0, host_end - (bracketed ? 1 : 0))),
                  .port = default_port};
  std::transform(result.host.begin(), result.host.end(), result.host.begin(), lower);
  std::string_view rest = text.substr(host_end + (bracketed ? 1 : 0));
  if (!rest.empty()) {
    if (rest.front() != ':') return invalid("bad host in URL");
    auto port = parse_port(rest.substr(1));
    if (!port) return port.error();
    result.port = *port;
  }
  if (bracketed) {
    if (result.host.find(':') == std::string::npos || !literal_address(result.host, 0)) {
      return invalid("bad IPv6 address in URL");
    }
    return result;
  }
  if (result.host.ends_with('.')) result.host.pop_back();
  const bool good = !result.host.empty() && result.host.size() <= kMaxHost && result.host.front() != '.' &&
                    std::all_of(result.host.begin(), result.host.end(), is_host_character);
  if (!good) return invalid("bad host in URL");
  return result;
}

std::string EndpointUrl::bracketed_host() const {
  if (host.find(':') == std::string::npos) return host;
  return std::string("[").append(host).append("]");
}

std::string EndpointUrl::authority() const {
  std::string text = bracketed_host();
  if (port != (tls ? 443 : 80)) text.append(":").append(std::to_string(port));
  return text;
}

bool EndpointUrl::host_is_loopback() const {
  if (const auto address = literal_address(host, port)) return address->is_loopback();
  return host == "localhost" || host.ends_with(".localhost");
}

Result<EndpointUrl> parse_endpoint_url(std::string_view url) {
  EndpointUrl result;
  if (starts_with_scheme(url, "https://"))
    result.tls = true;
  else if (starts_with_scheme(url, "http://"))
    result.tls = false;
  else
    return invalid("URL is neither https:// nor http://");
  if (url.size() > kMaxUrl) return invalid("URL is too long");
  url.remove_prefix(result.tls ? 8 : 7);
  const std::size_t authority_end = std::min(url.find_first_of("/?#"), url.size());
  const std::string_view authority = url.substr(0, authority_end);
  if (authority.find('@') != std::string_view::npos) return invalid("URL carries a user name");
  auto parts = parse_host_port(authority, result.tls ? 443 : 80);
  if (!parts) return parts.error();
  result.host = std::move(parts->host);
  result.port = parts->port;
  result.host_is_ip = literal_address(result.host, 0).has_value();
  const std::string_view target = url.substr(authority_end);
  const auto visible = [](char c) { return c > 0x20 && c < 0x7f && c != '#'; };  // RFC 9112, 3.2.1: no fragment
  if (!std::all_of(target.begin(), target.end(), visible)) return invalid("URL has bytes that must be escaped");
  result.target.text().reserve(target.size() + 1);
  if (!target.starts_with('/')) result.target.text() += '/';
  result.target.text() += target;
  return result;
}

}  // namespace credsync::oauth
