// What a failed exchange with a provider means (design section 7; facts in its table).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace credsync::oauth {

enum class FailureClass {
  kNotSent,     // failed before the request left: transient, safe to repeat
  kAmbiguous,   // it left, and no complete answer came (also a 2xx that is cut or cannot be parsed)
  kTransient,   // the provider is ill or busy: 408, 425, 429, 5xx, HTML, temporarily_unavailable …
  kNeedsLogin,  // the grant is dead
  kUnclear,     // 400/401/403 with an empty body on refresh: dead grant or wrong client; slowly twice, then
                // needs-login
  kClient,      // invalid_client and its like: all accounts of that client pause
  kRefused,     // invalid_scope, redirect_uri_mismatch, 3xx, other 4xx: this account is suspended
  kUntrusted,   // TLS verification failed: retrying, suspended after 24 h
  kNoToken,     // 200 without an access token and without an error
  kStartOver,   // invalid_code: the sign-in starts over
  kLocal,       // a secret source or CA file of ours could not be read: suspended until it is mended
};
std::string_view to_string(FailureClass c);  // "transient", "needs-login", …

struct Failure {
  FailureClass failure_class = FailureClass::kTransient;
  std::string code;   // the provider's, cleaned: "invalid_grant"; or ours: "resolve", "deadline"
  std::string words;  // one line for people, cleaned, without secrets
  int status = 0;     // HTTP; 0: none
  bool sent = false;
  std::optional<Duration> retry_after;  // asked for by the provider, 0 to 1 h
  bool rate_limited = false;            // 429 or a declared limit used up: the endpoint and client share the pause
};

}  // namespace credsync::oauth
