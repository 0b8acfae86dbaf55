// Between the daemon and the servers: workers, latency, and all that can happen to a request and its answer. What a server
// sends back is read by the daemon's own parser.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "daemon/oauth/authorization_server.h"
#include "daemon/oauth/token_endpoint.h"
#include "tests/simulation/judge.h"

namespace credsync::simulation {

enum class Outage { kNone, kUnreachable, kHangs, kBusy, kLimits };

class Network final : public oauth::TokenEndpoint, public oauth::AuthorizationServer {
 public:
  Network(const Plan& plan, Timeline& time, Servers& servers, Judge& judge, Tasks& tasks, Trace& trace);

  void call(oauth::TokenCall call, UniqueFunction<void(oauth::CallResult)> done) override;
  void revoke(oauth::RevokeCall call, UniqueFunction<void(oauth::RevocationOutcome)> done) override;
  void make_order(std::shared_ptr<const config::Account> account, UniqueFunction<void(Result<Secret>)> done) override;
  void authorize(oauth::AuthorizeCall call,
                 UniqueFunction<void(std::variant<oauth::AuthorizeAnswer, oauth::Failure>)> done) override;
  void start_device(std::shared_ptr<const config::Account> account,
                    UniqueFunction<void(std::variant<oauth::DeviceAnswer, oauth::Failure>)> done) override;
  void identify(oauth::IdentifyCall call, UniqueFunction<void(oauth::Identified)> done) override;

  // The process is gone: no answer reaches it. What is on its way to a server arrives.
  void cut();
  void set_outage(std::size_t provider, Outage outage) { outages_[provider] = outage; }
  void heal();
  // Something of consequence happened: a good moment for a crash.
  std::function<void()> on_step = [] {};
  // A token request of this account leaves.
  std::function<void(const std::string& account)> on_sent = [](const std::string&) {};
  // The state that the newest browser session of an account carries.
  const std::string& state_of(const std::string& account) { return states_[account]; }

 private:
  static constexpr unsigned kWorkers = 32;
  enum class Fate {
    kArrives,
    kNotSent,
    kUntrusted,
    kRequestLost,
    kAnswerLost,
    kGarbage,
    kPage,
    kBusy,
    kLimited,
    kUnclear,
    kWrongClient,
  };
  struct Job {
    std::shared_ptr<oauth::TokenCall> token;
    UniqueFunction<void(oauth::CallResult)> token_done;
    std::shared_ptr<oauth::RevokeCall> revoke;
    UniqueFunction<void(oauth::RevocationOutcome)> revoke_done;
    std::size_t provider = 0;
    WallTime sent_at;
  };

  Chance& chance_of(const std::string& account);
  Fate fate(std::size_t provider, Chance& chance) const;
  Duration latency(std::size_t provider, Chance& chance) const;
  void queue(Job job);
  void start(std::uint64_t id);
  void start_token(std::uint64_t id, Job& job);
  void start_revoke(std::uint64_t id, Job& job);
  void refuse_without_acting(std::uint64_t id, const Job& job, Fate fate, Chance& chance);
  void lose(std::uint64_t id, Chance& chance);
  void answer(std::uint64_t id, Reply reply);
  void fail(std::uint64_t id, oauth::TransportError error);
  void finish(std::uint64_t id, oauth::TokenOutcome outcome);
  void finish(std::uint64_t id, oauth::RevocationOutcome outcome);
  void next_job();
  Reply reply_of(Fate fate, Chance& chance) const;
  Secret order_for(const config::Account& account);

  const Plan& plan_;
  Timeline& time_;
  Servers& servers_;
  Judge& judge_;
  Tasks& tasks_;
  Trace& trace_;
  FaultPlan faults_;
  std::map<std::string, Chance> chances_;
  std::map<std::size_t, Outage> outages_;
  std::map<std::uint64_t, Job> jobs_;
  std::map<std::uint64_t, UniqueFunction<void()>> later_;  // answers of the authorization server
  std::deque<std::uint64_t> waiting_;
  unsigned running_ = 0;
  std::uint64_t next_id_ = 1;
  std::map<std::string, std::string> orders_;
  std::map<std::string, std::string> states_;
};

}  // namespace credsync::simulation
