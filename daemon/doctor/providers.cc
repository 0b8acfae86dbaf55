#include "daemon/doctor/providers.h"

#include <algorithm>
#include <array>
#include <set>
#include <tuple>

#include "base/text.h"
#include "daemon/oauth/discovery.h"
#include "daemon/oauth/endpoint_url.h"
#include "daemon/oauth/metadata.h"
#include "daemon/provider/template.h"

namespace credsync::doctor {
namespace {

using provider::Endpoint;
using provider::Endpoints;

struct Part {
  const char* what;
  Endpoint Endpoints::*endpoint;
};
// Those that the daemon itself speaks with; a browser goes to the authorization endpoint.
constexpr std::array kSpokenWith{Part{"token endpoint", &Endpoints::token},
                                 Part{"refresh endpoint", &Endpoints::refresh},
                                 Part{"revocation endpoint", &Endpoints::revoke},
                                 Part{"device endpoint", &Endpoints::device},
                                 Part{"introspection endpoint", &Endpoints::introspect},
                                 Part{"userinfo endpoint", &Endpoints::userinfo},
                                 Part{"push endpoint", &Endpoints::push},
                                 Part{"key set", &Endpoints::jwks}};
constexpr std::array kInMetadata{
    Part{"token endpoint", &Endpoints::token},       Part{"authorization endpoint", &Endpoints::authorize},
    Part{"revocation endpoint", &Endpoints::revoke}, Part{"device endpoint", &Endpoints::device},
    Part{"userinfo endpoint", &Endpoints::userinfo}, Part{"key set", &Endpoints::jwks}};

std::string name_of(const Probe& probe) {
  return "provider " + probe.provider;
}

// A URL as it is shown: its origin and path. What follows may carry a token in some profiles.
std::string shown(const std::string& url) {
  return clean_foreign_text(url.substr(0, url.find('?')));
}

class Planner {
 public:
  explicit Planner(Plan& plan) : plan_(plan) {}

  void add(const std::shared_ptr<const config::Account>& account) {
    const provider::Profile& profile = *account->profile;
    for (const Part& part : kSpokenWith) {
      const std::string& text = (profile.endpoints.*part.endpoint).url;
      if (!text.empty()) add(account, Probe::Kind::kEndpoint, part.what, text);
    }
    if (!profile.issuer.empty()) add(account, Probe::Kind::kMetadata, "issuer", profile.issuer);
  }

 private:
  void add(const std::shared_ptr<const config::Account>& account, Probe::Kind kind, const char* what,
           const std::string& text) {
    const auto url = provider::expand(text, account->profile->vars, account->vars);
    const auto parsed = url ? oauth::parse_endpoint_url(*url) : Result<oauth::EndpointUrl>(url.error());
    const std::string name = "provider " + account->provider;
    if (!parsed) {
      if (seen_.insert({name, what, account->name}).second) {
        plan_.problems.push_back(
            failed(name, std::string("the ") + what + " of account " + account->name + ": " + parsed.error().message(),
                   "credsync providers " + account->provider));
      }
      return;
    }
    const std::string origin = (parsed->tls ? "https://" : "http://") + parsed->authority();
    const std::string key = kind == Probe::Kind::kMetadata ? "issuer " + account->provider + " " + *url : origin;
    if (!seen_.insert({key, account->ca_file, ""}).second) return;
    plan_.probes.push_back({kind, account->provider, what, *url, parsed->authority(), account});
  }

  Plan& plan_;
  std::set<std::tuple<std::string, std::string, std::string>> seen_;
};

std::string step_after(oauth::TransportFault fault, const Probe& probe) {
  using Fault = oauth::TransportFault;
  const std::size_t colon = probe.authority.rfind(':');
  const bool has_port = colon != std::string::npos && probe.authority.find(']', colon) == std::string::npos;
  const std::string host = has_port ? probe.authority.substr(0, colon) : probe.authority;
  switch (fault) {
    case Fault::kResolve: return "resolvectl query " + host;
    case Fault::kHandshake:
    case Fault::kUntrusted:
      return "openssl s_client -connect " + host + ":" + (has_port ? probe.authority.substr(colon + 1) : "443") +
             " -servername " + host + " </dev/null";
    case Fault::kProxy: return "systemctl show credsyncd -p Environment";
    case Fault::kBadRequest:
    case Fault::kSecretSource: return "credsyncd --check-config";
    default: return "curl -sSI " + shown(probe.url);
  }
}

// Between sending and receiving the server looked at its clock, and it tells whole seconds.
std::optional<Duration> skew_of(const oauth::HttpResponse& response) {
  const auto date = parse_http_date(response.header("date"));
  if (!date) return std::nullopt;
  if (*date > response.received_at) return *date - response.received_at;
  const WallTime latest = *date + 1s;
  if (latest < response.sent_at) return latest - response.sent_at;
  return Duration::zero();
}

Check judge_answer(const Probe& probe, const oauth::HttpResponse& response, const Clock& clock) {
  constexpr int kServerError = 500;
  const std::string name = name_of(probe);
  const std::string who = probe.authority + " (" + probe.what + ")";
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(response.received_at - response.sent_at);
  if (response.status >= kServerError)
    return warning(name, who + " answers with the status " + std::to_string(response.status),
                   "curl -sSI " + shown(probe.url));
  if (!response.certificate_ends)
    return fine(name, who + " is reached, in " + std::to_string(took.count()) + " ms, without TLS");
  const std::string until = to_rfc3339(*response.certificate_ends);
  if (*response.certificate_ends - clock.wall() < kEndsSoon) {
    return warning(name, who + ": its certificate ends at " + until + "; from then on nothing is sent there",
                   "ask the provider to renew it");
  }
  return fine(name,
              who + " is reached, in " + std::to_string(took.count()) + " ms; its certificate is good until " + until);
}

Finding look_at_endpoint(const Probe& probe, const Exchange& exchange, const Clock& clock) {
  oauth::HttpRequest request;
  request.method = "HEAD";
  request.url = probe.url;
  oauth::ExchangeOptions options = oauth::roots_of(*probe.account);
  options.deadline = kProbeDeadline;
  options.fresh_connection = true;
  const oauth::ExchangeOutcome outcome = exchange(request, options);
  if (const auto* error = std::get_if<oauth::TransportError>(&outcome))
    return {failed(name_of(probe), std::string(probe.what) + ": " + error->words, step_after(error->fault, probe)), {}};
  const auto& response = std::get<oauth::HttpResponse>(outcome);
  return {judge_answer(probe, response, clock), skew_of(response)};
}

// Where the profile says one thing and the issuer another: nothing where both agree or one is silent.
std::vector<std::string> differences(const config::Account& account, const provider::Profile& named) {
  std::vector<std::string> found;
  for (const Part& part : kInMetadata) {
    const std::string& ours = (account.profile->endpoints.*part.endpoint).url;
    const std::string& theirs = (named.endpoints.*part.endpoint).url;
    if (ours.empty() || theirs.empty()) continue;
    const auto expanded = provider::expand(ours, account.profile->vars, account.vars);
    if (!expanded || *expanded == theirs) continue;
    found.push_back(std::string("the profile's ") + part.what + " is " + shown(*expanded) + ", the issuer names " +
                    shown(theirs));
  }
  return found;
}

Finding look_at_metadata(const Probe& probe, const Exchange& exchange) {
  const config::Account& account = *probe.account;
  provider::Profile empty = *account.profile;
  empty.endpoints = {};
  std::string trouble = "no metadata";
  std::string last_url = probe.url;
  for (const std::string& url : oauth::metadata_urls(probe.url)) {
    oauth::ExchangeOptions options = oauth::roots_of(account);
    options.deadline = kProbeDeadline;
    const oauth::ExchangeOutcome outcome = exchange(oauth::plain_get(url), options);
    last_url = url;
    if (const auto* error = std::get_if<oauth::TransportError>(&outcome)) {
      trouble = error->words;
      break;
    }
    const auto& response = std::get<oauth::HttpResponse>(outcome);
    const auto named = oauth::apply_metadata(empty, probe.url, response, account.allow_http_loopback);
    if (!named) {
      trouble = named.error().message();
      continue;
    }
    const auto found = differences(account, *named);
    if (found.empty())
      return {fine(name_of(probe), "its issuer's metadata agrees with the profile"), skew_of(response)};
    return {warning(name_of(probe), and_more(found.front(), found.size()), "credsync providers " + probe.provider),
            skew_of(response)};
  }
  return {failed(name_of(probe), "its issuer's metadata: " + trouble, "curl -sS " + shown(last_url)), {}};
}

}  // namespace

Plan plan(const config::Config& config) {
  Plan plan;
  Planner planner(plan);
  for (const auto& [name, account] : config.accounts) {
    if (account->enabled && account->grant != provider::Grant::kStatic) planner.add(account);
  }
  if (plan.probes.size() > kMostProbes) {
    plan.problems.push_back(warning(
        "providers", std::to_string(plan.probes.size() - kMostProbes) + " more endpoints were not looked at", ""));
    plan.probes.resize(kMostProbes);
  }
  return plan;
}

Finding look(const Probe& probe, const Exchange& exchange, const Clock& clock) {
  return probe.kind == Probe::Kind::kMetadata ? look_at_metadata(probe, exchange)
                                              : look_at_endpoint(probe, exchange, clock);
}

std::optional<Check> judge_skew(std::vector<Duration> skews) {
  if (skews.empty()) return std::nullopt;
  const auto middle = skews.begin() + static_cast<std::ptrdiff_t>(skews.size() / 2);
  std::nth_element(skews.begin(), middle, skews.end());
  const std::string servers = skews.size() == 1 ? "one server's clock" : "the servers' clocks";
  if (std::chrono::abs(*middle) < kSkewed) return fine("time", servers + " and ours agree");
  const std::string by = std::to_string(std::abs(to_seconds(*middle))) + " s";
  return warning("time",
                 servers + (skews.size() == 1 ? " is " : " are ") + by +
                     (*middle > Duration::zero() ? " ahead of" : " behind") +
                     " ours: tokens may end earlier or later than we think",
                 "timedatectl");
}

}  // namespace credsync::doctor
