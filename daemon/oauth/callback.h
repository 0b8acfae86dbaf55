// What a browser brings back from the authorization endpoint (RFC 6749, 4.1.2 and 4.2.2; RFC 9207). Pure; every
// input is hostile: any local process and any web page can make one up.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/secret.h"
#include "base/time.h"
#include "daemon/account/tokens.h"
#include "daemon/provider/profile.h"

namespace credsync::oauth {

// Longest callback that is read: a code, a state and what a provider adds. Browsers stop at 64 KiB or before.
constexpr std::size_t kMaxCallbackBytes = 16 * 1024;

// What the answer is compared with.
struct CallbackExpectation {
  const provider::Profile* profile = nullptr;
  bool implicit = false;            // the answer is in the fragment and has the token itself
  Secret state;                     // empty: none was sent
  std::string issuer;               // empty: unknown, an `iss` is then not looked at
  bool iss_required = false;        // RFC 9207: the server says that it sends one
  std::string redirect_uri;         // a pasted address must begin with it
  std::vector<std::string> scopes;  // asked for: what an implicit answer that names none has granted (RFC 6749, 4.2.2)
};

// The wrong answer says why, and whether the session may go on waiting for the right one: what does not carry our
// state did not come from our request.
struct CallbackRefused {
  bool foreign = false;  // not an answer to this session: refused, the session goes on
  std::string code;      // the provider's `error` ("access_denied"), or "state", "issuer", "malformed", "duplicate"
  std::string words;     // for people, cleaned, without secrets
};
struct CallbackCode {
  Secret code;
  std::map<std::string, std::string> kept;  // of profile.authorize.keep
};
struct CallbackTokens {      // implicit
  account::TokenSet tokens;  // lifetime counts from `received`
  std::map<std::string, std::string> kept;
};
using CallbackOutcome = std::variant<CallbackCode, CallbackTokens, CallbackRefused>;

// `parameters`: the query (after '?') or, for the implicit grant, the fragment (after '#'), still encoded. State is
// compared in constant time and before anything else is believed; a parameter that comes twice refuses the whole. Where
// the profile says that state is not echoed, an answer without one is taken, one with another is not.
CallbackOutcome read_callback(std::string_view parameters, const CallbackExpectation& expected, WallTime received);

// A pasted address: https://…/callback?code=…&state=…, with or without blanks around it, or only what follows '?' or '#'.
CallbackOutcome read_pasted(std::string_view pasted, const CallbackExpectation& expected, WallTime received);

}  // namespace credsync::oauth
