// The real TokenEndpoint: each call is one job on the worker pool: read the secrets, find the endpoint, build the message,
// exchange it, read the answer; the result is posted back to the loop.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>

#include "base/loop.h"
#include "base/random.h"
#include "base/worker_pool.h"
#include "daemon/oauth/token_endpoint.h"
#include "daemon/oauth/transport.h"

namespace credsync::oauth {

constexpr Duration kMetadataLife = 1h;        // discovery documents change seldom; a failure asks again at once
constexpr std::size_t kMetadataCache = 1024;  // issuers remembered

class HttpsTokenEndpoint final : public TokenEndpoint {
 public:
  HttpsTokenEndpoint(Transport& transport, WorkerPool& workers, Executor& loop, const Clock& clock);

  void call(TokenCall call, UniqueFunction<void(CallResult)> done) override;
  void revoke(RevokeCall call, UniqueFunction<void(RevocationOutcome)> done) override;
  void make_order(std::shared_ptr<const config::Account> account, UniqueFunction<void(Secret)> done) override;

 private:
  // The profile as it was configured (kept alive, so that its address means it), the issuer, the roots it was asked under.
  using MetadataKey = std::tuple<std::shared_ptr<const provider::Profile>, std::string, std::string>;
  struct Found {
    provider::Profile profile;
    BootTime at;
  };
  using ProfileOrFailure = std::variant<provider::Profile, Failure>;

  CallResult call_now(TokenCall& call);
  RevocationOutcome revoke_now(RevokeCall& call);
  ProfileOrFailure complete_profile(const config::Account& account);
  ProfileOrFailure discover(const config::Account& account, const std::string& issuer);
  void introspect_end(const provider::Profile& profile, const config::Account& account, const ClientCredentials& client,
                      account::TokenSet& tokens);

  Transport& transport_;
  WorkerPool& workers_;
  Executor& loop_;
  const Clock& clock_;
  SystemRandom random_;
  std::mutex mutex_;  // guards metadata_, which all workers share
  std::map<MetadataKey, Found> metadata_;
};

}  // namespace credsync::oauth
