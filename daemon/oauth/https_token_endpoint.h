// The real TokenEndpoint: each call is one job on the worker pool: read the secrets, find the endpoint, build the message,
// exchange it, read the answer; the result is posted back to the loop.
#pragma once

#include <memory>
#include <variant>

#include "base/loop.h"
#include "base/random.h"
#include "base/worker_pool.h"
#include "daemon/oauth/discovery.h"
#include "daemon/oauth/token_endpoint.h"
#include "daemon/oauth/transport.h"

namespace credsync::oauth {

class HttpsTokenEndpoint final : public TokenEndpoint {
 public:
  // order_workers: for make_order(), which may wait for an issuer, and spends nothing.
  HttpsTokenEndpoint(Transport& transport, Discovery& discovery, WorkerPool& workers, WorkerPool& order_workers,
                     Executor& loop, const Clock& clock);

  void call(TokenCall call, UniqueFunction<void(CallResult)> done) override;
  void revoke(RevokeCall call, UniqueFunction<void(RevocationOutcome)> done) override;
  void make_order(std::shared_ptr<const config::Account> account, UniqueFunction<void(Result<Secret>)> done) override;

 private:
  CallResult call_now(TokenCall& call);
  RevocationOutcome revoke_now(RevokeCall& call);
  std::variant<Secret, Failure> make_order_now(const config::Account& account);
  void introspect_end(const provider::Profile& profile, const config::Account& account, const ClientCredentials& client,
                      account::TokenSet& tokens);

  Transport& transport_;
  Discovery& discovery_;
  WorkerPool& workers_;
  WorkerPool& order_workers_;
  Executor& loop_;
  const Clock& clock_;
  SystemRandom random_;
};

}  // namespace credsync::oauth
