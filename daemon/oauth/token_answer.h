// Reads what a provider answered: tokens or a classified failure. Pure; every input is hostile.
#pragma once

#include <span>
#include <string_view>
#include <variant>

#include "daemon/account/tokens.h"
#include "daemon/oauth/failure.h"
#include "daemon/oauth/http.h"
#include "daemon/oauth/json_value.h"
#include "daemon/oauth/token_request.h"
#include "daemon/provider/profile.h"

namespace credsync::oauth {

// Of what is shown of whom a grant is for.
constexpr std::size_t kMaxSubjectBytes = 256;

using TokenOutcome = std::variant<account::TokenSet, Failure>;

// What was asked, for the parts of an answer that may be left out.
struct Asked {
  provider::RequestKind kind = provider::RequestKind::kRefresh;
  std::vector<std::string> scopes;
  std::vector<std::string_view> secrets;  // of the request: stripped from words that are shown
};

// In this order: the body whatever the status, the profile's match table, the status, the general rules.
// `jitter` is left 0 for the caller to draw. A missing refresh token stays empty: the caller
// keeps the old one.
TokenOutcome read_token_answer(const provider::Profile& profile, const HttpResponse& response, const Asked& asked);

// The tokens of an implicit answer (RFC 6749, 4.2.2): `fields` has its parameters by their standard names, the profile's
// rules for the token endpoint's envelope do not hold there. Lifetimes count from `received`.
TokenOutcome read_implicit_answer(const provider::Profile& profile, const JsonValue& fields, WallTime received,
                                  const Asked& asked);

// A transport error as a failure.
Failure read_transport_error(const TransportError& error);

// RFC 7009: done, to be retried, or never to work.
enum class RevocationResult { kDone, kRetry, kRefused };
struct RevocationOutcome {
  RevocationResult result = RevocationResult::kRetry;
  Failure failure;  // when not kDone
};
// Where the answer is not plain success (see revocation_answer.cc for the choices): `secrets` of the request
// are stripped from words that are shown.
RevocationOutcome read_revocation_answer(const provider::Profile& profile, const HttpResponse& response,
                                         std::span<const std::string_view> secrets = {});

struct Introspection {
  bool active = false;
  std::optional<WallTime> expires_at;
};
Result<Introspection> read_introspection(const HttpResponse& response);

// The `exp` of a JWT in its payload, unverified: good for planning only. Nothing if it is not a JWT.
std::optional<WallTime> jwt_expiry(std::string_view token);

// Retry-After and declared rate-limit headers, as the time to wait from the answer's receipt, 0 to 1 h.
std::optional<Duration> retry_after(const HttpResponse& response, const provider::Limits& limits);

}  // namespace credsync::oauth
