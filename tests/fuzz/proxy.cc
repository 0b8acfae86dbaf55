// The proxy of the environment: what is understood is a host and a port that can be connected to, what is not says so in
// words without the password, and nothing that is for this machine goes through it.
//
// The first line is https_proxy, the second no_proxy, the third an address that is asked for.
#include "daemon/oauth/proxy.h"

#include <algorithm>

#include "tests/fuzz/fuzz.h"

using namespace credsync;
using namespace credsync::fuzz;

namespace {

constexpr std::size_t kLongest = 8192;

bool same(const oauth::Proxy& a, const oauth::Proxy& b) {
  return a.host() == b.host() && a.port() == b.port() && a.problem() == b.problem();
}

void check_reading(const oauth::Proxy& proxy, const std::string& text) {
  HOLDS(is_fit_to_show(proxy.problem()) && !shows_either_canary(proxy.problem()));
  if (text.empty()) HOLDS(proxy.problem().empty() && proxy.host().empty());
  if (text.empty() || !proxy.problem().empty()) return;
  HOLDS(!proxy.host().empty() && proxy.host().size() <= 253 && proxy.port() != 0);
  HOLDS(is_fit_to_show(proxy.name()) && proxy.name().ends_with(":" + std::to_string(proxy.port())));
  HOLDS(proxy.host().find_first_of("@/ \r\n") == std::string::npos);
  // A password is no part of a host: what stands before the last @ of the authority is not shown.
  const std::size_t at = text.rfind('@');
  if (at != text.npos && text.find('/', at) == text.npos) HOLDS(!shows_either_canary(proxy.name()));
}

void check_use(const oauth::Proxy& proxy, const std::string& text, const std::string& exceptions,
               const oauth::EndpointUrl& url) {
  const bool applies = proxy.applies_to(url);
  HOLDS(!applies || (!text.empty() && url.tls && !url.host_is_loopback()));
  if (text.empty() || !url.tls || url.host_is_loopback()) return;
  HOLDS(exceptions.find_first_not_of(", \t") != exceptions.npos || applies);  // nothing is excepted
  if (exceptions == "*" || exceptions == url.host || exceptions == url.authority()) HOLDS(!applies);
  // What is excepted alone is excepted among others, too, while there are not too many.
  const auto separators =
      std::count_if(exceptions.begin(), exceptions.end(), [](char c) { return c == ',' || c == ' ' || c == '\t'; });
  if (static_cast<std::size_t>(separators) + 2 > oauth::kMaxNoProxyEntries) return;
  HOLDS(oauth::Proxy::parse(text, "other.example," + exceptions).applies_to(url) ==
        (applies && url.host != "other.example" && !url.host.ends_with(".other.example")));
}

}  // namespace

void run(Input input) {
  const std::string text = with_repeats(with_canaries(input.line()), kLongest);
  const std::string exceptions = with_repeats(with_canaries(input.line()), kLongest);
  const oauth::Proxy proxy = oauth::Proxy::parse(text, exceptions);
  check_reading(proxy, text);
  HOLDS(text.empty() || text.find("://") != text.npos ||
        same(proxy, oauth::Proxy::parse("http://" + text, exceptions)));
  if (const auto url = oauth::parse_endpoint_url(input.line())) check_use(proxy, text, exceptions, *url);
}
