// Discovery documents (RFC 8414; OpenID Connect Discovery): only the issuer's own, only to addresses that may be talked to,
// never over what the profile's file says, never less guarded.
#include "daemon/oauth/metadata.h"

#include "daemon/oauth/endpoint_url.h"
#include "daemon/provider/template.h"
#include "daemon/provider/url.h"
#include "tests/fuzz/answers.h"

using namespace credsync;
using namespace credsync::fuzz;

namespace {

constexpr std::string_view kIssuer = "https://as.example/tenant";

void check_endpoint(const provider::Endpoint& endpoint, bool loopback) {
  if (endpoint.url.empty()) return;
  const auto url = provider::check_endpoint_url(endpoint.url, loopback);
  HOLDS(url);
  HOLDS(url->scheme == "https" || (loopback && provider::is_loopback(*url)));
  const auto names = provider::names_in_template(endpoint.url);
  HOLDS(names && names->empty());  // nothing is filled in that a server wrote
}

}  // namespace

void run(Input input) {
  provider::Profile profile;
  profile.id = "discovered";
  const bool loopback = input.flag();
  const bool guarded = input.flag();
  profile.authorize.iss_required = guarded;
  profile.authorize.push_required = guarded;
  if (guarded) profile.endpoints.token.url = "https://fixed.example/token";
  const oauth::HttpResponse response = read_response(input);
  const auto found = oauth::apply_metadata(profile, kIssuer, response, loopback);
  if (!found) {
    HOLDS(is_fit_to_show(found.error().message()));
    return;
  }
  HOLDS(response.status == 200);
  const provider::Endpoints& at = found->endpoints;
  for (const provider::Endpoint* one : {&at.authorize, &at.token, &at.refresh, &at.revoke, &at.device, &at.introspect,
                                        &at.userinfo, &at.push, &at.jwks})
    check_endpoint(*one, loopback);
  HOLDS(!guarded || at.token.url == "https://fixed.example/token");
  HOLDS(!guarded || (found->authorize.iss_required && found->authorize.push_required));
  HOLDS(found->authorize.offered_challenges.size() <= 64 && found->answer.id_token_algorithms.size() <= 64);
  HOLDS(!found->client.auth.empty());
}
