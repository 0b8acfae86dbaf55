// Signed client assertions: JWTs by which an OAuth client proves itself (RFC 7521, 7523; OpenID Connect Core,
// 9). Pure but for OpenSSL's own randomness in the signatures.
#pragma once

#include <string_view>

#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"

namespace credsync::oauth {

// Long enough for a skewed clock and a slow network, short for whoever copies it.
constexpr Duration kAssertionLife = 60s;

struct AssertionClaims {
  std::string_view client_id;  // iss and sub
  std::string_view audience;
  std::string_view key_id;  // `kid`; empty: left out
  WallTime now;
};

// Signs with a PEM private key. `algorithm`: RS256, PS256, ES256 or their 384 and 512 bit kin; empty: by the
// key's type. Errors: a key that cannot be read, is encrypted, too short (RFC 7518, 3.3) or of another type
// than the algorithm.
Result<Secret> sign_with_key(const AssertionClaims& claims, std::string_view algorithm, const Secret& pem,
                             Random& random);

// Signs with the client secret. `algorithm`: HS256 (also when empty), HS384 or HS512.
Result<Secret> sign_with_secret(const AssertionClaims& claims, std::string_view algorithm, const Secret& secret,
                                Random& random);

}  // namespace credsync::oauth
