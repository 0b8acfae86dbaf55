// Addresses: the reading that decides whether a host may be talked to and the one that connects must mean the same host.
#include "daemon/provider/url.h"

#include "daemon/oauth/endpoint_url.h"
#include "daemon/oauth/metadata.h"
#include "tests/fuzz/fuzz.h"

using namespace credsync;
using namespace credsync::fuzz;

namespace {

std::string_view without_dot(std::string_view host) {
  return host.ends_with('.') ? host.substr(0, host.size() - 1) : host;
}

void check_both(std::string_view text) {
  const auto checked = provider::parse_url(text);
  const auto connected = oauth::parse_endpoint_url(text);
  for (const Error* error : {checked ? nullptr : &checked.error(), connected ? nullptr : &connected.error()})
    HOLDS(error == nullptr || (is_fit_to_show(error->message()) && !shows_canary(error->message())));
  if (!connected) return;
  HOLDS(!connected->host.empty() && connected->host.size() <= 253 && connected->port != 0);
  HOLDS(connected->target.text().starts_with('/'));
  HOLDS(connected->target.text().find_first_of("\r\n \t#") == std::string::npos);
  if (!checked) return;
  HOLDS(connected->tls == (checked->scheme == "https"));
  HOLDS(connected->host == without_dot(checked->host));
  HOLDS(connected->port == checked->port);
  HOLDS(connected->target.text() == checked->target);
  // What may be talked to in the clear never leaves this machine.
  HOLDS(!provider::is_loopback(*checked) || connected->host_is_loopback());
  const auto again = provider::parse_url(provider::origin_of(*checked) + checked->target);
  HOLDS(again && again->host == checked->host && again->port == checked->port && again->target == checked->target);
}

void check_checked(std::string_view text) {
  for (const bool allowed : {false, true}) {
    const auto url = provider::check_endpoint_url(text, allowed);
    HOLDS(!url || url->scheme == "https" || (allowed && provider::is_loopback(*url)));
    // Whatever the configuration takes, the transport can use.
    HOLDS(!url || oauth::parse_endpoint_url(text));
  }
  for (const std::string& address : oauth::metadata_urls(text))
    HOLDS(!provider::parse_url(text) || text.find('?') != text.npos || provider::parse_url(address) ||
          address.size() > provider::kMaxUrlBytes);
}

}  // namespace

void run(Input input) {
  const std::string text = with_canaries(input.rest());
  check_both(text);
  check_checked(text);
  const auto host = oauth::parse_host_port(text, 443);
  HOLDS(!host || (!host->host.empty() && host->port != 0));
}
