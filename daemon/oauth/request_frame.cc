#include "daemon/oauth/request_frame.h"

#include <utility>

#include "base/encoding.h"
#include "daemon/provider/template.h"
#include "daemon/provider/url.h"

namespace credsync::oauth {

Result<std::string> Expander::url(std::string_view text) const {
  auto expanded = provider::expand(text, profile_.vars, vars_);
  if (!expanded) return expanded.error();
  std::string url = provider::fill_reserved(*expanded, provider::kClientIdVariable, encode_percent(client_id_));
  if (auto parsed = provider::parse_url(url); !parsed) return parsed.error();
  return url;
}

Result<std::string> Expander::text(std::string_view text) const {
  auto expanded = provider::expand(text, profile_.vars, vars_);
  if (!expanded) return expanded.error();
  return provider::fill_reserved(*expanded, provider::kClientIdVariable, client_id_);
}

Result<provider::StringMap> Expander::values(const provider::StringMap& templates) const {
  provider::StringMap out;
  for (const auto& [name, value] : templates) {
    auto expanded = text(value);
    if (!expanded) return expanded.error().within(name);
    out.emplace(name, std::move(*expanded));
  }
  return out;
}

Result<Frame> make_frame(const provider::Profile& profile, const Expander& expander, const provider::Endpoint& endpoint,
                         provider::RequestKind kind) {
  Frame frame;
  frame.method = endpoint.method;
  frame.encoding = endpoint.encoding;
  auto url = expander.url(endpoint.url);
  if (!url) return url.error().within("endpoint");
  frame.url = std::move(*url);
  auto headers = expander.values(endpoint.headers);
  if (!headers) return headers.error().within("headers");
  frame.headers = std::move(*headers);
  if (const auto rules = profile.parameters.find(kind); rules != profile.parameters.end()) {
    frame.rules = &rules->second;
    auto set = expander.values(rules->second.set);
    if (!set) return set.error().within("parameters");
    frame.set = std::move(*set);
  }
  return frame;
}

Result<ClientProof> proof_for(const provider::Profile& profile, const Expander& expander,
                              const ClientCredentials& client, WallTime now) {
  ClientProof proof;
  proof.method = choose_client_auth(profile.client.auth, client);
  proof.basic_encoding = profile.client.basic_encoding;
  proof.algorithm = profile.client.signing_algorithm;
  proof.now = now;
  const bool declared = !profile.client.assertion_audience.empty();
  auto audience =
      declared ? expander.text(profile.client.assertion_audience) : expander.url(profile.endpoints.token.url);
  if (audience)
    proof.audience = std::move(*audience);
  else if (proof.method == provider::ClientAuth::kPrivateKeyJwt ||
           proof.method == provider::ClientAuth::kClientSecretJwt) {
    return audience.error().within("audience of the client assertion");
  }
  return proof;
}

Result<HttpRequest> finish_request(Frame frame, ParameterList parameters, const ClientProof* proof,
                                   const ClientCredentials& client, Random& random) {
  static const provider::Parameters kNoRules;
  if (!is_header_name(frame.method)) return invalid("not an HTTP method");  // both are tokens
  HttpRequest request;
  request.method = std::move(frame.method);
  request.url = std::move(frame.url);
  HttpRequest proven;  // holds the proof's headers until the profile's are in: wiped like a request
  if (proof != nullptr) CREDSYNC_TRY(add_client_proof(*proof, client, random, parameters, proven.headers));
  apply_rules(frame.rules != nullptr ? *frame.rules : kNoRules, frame.set, parameters);

  CREDSYNC_TRY(put_header(request.headers, "Accept", "application/json"));
  CREDSYNC_TRY(put_header(request.headers, "User-Agent", "credsyncd/" CREDSYNC_VERSION));
  CREDSYNC_TRY(encode_parameters(parameters, frame.encoding, random, request));
  const bool multipart = frame.encoding == provider::Encoding::kMultipart;
  for (const auto& [name, value] : frame.headers) {
    if (multipart && same_header_name(name, "Content-Type")) continue;  // ours names the boundary
    CREDSYNC_TRY(put_header(request.headers, name, value));
  }
  for (const Header& header : proven.headers)
    CREDSYNC_TRY(put_header(request.headers, header.name, header.value));
  return request;
}

}  // namespace credsync::oauth
