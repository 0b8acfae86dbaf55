#include "daemon/login/redirect.h"

#include "daemon/provider/url.h"

namespace credsync::login {
namespace {

using provider::RedirectPort;

bool names_a_port(std::string_view uri) {
  const std::size_t authority = uri.find("//");
  if (authority == uri.npos) return false;
  const std::size_t end = std::min(uri.find_first_of("/?", authority + 2), uri.size());
  const std::size_t bracket = uri.find(']', authority);
  const std::size_t from = bracket != uri.npos && bracket < end ? bracket : authority + 2;
  return uri.find(':', from) < end;
}

// Something that a browser on this machine can reach without TLS, and that only this machine answers.
std::optional<Redirect::Loopback> as_loopback(const std::string& uri, bool exact) {
  const auto url = provider::parse_url(uri);
  if (!url || url->scheme != "http" || url->has_query) return std::nullopt;
  Redirect::Loopback loopback;
  if (url->ipv6 && url->host == "::1")
    loopback.host = "[::1]";
  else if (url->host == "127.0.0.1" || url->host == "localhost")
    loopback.host = url->host;
  else
    return std::nullopt;
  if (exact || names_a_port(uri)) loopback.port = static_cast<std::uint16_t>(url->port);
  loopback.path = url->target;
  return loopback;
}

}  // namespace

Result<Redirect> plan_redirect(const config::Account& account) {
  const provider::Authorize& rules = account.profile->authorize;
  const bool exact = rules.redirect_port == RedirectPort::kExact;
  Redirect redirect;
  if (!account.redirect_uri.empty()) {
    redirect.loopback = as_loopback(account.redirect_uri, exact);
    if (!redirect.loopback || redirect.loopback->port) redirect.uri = account.redirect_uri;
    return redirect;
  }
  if (exact && !account.redirect_port) {
    return invalid(
        "this provider compares the whole redirect URI: set redirect_uri in the account, exactly as it is "
        "registered there (http://127.0.0.1:PORT/… lets the browser come back by itself)");
  }
  Redirect::Loopback loopback{"127.0.0.1", std::nullopt, rules.redirect_path};
  if (account.redirect_port) {
    loopback.port = static_cast<std::uint16_t>(*account.redirect_port);
    redirect.uri = loopback_uri(loopback, *loopback.port);
  }
  redirect.loopback = std::move(loopback);
  return redirect;
}

std::string loopback_uri(const Redirect::Loopback& loopback, std::uint16_t port) {
  return "http://" + loopback.host + ":" + std::to_string(port) + loopback.path;
}

}  // namespace credsync::login
