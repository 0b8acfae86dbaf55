#include "daemon/login/completion.h"

#include <algorithm>
#include <utility>

#include "base/fail_point.h"
#include "base/log.h"
#include "base/message_ids.h"
#include "base/text.h"
#include "daemon/login/same_person.h"
#include "daemon/login/session_words.h"
#include "daemon/retire/plan.h"

namespace credsync::login {

using account::Account;

struct Completion::Running {
  CompletionOrder order;
  unsigned sign_in = 0;  // account::Account::sign_in() when the person was done
  NewGrant grant;
  std::optional<Duration> clock_offset;
  Completed result;
  bool abandoned = false;
  bool storing = false;
  UniqueFunction<void(CompletionOutcome)> done;
};

void complete_refresh_end(const provider::Profile& profile, account::TokenSet& tokens) {
  const provider::Refresh& rules = profile.refresh;
  if (tokens.refresh_token.empty() || tokens.refresh_expires_at) return;
  const auto life = rules.idle_life && rules.absolute_life ? std::min(*rules.idle_life, *rules.absolute_life)
                    : rules.idle_life                      ? *rules.idle_life
                                                           : rules.absolute_life.value_or(Duration::zero());
  if (life > Duration::zero()) tokens.refresh_expires_at = saturating_add(tokens.obtained_at, life);
}

Completion::Completion(const Parts& parts) : parts_(parts) {}
Completion::~Completion() = default;

Completion::Number Completion::begin(CompletionOrder order, UniqueFunction<void(CompletionOutcome)> done) {
  const Number number = next_++;
  auto running = std::make_unique<Running>();
  running->order = std::move(order);
  running->done = std::move(done);
  const Account* account = parts_.accounts.find(running->order.config->name);
  running->sign_in = account != nullptr ? account->sign_in() : 0;
  Running& r = *running;
  running_.emplace(number, std::move(running));
  if (auto* grant = std::get_if<NewGrant>(&r.order.from)) {
    r.grant = std::move(*grant);
    if (!r.grant.order.empty() || r.grant.slot) return identify(number), number;
    // Tokens that the browser brought: nobody has made yet what revoking them takes.
    parts_.endpoint.make_order(
        r.order.config, [this, number](Result<Secret> made) { ordered(number, made ? std::move(*made) : Secret()); });
    return number;
  }
  refresh::ExchangeOrder exchange;
  exchange.account = r.order.config;
  exchange.input = std::move(std::get<oauth::CodeInput>(r.order.from));
  exchange.urgency = WallTime{};  // a person waits
  exchange.rotates = true;        // a code works once: its answer must not meet a full disk
  exchange.generation = 0;        // of no grant in use
  parts_.exchanger.run(std::move(exchange), [this, number](refresh::Exchanged e) { exchanged(number, std::move(e)); });
  return number;
}

bool Completion::abandon(Number number) {
  const auto at = running_.find(number);
  if (at == running_.end() || at->second->storing) return false;
  at->second->abandoned = true;
  return true;
}

void Completion::exchanged(Number number, refresh::Exchanged exchanged) {
  Running& running = *running_.at(number);
  if (const auto* failure = std::get_if<oauth::Failure>(&exchanged.outcome)) {
    parts_.installer.give_back(running.order.config->name, exchanged.slot);
    return finish(number, from_failure(*failure));
  }
  running.clock_offset = exchanged.clock_offset;
  running.grant = {std::move(std::get<account::TokenSet>(exchanged.outcome)), std::move(exchanged.order),
                   exchanged.slot};
  identify(number);
}

void Completion::ordered(Number number, Secret order) {
  running_.at(number)->grant.order = std::move(order);
  identify(number);
}

void Completion::identify(Number number) {
  Running& running = *running_.at(number);
  if (running.abandoned) return refuse(number, {"abandoned", "", false, true});
  oauth::IdentifyCall call;
  call.account = running.order.config;
  call.tokens = running.grant.tokens.clone();  // ours stay here, whatever comes back
  call.nonce = std::move(running.order.nonce);
  parts_.server.identify(std::move(call), [this, number](oauth::Identified i) { identified(number, std::move(i)); });
}

void Completion::identified(Number number, oauth::Identified identified) {
  Running& running = *running_.at(number);
  if (running.abandoned) return refuse(number, {"abandoned", "", false, true});
  if (identified.failure) return refuse(number, from_failure(*identified.failure));
  account::TokenSet& tokens = running.grant.tokens;
  tokens.subject = identified.tokens.subject;
  running.result.identity = clean_foreign_text(identified.display.empty() ? tokens.subject : identified.display);
  if (!running.order.replace_identity) {
    const account::TokenSet* live = live_tokens(parts_.accounts, *running.order.config);
    if (auto why = not_the_same_person(live, tokens.subject, running.result.identity))
      return refuse(number, std::move(*why));
  }
  place(number);
}

void Completion::place(Number number) {
  Running& running = *running_.at(number);
  const config::Account& config = *running.order.config;
  refresh::Candidate candidate;
  candidate.config = running.order.config;
  candidate.sign_in = running.sign_in;
  candidate.new_sign_in = true;
  candidate.tokens = std::move(running.grant.tokens);
  account::TokenSet& tokens = candidate.tokens;
  for (auto& [name, value] : running.order.kept)
    tokens.extra.insert_or_assign(name, std::move(value));
  if (tokens.scope.empty()) tokens.scope = config.scopes;
  complete_refresh_end(*config.profile, tokens);
  running.result.granted = tokens.scope;
  candidate.order = std::move(running.grant.order);
  candidate.slot = running.grant.slot;
  candidate.clock_offset = running.clock_offset;
  running.storing = true;
  CREDSYNC_FAIL_POINT("completion.placing");
  parts_.installer.place(std::move(candidate), [this, number](refresh::Placed where, const std::string& words) {
    placed(number, where, words);
  });
}

void Completion::placed(Number number, refresh::Placed placed, const std::string& words) {
  Running& running = *running_.at(number);
  const std::string& name = running.order.config->name;
  if (placed == refresh::Placed::kNotStored) return finish(number, NotCompleted{"storage", words, true, false});
  Account* account = parts_.accounts.find(name);
  if (placed != refresh::Placed::kInstalled || account == nullptr) {
    return finish(number, NotCompleted{"changed", "the account changed while the sign-in was under way", true, false});
  }
  parts_.parking.retire_all_of(name);
  log::notice("signed in", {{"ACCOUNT", name}, {"GENERATION", std::to_string(account->generation())}});
  running.result.generation = account->generation();
  finish(number, std::move(running.result));
}

void Completion::refuse(Number number, NotCompleted why) {
  Running& running = *running_.at(number);
  retire(running.order.config, std::move(running.grant));
  finish(number, std::move(why));
}

// With the rules for superseded tokens, not those of a sign-out: it may be one and the same grant at the provider, or that
// of another account here, and where revoking a token kills more than that token it would be theirs.
void Completion::retire(const std::shared_ptr<const config::Account>& config, NewGrant grant) {
  const account::TokenSet* live = live_tokens(parts_.accounts, *config);
  const account::TokenSet nothing;
  const Account* account = parts_.accounts.find(config->name);
  const account::Generation generation = account != nullptr ? account->generation() + 1 : 1;
  const retire::Leaving leaving{config->name,  config->identity,    generation,
                                &grant.tokens, parts_.clock.wall(), &grant.order};
  store::QueueRetirements change;
  change.retire = retire::plan_superseded(*config, leaving, live != nullptr ? *live : nothing, parts_.clock.wall());
  change.slot = grant.slot;
  if (change.retire.empty() && !change.slot) return;
  for (store::Retirement& r : change.retire)
    r.id = parts_.store.new_id();
  auto held = std::make_shared<std::vector<store::Retirement>>();
  for (const store::Retirement& r : change.retire)
    held->push_back(r.clone());
  parts_.store.apply(std::move(change), [this, held, config, slot = grant.slot](Result<store::Ids> stored) {
    if (!stored) {
      parts_.installer.give_back(config->name, slot);
      return log::write(log::Level::kError, message_id::kNotStored.id,
                        "tokens that are not wanted could not be queued for their retirement",
                        {{"ACCOUNT", config->name}, {"REASON", stored.error().message()}});
    }
    if (!held->empty()) parts_.retirer.add(std::move(*held));
  });
}

void Completion::finish(Number number, CompletionOutcome outcome) {
  const auto at = running_.find(number);
  const std::unique_ptr<Running> running = std::move(at->second);
  running_.erase(at);
  running->done(std::move(outcome));
}

}  // namespace credsync::login
