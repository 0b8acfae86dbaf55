// ID tokens (OpenID Connect Core, 2 and 3.1.3.7): who signed in, said by the issuer for this client and this sign-in.
// Pure; every input is hostile.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/secret.h"
#include "base/time.h"

namespace credsync::oauth {

class KeySet;

// How far the provider's clock and ours may differ.
constexpr Duration kIdTokenLeeway = 120s;

struct IdTokenExpectation {
  std::string_view issuer;                     // compared exactly; empty: the profile names none
  std::string_view client_id;                  // must be in aud
  std::string_view client_secret;              // the key of HS256 to HS512; empty: those are refused
  const std::vector<std::string>& algorithms;  // allowed; empty: all that are safe
  // Null: the signature is not checked, which OpenID Connect Core, 3.1.3.7 (6) allows for a token that came straight
  // from the token endpoint, whose TLS certificate was checked. Everything else is.
  const KeySet* keys = nullptr;
  std::string_view nonce;         // that was sent; empty: none
  std::string_view access_token;  // at_hash binds it
  bool hash_required = false;     // implicit: at_hash must be there (3.2.2.9)
  WallTime now;
};

struct IdTokenClaims {
  std::string issuer, subject;
  std::string display;  // e-mail address or name, cleaned; may be empty
};

enum class IdTokenFault {
  kMalformed,
  kAlgorithm,
  kUnknownKey,  // new keys may have come: worth asking for them once
  kSignature,
  kIssuer,
  kAudience,
  kTime,
  kNonce,
  kHash,
};
struct IdTokenRefused {
  IdTokenFault fault = IdTokenFault::kMalformed;
  std::string words;  // for people, cleaned, without secrets
};

// In this order: the form, the algorithm, the signature, then the claims.
std::variant<IdTokenClaims, IdTokenRefused> check_id_token(std::string_view token, const IdTokenExpectation& expected);

// What check_id_token will verify the signature with: a public key of the issuer, or the client's secret. Nothing for a
// token that is malformed or signed with anything else.
enum class IdTokenKey { kIssuers, kClientSecret };
std::optional<IdTokenKey> key_needed(std::string_view token);

// Of whom the token speaks, unverified.
struct Subject {
  std::string issuer, subject;
  friend bool operator==(const Subject&, const Subject&) = default;
};
std::optional<Subject> subject_of(std::string_view id_token);

// OpenID Connect Core, 12.2: the ID token of a refresh has the same iss and sub as the one before. True where one of them
// is missing or says nothing: then there is nothing to compare.
bool same_subject(std::string_view before, std::string_view after);

}  // namespace credsync::oauth
