// What a sign-in asks of an authorization server besides tokens: where to send the browser, a device code, who has
// signed in. Answers come later, on the loop. The real one runs blocking exchanges on workers; tests have a scripted one.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "base/secret.h"
#include "base/unique_function.h"
#include "daemon/account/tokens.h"
#include "daemon/config/config.h"
#include "daemon/oauth/authorize_request.h"
#include "daemon/oauth/device_answer.h"
#include "daemon/oauth/failure.h"

namespace credsync::oauth {

struct AuthorizeCall {
  std::shared_ptr<const config::Account> account;
  bool implicit = false;
  std::string redirect_uri;  // exact, with the port that is listened on
  AuthorizeSecrets secrets;
};

// Where to send the browser. Discovery has been made and the request pushed (RFC 9126) where the profile or the metadata
// ask for it.
struct AuthorizeAnswer {
  Secret url;                                        // carries state, nonce and challenge
  std::shared_ptr<const provider::Profile> profile;  // completed by discovery
  std::string issuer;                                // what `iss` and the ID token are compared with; empty: unknown
  bool iss_required = false;                         // RFC 9207
  std::optional<Duration> expires_in;                // of a pushed request
};

// Who a new token set belongs to. Where an ID token came it is validated (signature by the issuer's keys, iss, aud, azp,
// exp, iat, nonce, at_hash); else the profile's userinfo endpoint or the answer itself tell, or nobody does.
struct IdentifyCall {
  std::shared_ptr<const config::Account> account;
  account::TokenSet tokens;
  Secret nonce;
};
struct Identified {
  account::TokenSet tokens;        // `subject` set where it is known
  std::string display;             // for people: an e-mail address or name; cleaned, may be empty
  std::optional<Failure> failure;  // the ID token is not to be believed, or its keys could not be had
};

class AuthorizationServer {
 public:
  virtual ~AuthorizationServer() = default;
  // `done` is called once, later, on the loop.
  virtual void authorize(AuthorizeCall call, UniqueFunction<void(std::variant<AuthorizeAnswer, Failure>)> done) = 0;
  virtual void start_device(std::shared_ptr<const config::Account> account,
                            UniqueFunction<void(std::variant<DeviceAnswer, Failure>)> done) = 0;
  virtual void identify(IdentifyCall call, UniqueFunction<void(Identified)> done) = 0;
};

}  // namespace credsync::oauth
