// What the refresher and the revoker talk to: an authorization server that answers later, on the loop. The real one runs
// a blocking exchange on a worker; tests have a scripted one.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/unique_function.h"
#include "daemon/config/config.h"
#include "daemon/oauth/token_answer.h"

namespace credsync::oauth {

struct TokenCall {
  std::shared_ptr<const config::Account>
      account;  // profile, client, scopes, vars; secrets are read when the call is made
  GrantInput input;
  bool fresh_connection = false;        // a refresh that rotates
  std::optional<BootTime> send_before;  // not sent at all rather than later than this
  bool password_from_source = false;    // fill PasswordInput's password from account->password
};

struct RevokeCall {
  // Built from the account's present configuration when it is still the same grant, else the stored order.
  std::shared_ptr<const config::Account> account;  // may be null
  Secret order;                                    // serialised RevocationOrder; used when account is null
  TokenKind kind = TokenKind::kAccess;
  Secret token;
};

// What came of a call, and the stored form of what revoking its tokens will need (empty where the profile has no
// revocation): made here because the client's secret is at hand here only.
struct CallResult {
  TokenOutcome outcome;
  Secret order;
};

class TokenEndpoint {
 public:
  virtual ~TokenEndpoint() = default;
  // `done` is called once, later, on the loop.
  virtual void call(TokenCall call, UniqueFunction<void(CallResult)> done) = 0;
  virtual void revoke(RevokeCall call, UniqueFunction<void(RevocationOutcome)> done) = 0;
  // The stored form of what revoking needs, secrets included; empty where the provider has no revocation. Later, on the loop.
  // Errors: a secret cannot be read, or the provider's addresses cannot be had, just now.
  virtual void make_order(std::shared_ptr<const config::Account> account,
                          UniqueFunction<void(Result<Secret>)> done) = 0;
};

}  // namespace credsync::oauth
