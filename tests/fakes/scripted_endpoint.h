// An authorization server whose answers the test gives by hand: each call waits in `calls` until answered.
#pragma once

#include <deque>
#include <optional>
#include <string>

#include "daemon/oauth/token_endpoint.h"

namespace credsync::fakes {

class ScriptedEndpoint final : public oauth::TokenEndpoint {
 public:
  struct Asked {
    oauth::TokenCall call;
    UniqueFunction<void(oauth::CallResult)> done;
  };
  struct Revoked {
    oauth::RevokeCall call;
    UniqueFunction<void(oauth::RevocationOutcome)> done;
  };

  void call(oauth::TokenCall call, UniqueFunction<void(oauth::CallResult)> done) override {
    ++calls_made;
    calls.push_back({std::move(call), std::move(done)});
  }
  void revoke(oauth::RevokeCall call, UniqueFunction<void(oauth::RevocationOutcome)> done) override {
    revocations.push_back({std::move(call), std::move(done)});
  }
  void make_order(std::shared_ptr<const config::Account> account, UniqueFunction<void(Result<Secret>)> done) override {
    if (order_fails) return done(*order_fails);
    const bool revocable = account->profile->revoke.how != provider::RevokeHow::kNone;
    done(revocable ? made_order.clone() : Secret());
  }

  // Answers the oldest call.
  void answer(oauth::TokenOutcome outcome, Secret order = {}) {
    Asked asked = std::move(calls.front());
    calls.pop_front();
    asked.done({std::move(outcome), std::move(order)});
  }
  void answer_revocation(oauth::RevocationOutcome outcome) {
    Revoked revoked = std::move(revocations.front());
    revocations.pop_front();
    revoked.done(std::move(outcome));
  }
  // The refresh token that the oldest call sends; empty if it sends none.
  std::string refresh_token_sent() const {
    const auto* input = std::get_if<oauth::RefreshInput>(&calls.front().call.input);
    return input != nullptr ? std::string(input->refresh_token.expose()) : "";
  }

  std::deque<Asked> calls;
  std::deque<Revoked> revocations;
  unsigned calls_made = 0;
  std::optional<Error> order_fails;
  Secret made_order{"order"};  // what make_order() makes; no RevocationOrder unless a test needs one
};

}  // namespace credsync::fakes
