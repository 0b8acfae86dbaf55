#include "tests/simulation/network.h"

#include <utility>

#include "daemon/oauth/token_answer.h"
#include "daemon/oauth/token_request.h"

namespace credsync::simulation {

using Where = Timeline::Where;

namespace {

constexpr Duration kDeadline = 30s;  // of an exchange, as the transport's

}  // namespace

Network::Network(const Plan& plan, Timeline& time, Servers& servers, Judge& judge, Tasks& tasks, Trace& trace)
    : plan_(plan), time_(time), servers_(servers), judge_(judge), tasks_(tasks), trace_(trace), faults_(plan.faults) {}

Chance& Network::chance_of(const std::string& account) {
  auto at = chances_.find(account);
  if (at == chances_.end()) at = chances_.emplace(account, Chance(plan_.seed, "network of " + account)).first;
  return at->second;
}

void Network::heal() {
  faults_ = FaultPlan{};
  outages_.clear();
}

void Network::cut() {
  jobs_.clear();
  later_.clear();
  waiting_.clear();
  running_ = 0;
}

Network::Fate Network::fate(std::size_t provider, Chance& chance) const {
  const auto outage = outages_.find(provider);
  switch (outage == outages_.end() ? Outage::kNone : outage->second) {
    case Outage::kNone: break;
    case Outage::kUnreachable: return Fate::kNotSent;
    case Outage::kHangs: return chance.odds(0.2) ? Fate::kAnswerLost : Fate::kRequestLost;
    case Outage::kBusy: return Fate::kBusy;
    case Outage::kLimits: return Fate::kLimited;
  }
  const std::pair<double, Fate> odds[] = {{faults_.not_sent, Fate::kNotSent},
                                          {faults_.request_lost, Fate::kRequestLost},
                                          {faults_.answer_lost, Fate::kAnswerLost},
                                          {faults_.garbage, Fate::kGarbage},
                                          {faults_.page, Fate::kPage},
                                          {faults_.busy, Fate::kBusy},
                                          {faults_.limited, Fate::kLimited},
                                          {faults_.unclear, Fate::kUnclear},
                                          {faults_.wrong_client, Fate::kWrongClient},
                                          {faults_.untrusted, Fate::kUntrusted}};
  for (const auto& [probability, fate] : odds) {
    if (chance.odds(probability)) return fate;
  }
  return Fate::kArrives;
}

Duration Network::latency(std::size_t provider, Chance& chance) const {
  if (chance.odds(faults_.slow)) return chance.between(Duration(1s), Duration(14s));
  const ProviderPlan& rules = plan_.providers[provider];
  return chance.between(rules.least_latency, rules.most_latency) / 2;
}

// --- workers ------------------------------------------------------------------------------------------------------

void Network::call(oauth::TokenCall call, UniqueFunction<void(oauth::CallResult)> done) {
  Job job;
  job.provider = servers_.provider_named(call.account->profile->id);
  job.token = std::make_shared<oauth::TokenCall>(std::move(call));
  job.token_done = std::move(done);
  queue(std::move(job));
}

void Network::revoke(oauth::RevokeCall call, UniqueFunction<void(oauth::RevocationOutcome)> done) {
  Job job;
  const Token* token = servers_.find(call.token.expose());
  job.provider = token != nullptr ? servers_.grant_of(*token).provider : 0;
  job.revoke = std::make_shared<oauth::RevokeCall>(std::move(call));
  job.revoke_done = std::move(done);
  queue(std::move(job));
}

void Network::queue(Job job) {
  const std::uint64_t id = next_id_++;
  jobs_.emplace(id, std::move(job));
  waiting_.push_back(id);
  if (running_ < kWorkers) next_job();
}

void Network::next_job() {
  if (waiting_.empty()) return;
  const std::uint64_t id = waiting_.front();
  waiting_.pop_front();
  ++running_;
  start(id);
}

void Network::start(std::uint64_t id) {
  Job& job = jobs_.at(id);
  job.sent_at = time_.wall();
  job.token != nullptr ? start_token(id, job) : start_revoke(id, job);
}

void Network::start_token(std::uint64_t id, Job& job) {
  judge_.sent(id, *job.token);
  on_step();
  on_sent(job.token->account->name);
  Chance& chance = chance_of(job.token->account->name);
  const Fate fate = this->fate(job.provider, chance);
  const bool acts = fate == Fate::kArrives || fate == Fate::kAnswerLost || fate == Fate::kGarbage;
  if (!acts) return refuse_without_acting(id, job, fate, chance);
  const Duration there = latency(job.provider, chance), back = latency(job.provider, chance);
  time_.after(there, Where::kWorld, [this, id, fate, back, call = job.token] {
    Reply reply = servers_.token(*call->account, call->input);
    on_step();
    if (fate == Fate::kAnswerLost) return lose(id, chance_of(call->account->name));
    if (fate == Fate::kGarbage) reply.body.resize(reply.body.size() / 2);
    time_.after(back, Where::kMachine,
                [this, id, reply = std::move(reply)]() mutable { answer(id, std::move(reply)); });
  });
}

void Network::start_revoke(std::uint64_t id, Job& job) {
  judge_.revoking(job.revoke->account.get(), job.provider, job.revoke->token.expose());
  Chance& chance = chance_of("revocation");
  const Fate fate = this->fate(job.provider, chance);
  const bool acts = fate == Fate::kArrives || fate == Fate::kAnswerLost || fate == Fate::kGarbage;
  if (!acts) return refuse_without_acting(id, job, fate, chance);
  const Duration there = latency(job.provider, chance), back = latency(job.provider, chance);
  time_.after(there, Where::kWorld, [this, id, fate, back, provider = job.provider, call = job.revoke] {
    Reply reply = servers_.revoke(provider, call->token.expose());
    if (fate != Fate::kArrives) return lose(id, chance_of("revocation"));
    time_.after(back, Where::kMachine,
                [this, id, reply = std::move(reply)]() mutable { answer(id, std::move(reply)); });
  });
}

void Network::lose(std::uint64_t id, Chance& chance) {
  const bool reset = chance.odds(0.5);
  const Duration after = reset ? latency(0, chance) : kDeadline;
  time_.after(after, Where::kMachine, [this, id, reset] {
    const auto fault = reset ? oauth::TransportFault::kReset : oauth::TransportFault::kDeadline;
    fail(id, {fault, true, "no answer came"});
  });
}

void Network::refuse_without_acting(std::uint64_t id, const Job& job, Fate fate, Chance& chance) {
  const Duration after = latency(job.provider, chance);
  switch (fate) {
    case Fate::kNotSent:
      time_.after(after, Where::kMachine, [this, id] {
        fail(id, {oauth::TransportFault::kConnect, false, "connection refused"});
      });
      return;
    case Fate::kUntrusted:
      time_.after(after, Where::kMachine, [this, id] {
        fail(id, {oauth::TransportFault::kUntrusted, false, "the certificate does not verify"});
      });
      return;
    case Fate::kRequestLost: return lose(id, chance);
    default: break;
  }
  time_.after(after, Where::kMachine,
              [this, id, reply = reply_of(fate, chance)]() mutable { answer(id, std::move(reply)); });
}

Reply Network::reply_of(Fate fate, Chance& chance) const {
  Reply reply;
  const auto json = [&](int status, const char* body) {
    reply.status = status;
    reply.headers.push_back({"Content-Type", "application/json"});
    reply.body = body;
  };
  switch (fate) {
    case Fate::kPage:
      reply.status = chance.odds(0.5) ? 200 : 403;
      reply.headers.push_back({"Content-Type", "text/html"});
      reply.body = "<html><body>Please accept our terms</body></html>";
      break;
    case Fate::kBusy: reply.status = chance.odds(0.5) ? 503 : 500; break;
    case Fate::kLimited:
      json(429, R"({"error":"slow_down"})");
      if (chance.odds(0.7)) {
        const Duration wait =
            std::max<Duration>(1s, Duration(chance.between(0, plan_.faults.most_retry_after.count())));
        reply.headers.push_back({"Retry-After", std::to_string(to_seconds(wait))});
      }
      break;
    case Fate::kUnclear: reply.status = 400; break;
    case Fate::kWrongClient: json(401, R"({"error":"invalid_client"})"); break;
    default: break;
  }
  return reply;
}

void Network::answer(std::uint64_t id, Reply reply) {
  const auto at = jobs_.find(id);
  if (at == jobs_.end()) return;
  const Job& job = at->second;
  oauth::HttpResponse response;
  response.status = reply.status;
  response.headers = std::move(reply.headers);
  response.body.text() = std::move(reply.body);
  response.sent_at = job.sent_at;
  response.received_at = time_.wall();
  const provider::Profile& profile = *plan_.providers[job.provider].profile;
  if (job.token == nullptr) {
    auto outcome = oauth::read_revocation_answer(profile, response);
    if (outcome.result == oauth::RevocationResult::kRefused) judge_.revocation_refused(job.revoke->token.expose());
    return finish(id, std::move(outcome));
  }
  const oauth::Asked asked{oauth::kind_of(job.token->input), job.token->account->scopes, {}};
  finish(id, oauth::read_token_answer(profile, response, asked));
}

void Network::fail(std::uint64_t id, oauth::TransportError error) {
  const auto at = jobs_.find(id);
  if (at == jobs_.end()) return;
  const oauth::Failure failure = oauth::read_transport_error(error);
  if (at->second.token != nullptr) return finish(id, oauth::TokenOutcome(failure));
  finish(id, oauth::RevocationOutcome{oauth::RevocationResult::kRetry, failure});
}

void Network::finish(std::uint64_t id, oauth::TokenOutcome outcome) {
  Job job = std::move(jobs_.at(id));
  jobs_.erase(id);
  --running_;
  judge_.outcome(id, outcome);
  oauth::CallResult result{std::move(outcome), {}};
  if (std::holds_alternative<account::TokenSet>(result.outcome)) result.order = order_for(*job.token->account);
  tasks_.post([done = std::move(job.token_done), result = std::move(result)]() mutable { done(std::move(result)); });
  on_step();
  next_job();
}

void Network::finish(std::uint64_t id, oauth::RevocationOutcome outcome) {
  Job job = std::move(jobs_.at(id));
  jobs_.erase(id);
  --running_;
  tasks_.post(
      [done = std::move(job.revoke_done), outcome = std::move(outcome)]() mutable { done(std::move(outcome)); });
  next_job();
}

// --- what a sign-in asks besides ----------------------------------------------------------------------------------

Secret Network::order_for(const config::Account& account) {
  if (account.profile->revoke.how == provider::RevokeHow::kNone) return {};
  std::string& text = orders_[account.profile->id + " " + account.client_id];
  if (text.empty()) {
    oauth::ClientCredentials client;
    client.client_id = account.client_id;
    text =
        std::string(oauth::serialise(*oauth::make_revocation_order(*account.profile, account.vars, client)).expose());
  }
  return Secret(text);
}

void Network::make_order(std::shared_ptr<const config::Account> account, UniqueFunction<void(Result<Secret>)> done) {
  tasks_.post([this, account = std::move(account), done = std::move(done)]() mutable { done(order_for(*account)); });
}

void Network::authorize(oauth::AuthorizeCall call,
                        UniqueFunction<void(std::variant<oauth::AuthorizeAnswer, oauth::Failure>)> done) {
  states_[call.account->name] = std::string(call.secrets.state.expose());
  oauth::AuthorizeAnswer answer;
  answer.url = Secret("https://login.example/?state=" + states_[call.account->name]);
  answer.profile = call.account->profile;
  tasks_.post([answer = std::move(answer), done = std::move(done)]() mutable { done(std::move(answer)); });
}

void Network::start_device(std::shared_ptr<const config::Account>,
                           UniqueFunction<void(std::variant<oauth::DeviceAnswer, oauth::Failure>)> done) {
  tasks_.post([done = std::move(done)]() mutable { done(oauth::Failure{}); });
}

void Network::identify(oauth::IdentifyCall call, UniqueFunction<void(oauth::Identified)> done) {
  const std::uint64_t id = next_id_++;
  const std::size_t provider = servers_.provider_named(call.account->profile->id);
  const Duration there_and_back = latency(provider, chance_of(call.account->name));
  oauth::Identified who{std::move(call.tokens), call.account->username, std::nullopt};
  who.tokens.subject = call.account->username;
  const std::string access(who.tokens.access_token.expose());
  later_.emplace(id, [who = std::move(who), done = std::move(done)]() mutable { done(std::move(who)); });
  time_.after(there_and_back, Where::kMachine, [this, id, access] {
    const auto at = later_.find(id);
    if (at == later_.end()) return;
    judge_.identified(access);
    tasks_.post(std::move(at->second));
    later_.erase(id);
  });
}

}  // namespace credsync::simulation
