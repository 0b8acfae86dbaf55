// Builds the messages of RFC 6749, 7009, 7521/7523, 7662 and 8628 as a profile wants them. Pure: time and
// chance are arguments.
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "daemon/oauth/http.h"
#include "daemon/provider/profile.h"

namespace credsync::oauth {

// The OAuth client with its secrets at hand.
struct ClientCredentials {
  std::string client_id;
  Secret secret;       // empty: a public client
  Secret private_key;  // PEM
  std::string key_id;
};

struct CodeInput {
  Secret code;
  std::string redirect_uri;
  Secret verifier; /* empty: no PKCE */
};
struct PasswordInput {
  std::string username;
  Secret password;
};
struct RefreshInput {
  Secret refresh_token;
};
struct AccessRefreshInput {
  Secret access_token;
};  // providers that renew by the access token itself
struct ClientCredentialsInput {};
struct DeviceStartInput {};
struct DevicePollInput {
  Secret device_code;
};
using GrantInput = std::variant<ClientCredentialsInput, PasswordInput, RefreshInput, AccessRefreshInput, CodeInput,
                                DeviceStartInput, DevicePollInput>;
provider::RequestKind kind_of(const GrantInput& input);

using Vars = std::map<std::string, std::string>;

// The request to the token endpoint (or refresh or device endpoint) for `input`.
// `scopes` are sent with the kinds whose RFC says so. Errors: a template without its variable, a key that
// cannot sign.
Result<HttpRequest> build_token_request(const provider::Profile& profile, const Vars& vars,
                                        const ClientCredentials& client, const GrantInput& input,
                                        const std::vector<std::string>& scopes, WallTime now, Random& random);

// The credentials in the request's Authorization header, without the scheme; empty if there are none. To be
// struck out, like the secrets themselves, of words in which a provider echoes them.
std::string_view authorization_credentials(const HttpRequest& request);

enum class TokenKind { kAccess, kRefresh };

// What is needed to revoke one token even after its account left the configuration. Stored sealed.
struct RevocationOrder {
  std::string url;          // expanded; {token} is still in it for RevokeHow::kPath and query styles
  provider::Profile rules;  // only client, revoke, parameters[kRevoke], endpoints.revoke, errors and delivery
                            // matter; texts in it are expanded, not templates
  std::string client_id;
  Secret client_secret;
  Secret private_key;
  std::string key_id;
  std::string ca_file;
  bool allow_http_loopback = false;
  std::string client_certificate;
};

// The order for one account: templates filled in, the audience of assertions settled, only the part of the
// profile that revoking needs. `ca_file`, `allow_http_loopback` and `client_certificate` are the caller's to
// fill. Errors: the profile has no revocation, a template without its variable.
Result<RevocationOrder> make_revocation_order(const provider::Profile& profile, const Vars& vars,
                                              const ClientCredentials& client);
Secret serialise(const RevocationOrder& order);  // JSON; secrets in base64, so that any bytes survive
Result<RevocationOrder> parse_revocation_order(const Secret& text);

// Errors: the provider takes no tokens of that kind, a token that cannot stand in a header or URL, a key that
// cannot sign.
Result<HttpRequest> build_revocation_request(const RevocationOrder& order, TokenKind kind, const Secret& token,
                                             WallTime now, Random& random);

// RFC 7662. Answers are read by read_introspection in token_answer.h.
Result<HttpRequest> build_introspection_request(const provider::Profile& profile, const Vars& vars,
                                                const ClientCredentials& client, const Secret& token, WallTime now,
                                                Random& random);

// https://host[:port] of the token endpoint, after the variables are filled in, the scheme's own port left
// out; empty if it cannot be built.
std::string token_origin(const provider::Profile& profile, const Vars& vars);

}  // namespace credsync::oauth
