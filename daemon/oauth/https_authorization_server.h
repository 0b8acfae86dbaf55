// The real AuthorizationServer: each call is one job on the worker pool: complete the profile by discovery, build the
// messages, exchange them, read the answers; the result is posted back to the loop.
#pragma once

#include "base/loop.h"
#include "base/random.h"
#include "base/worker_pool.h"
#include "daemon/oauth/authorization_server.h"
#include "daemon/oauth/discovery.h"
#include "daemon/oauth/id_token.h"
#include "daemon/oauth/key_source.h"
#include "daemon/oauth/transport.h"

namespace credsync::oauth {

class HttpsAuthorizationServer final : public AuthorizationServer {
 public:
  HttpsAuthorizationServer(Transport& transport, Discovery& discovery, WorkerPool& workers, Executor& loop,
                           const Clock& clock)
      : transport_(transport),
        discovery_(discovery),
        workers_(workers),
        loop_(loop),
        clock_(clock),
        keys_(transport, clock) {}

  void authorize(AuthorizeCall call, UniqueFunction<void(std::variant<AuthorizeAnswer, Failure>)> done) override;
  void start_device(std::shared_ptr<const config::Account> account,
                    UniqueFunction<void(std::variant<DeviceAnswer, Failure>)> done) override;
  void identify(IdentifyCall call, UniqueFunction<void(Identified)> done) override;

 private:
  std::variant<AuthorizeAnswer, Failure> authorize_now(const AuthorizeCall& call);
  std::variant<Pushed, Failure> push_now(const AuthorizeCall& call, const AuthorizeInput& input,
                                         const ClientCredentials& client, const provider::Profile& profile);
  std::variant<DeviceAnswer, Failure> start_device_now(const config::Account& account);
  Identified identify_now(IdentifyCall& call);
  std::optional<Failure> believe_id_token(const IdentifyCall& call, Identified& out);
  std::variant<IdTokenClaims, Failure> check(std::string_view token, IdTokenExpectation expected,
                                             const std::string& jwks, const config::Account& account);
  void ask_userinfo(const config::Account& account, Identified& out);

  Transport& transport_;
  Discovery& discovery_;
  WorkerPool& workers_;
  Executor& loop_;
  const Clock& clock_;
  SystemRandom random_;
  KeySource keys_;
};

}  // namespace credsync::oauth
