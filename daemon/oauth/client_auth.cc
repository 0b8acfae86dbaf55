#include "daemon/oauth/client_auth.h"

#include <algorithm>

#include "base/encoding.h"
#include "daemon/oauth/client_assertion.h"

namespace credsync::oauth {
namespace {

using provider::ClientAuth;

bool can_use(ClientAuth method, const ClientCredentials& client) {
  switch (method) {
    case ClientAuth::kBasic:
    case ClientAuth::kPost:
    case ClientAuth::kClientSecretJwt: return !client.secret.empty();
    case ClientAuth::kPrivateKeyJwt:
    case ClientAuth::kTls:
      return !client.private_key.empty();  // the transport proves it; here only client_id goes along
    case ClientAuth::kNone: return false;  // only when nothing else can be used
  }
  return false;
}

Result<void> add_basic(const ClientProof& proof, const ClientCredentials& client, std::vector<Header>& headers) {
  const bool raw = proof.basic_encoding == provider::BasicEncoding::kRaw;
  if (raw && client.client_id.find(':') != std::string::npos) {
    return invalid("client_id holds a colon, which unencoded Basic authentication cannot carry");
  }
  WipedString id(raw ? client.client_id : encode_form(client.client_id));
  WipedString secret(raw ? std::string(client.secret.expose()) : encode_form(client.secret.expose()));
  WipedString pair;
  pair.text().reserve(id.text().size() + secret.text().size() + 1);
  pair.text().append(id.text()).append(":").append(secret.text());
  WipedString encoded(encode_base64(pair.text()));
  WipedString value;
  value.text().reserve(encoded.text().size() + 6);
  value.text().append("Basic ").append(encoded.text());
  return put_header(headers, "Authorization", value.text());
}

Result<void> add_assertion(const ClientProof& proof, const ClientCredentials& client, Random& random,
                           ParameterList& parameters) {
  const AssertionClaims claims{client.client_id, proof.audience, client.key_id, proof.now};
  auto assertion = proof.method == ClientAuth::kPrivateKeyJwt
                       ? sign_with_key(claims, proof.algorithm, client.private_key, random)
                       : sign_with_secret(claims, proof.algorithm, client.secret, random);
  if (!assertion) return assertion.error();
  parameters.set("client_id",
                 client.client_id);  // optional (RFC 7521, 4.2); some servers look the client up by it
  parameters.set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
  parameters.set("client_assertion", assertion->expose());
  return {};
}

}  // namespace

ClientAuth choose_client_auth(const std::vector<ClientAuth>& offered, const ClientCredentials& client) {
  for (const ClientAuth method : offered) {
    if (can_use(method, client)) return method;
  }
  if (offered.empty() || std::find(offered.begin(), offered.end(), ClientAuth::kNone) != offered.end()) {
    return ClientAuth::kNone;
  }
  return offered.front();
}

Result<void> add_client_proof(const ClientProof& proof, const ClientCredentials& client, Random& random,
                              ParameterList& parameters, std::vector<Header>& headers) {
  switch (proof.method) {
    case ClientAuth::kBasic: return add_basic(proof, client, headers);
    case ClientAuth::kPost:
      parameters.set("client_id", client.client_id);
      parameters.set("client_secret", client.secret.expose());
      return {};
    case ClientAuth::kNone:
    case ClientAuth::kTls:  // RFC 8705, 2: the certificate is the proof, client_id says whose
      parameters.set("client_id", client.client_id);
      return {};
    case ClientAuth::kPrivateKeyJwt:
    case ClientAuth::kClientSecretJwt: return add_assertion(proof, client, random, parameters);
  }
  return {};
}

}  // namespace credsync::oauth
