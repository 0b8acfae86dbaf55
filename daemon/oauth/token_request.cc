#include "daemon/oauth/token_request.h"

#include <algorithm>

#include "daemon/oauth/request_frame.h"
#include "daemon/provider/url.h"

namespace credsync::oauth {
namespace {

using provider::RequestKind;

// The parameters of each grant by their RFC names, in the order of its RFC's example.
struct GrantParameters {
  ParameterList& out;

  void operator()(const ClientCredentialsInput&) { out.set("grant_type", "client_credentials"); }  // RFC 6749, 4.4.2
  void operator()(const PasswordInput& input) {                                                    // RFC 6749, 4.3.2
    out.set("grant_type", "password");
    out.set("username", input.username);
    out.set("password", input.password.expose());
  }
  void operator()(const RefreshInput& input) {  // RFC 6749, 6
    out.set("grant_type", "refresh_token");
    out.set("refresh_token", input.refresh_token.expose());
  }
  void operator()(const AccessRefreshInput& input) {  // no RFC: the profile sets grant_type and renames as it needs
    out.set("grant_type", "refresh_token");
    out.set("access_token", input.access_token.expose());
  }
  void operator()(const CodeInput& input) {  // RFC 6749, 4.1.3
    out.set("grant_type", "authorization_code");
    out.set("code", input.code.expose());
    out.set("redirect_uri", input.redirect_uri);
    if (!input.verifier.empty()) out.set("code_verifier", input.verifier.expose());  // RFC 7636, 4.5
  }
  void operator()(const DeviceStartInput&) {}      // RFC 8628, 3.1
  void operator()(const DevicePollInput& input) {  // RFC 8628, 3.4
    out.set("grant_type", "urn:ietf:params:oauth:grant-type:device_code");
    out.set("device_code", input.device_code.expose());
  }
};

bool sends_scope(const provider::Profile& profile, RequestKind kind) {
  switch (kind) {
    case RequestKind::kClientCredentials:
    case RequestKind::kPassword:
    case RequestKind::kDeviceStart: return true;
    case RequestKind::kRefresh: return profile.refresh.send_scope;
    default: return false;
  }
}

// The endpoint a kind of request goes to; null when the profile has none.
const provider::Endpoint* endpoint_for(const provider::Profile& profile, RequestKind kind) {
  const provider::Endpoints& all = profile.endpoints;
  const provider::Endpoint* endpoint = &all.token;
  if (kind == RequestKind::kRefresh && !all.refresh.url.empty()) endpoint = &all.refresh;
  if (kind == RequestKind::kDeviceStart) endpoint = &all.device;
  return endpoint->url.empty() ? nullptr : endpoint;
}

}  // namespace

RequestKind kind_of(const GrantInput& input) {
  struct Kind {
    RequestKind operator()(const ClientCredentialsInput&) { return RequestKind::kClientCredentials; }
    RequestKind operator()(const PasswordInput&) { return RequestKind::kPassword; }
    RequestKind operator()(const RefreshInput&) { return RequestKind::kRefresh; }
    RequestKind operator()(const AccessRefreshInput&) { return RequestKind::kRefresh; }
    RequestKind operator()(const CodeInput&) { return RequestKind::kCode; }
    RequestKind operator()(const DeviceStartInput&) { return RequestKind::kDeviceStart; }
    RequestKind operator()(const DevicePollInput&) { return RequestKind::kDevicePoll; }
  };
  return std::visit(Kind{}, input);
}

Result<HttpRequest> build_token_request(const provider::Profile& profile, const Vars& vars,
                                        const ClientCredentials& client, const GrantInput& input,
                                        const std::vector<std::string>& scopes, WallTime now, Random& random) {
  const RequestKind kind = kind_of(input);
  const provider::Endpoint* endpoint = endpoint_for(profile, kind);
  if (endpoint == nullptr) return invalid("the provider has no endpoint for this request");
  const Expander expander(profile, vars, client.client_id);
  auto frame = make_frame(profile, expander, *endpoint, kind);
  if (!frame) return frame.error();
  auto proof = proof_for(profile, expander, client, now);
  if (!proof) return proof.error();

  ParameterList parameters;
  std::visit(GrantParameters{parameters}, input);
  if (sends_scope(profile, kind)) parameters.set("scope", scope_list(scopes, profile.authorize.scope_separator));
  // RFC 8628 asks for it of public clients only, many servers of all.
  if (kind == RequestKind::kDeviceStart) parameters.set("client_id", client.client_id);
  return finish_request(std::move(*frame), std::move(parameters), &*proof, client, random);
}

Result<HttpRequest> build_introspection_request(const provider::Profile& profile, const Vars& vars,
                                                const ClientCredentials& client, const Secret& token, WallTime now,
                                                Random& random) {
  if (profile.endpoints.introspect.url.empty()) return invalid("the provider has no introspection endpoint");
  const Expander expander(profile, vars, client.client_id);
  auto frame = make_frame(profile, expander, profile.endpoints.introspect, RequestKind::kIntrospect);
  if (!frame) return frame.error();
  auto proof = proof_for(profile, expander, client, now);
  if (!proof) return proof.error();
  ParameterList parameters;
  parameters.set("token", token.expose());
  parameters.set("token_type_hint", "access_token");
  return finish_request(std::move(*frame), std::move(parameters), &*proof, client, random);
}

std::string_view authorization_credentials(const HttpRequest& request) {
  for (const Header& header : request.headers) {
    if (!same_header_name(header.name, "Authorization")) continue;
    const std::string_view value = header.value;
    return value.substr(std::min(value.find(' ') + 1, value.size()));
  }
  return {};
}

std::string token_origin(const provider::Profile& profile, const Vars& vars) {
  const auto url = Expander(profile, vars, "").url(profile.endpoints.token.url);
  if (!url) return {};
  const auto parsed = provider::parse_url(*url);
  return parsed ? provider::origin_of(*parsed) : std::string();
}

}  // namespace credsync::oauth
