#include "base/encoding.h"
#include "daemon/oauth/request_frame.h"
#include "daemon/oauth/token_request.h"
#include "daemon/provider/template.h"

namespace credsync::oauth {
namespace {

using provider::ClientAuth;
using provider::RevokeHow;

// The client's proof at the revocation endpoint; nothing when it is not to be named there. What the profile
// says wins. Else as at the token endpoint, but: a GET or path style never puts the client's secret into a
// URL or a body that the style does not have, and in the bearer style the token itself is the proof.
std::optional<ClientAuth> revocation_auth(const provider::Profile& rules, const ClientCredentials& client) {
  if (rules.revoke.auth) return rules.revoke.auth;
  const ClientAuth usual = choose_client_auth(rules.client.auth, client);
  switch (rules.revoke.how) {
    case RevokeHow::kRfc7009:
    case RevokeHow::kDelete: return usual;
    case RevokeHow::kGet:
    case RevokeHow::kPath: return usual == ClientAuth::kBasic ? std::optional(usual) : std::nullopt;
    case RevokeHow::kBearer:
    case RevokeHow::kNone: return std::nullopt;
  }
  return std::nullopt;
}

std::string method_of(const provider::Profile& rules) {
  if (rules.revoke.how == RevokeHow::kGet) return "GET";
  if (rules.revoke.how == RevokeHow::kDelete) return "DELETE";
  return rules.endpoints.revoke.method;
}

// RFC 7009, 2.1. Where the URL or the Authorization header carries the token there are no parameters of ours.
void add_token(const provider::Profile& rules, TokenKind kind, const Secret& token, bool in_url, ParameterList& out) {
  if (in_url || rules.revoke.how == RevokeHow::kPath || rules.revoke.how == RevokeHow::kBearer) return;
  out.set("token", token.expose());
  if (rules.revoke.hint) out.set("token_type_hint", kind == TokenKind::kAccess ? "access_token" : "refresh_token");
}

Frame frame_of(const RevocationOrder& order) {
  const provider::Profile& rules = order.rules;
  Frame frame;
  frame.method = method_of(rules);
  frame.url = provider::fill_reserved(order.url, provider::kClientIdVariable, encode_percent(order.client_id));
  frame.encoding = rules.endpoints.revoke.encoding;
  frame.headers = rules.endpoints.revoke.headers;
  const auto parameters = rules.parameters.find(provider::RequestKind::kRevoke);
  if (parameters != rules.parameters.end()) {
    frame.rules = &parameters->second;
    frame.set = parameters->second.set;
  }
  return frame;
}

// Whether there was a place for it.
bool put_token_into_url(const Secret& token, std::string& url) {
  if (url.find("{" + std::string(provider::kTokenVariable) + "}") == std::string::npos) return false;
  const WipedString escaped(encode_percent(token.expose()));
  url = provider::fill_reserved(url, provider::kTokenVariable, escaped.text());
  return true;
}

std::optional<ClientProof> proof_for(const RevocationOrder& order, const ClientCredentials& client, WallTime now) {
  const provider::Profile& rules = order.rules;
  const auto method = revocation_auth(rules, client);
  if (!method) return std::nullopt;
  const std::string& audience = rules.client.assertion_audience;
  return ClientProof{*method, rules.client.basic_encoding, rules.client.signing_algorithm,
                     audience.empty() ? order.url : audience, now};
}

ClientCredentials credentials_of(const RevocationOrder& order) {
  return {order.client_id, order.client_secret.clone(), order.private_key.clone(), order.key_id};
}

}  // namespace

Result<RevocationOrder> make_revocation_order(const provider::Profile& profile, const Vars& vars,
                                              const ClientCredentials& client) {
  if (profile.revoke.how == RevokeHow::kNone || profile.endpoints.revoke.url.empty()) {
    return invalid("the provider has no revocation");
  }
  const Expander expander(profile, vars, client.client_id);
  auto frame = make_frame(profile, expander, profile.endpoints.revoke, provider::RequestKind::kRevoke);
  if (!frame) return frame.error();
  const std::string& declared = profile.client.assertion_audience;
  auto audience = declared.empty() ? expander.url(profile.endpoints.token.url) : expander.text(declared);
  RevocationOrder order;
  order.url = std::move(frame->url);
  order.rules.id = profile.id;
  order.rules.client = profile.client;
  order.rules.client.assertion_audience = audience ? *audience : order.url;
  order.rules.revoke = profile.revoke;
  order.rules.endpoints.revoke = profile.endpoints.revoke;
  order.rules.endpoints.revoke.url = order.url;
  order.rules.endpoints.revoke.headers = std::move(frame->headers);
  if (frame->rules != nullptr) {
    provider::Parameters& parameters = order.rules.parameters[provider::RequestKind::kRevoke];
    parameters = *frame->rules;
    parameters.set = std::move(frame->set);
  }
  order.rules.errors = profile.errors;
  order.rules.delivery = profile.delivery;
  order.client_id = client.client_id;
  order.client_secret = client.secret.clone();
  order.private_key = client.private_key.clone();
  order.key_id = client.key_id;
  return order;
}

Result<HttpRequest> build_revocation_request(const RevocationOrder& order, TokenKind kind, const Secret& token,
                                             WallTime now, Random& random) {
  const provider::Profile& rules = order.rules;
  if (rules.revoke.how == RevokeHow::kNone || order.url.empty()) return invalid("the provider has no revocation");
  const bool taken = kind == TokenKind::kAccess ? rules.revoke.access_tokens : rules.revoke.refresh_tokens;
  if (!taken) return invalid("the provider does not revoke tokens of this kind");
  if (token.empty()) return invalid("there is no token to revoke");

  Frame frame = frame_of(order);
  const bool in_url = put_token_into_url(token, frame.url);
  if (rules.revoke.how == RevokeHow::kPath && !in_url) return invalid("the revocation URL has no {token}");
  ParameterList parameters;
  add_token(rules, kind, token, in_url, parameters);
  const ClientCredentials client = credentials_of(order);
  const auto proof = proof_for(order, client, now);
  auto request = finish_request(std::move(frame), std::move(parameters), proof ? &*proof : nullptr, client, random);
  if (request && rules.revoke.how == RevokeHow::kBearer) {
    WipedString value(rules.delivery.prefix + std::string(token.expose()));
    CREDSYNC_TRY(put_header(request->headers, rules.delivery.header, value.text()));
  }
  return request;
}

}  // namespace credsync::oauth
