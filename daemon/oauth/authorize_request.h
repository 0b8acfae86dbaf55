// The authorization request: where the browser is sent, and what is sent there first where a server wants it pushed
// (RFC 6749, 4.1.1 and 4.2.1; RFC 7636; RFC 9126; OpenID Connect Core, 3.1.2.1). Pure: time and chance are arguments.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "daemon/oauth/failure.h"
#include "daemon/oauth/http.h"
#include "daemon/oauth/token_request.h"
#include "daemon/provider/profile.h"

namespace credsync::oauth {

// With a long list of scopes; servers cut request lines at 8 KiB and more.
constexpr std::size_t kMaxAuthorizeUrlBytes = 16 * 1024;

// One sign-in's own secrets. Empty: not used (the profile says so).
struct AuthorizeSecrets {
  Secret state;     // 256 random bits
  Secret nonce;     // OpenID Connect Core, 3.1.2.1
  Secret verifier;  // RFC 7636, 4.1: 43 to 128 unreserved characters
};

// What this profile and these scopes need; the scope `openid` needs a nonce whatever the profile says.
AuthorizeSecrets make_authorize_secrets(const provider::Profile& profile, const std::vector<std::string>& scopes,
                                        bool implicit, Random& random);

// BASE64URL(SHA256(ASCII(verifier))), RFC 7636, 4.2.
std::string s256_challenge(std::string_view verifier);

struct AuthorizeInput {
  bool implicit = false;
  std::string_view redirect_uri;  // exact
  const AuthorizeSecrets& secrets;
  const std::vector<std::string>& scopes;
  const std::map<std::string, std::string>& params;  // the account's own
};

// The address for the browser. Errors: a template without its variable; no authorization endpoint; the profile wants
// PKCE, state or nonce and something takes it back (`omit`, `set`, an account's `params`, a secret that is missing, or
// a server whose metadata does not know the method): never a silent downgrade.
Result<Secret> build_authorize_url(const provider::Profile& profile, const Vars& vars, std::string_view client_id,
                                   const AuthorizeInput& input, Random& random);

// The same parameters for the pushed authorization request endpoint, with the client's proof (RFC 9126, 2.1).
Result<HttpRequest> build_push_request(const provider::Profile& profile, const Vars& vars,
                                       const ClientCredentials& client, const AuthorizeInput& input, WallTime now,
                                       Random& random);

struct Pushed {  // RFC 9126, 2.2
  Secret request_uri;
  Duration expires_in{0};  // 5 s to 1 h
};
std::variant<Pushed, Failure> read_push_answer(const provider::Profile& profile, const HttpResponse& response,
                                               const std::vector<std::string_view>& secrets);

// Where the browser is sent after pushing: client_id and request_uri only (RFC 9126, 4).
Result<Secret> build_pushed_url(const provider::Profile& profile, const Vars& vars, std::string_view client_id,
                                const Secret& request_uri, Random& random);

}  // namespace credsync::oauth
