// Accounts that share a client, when a provider refuses it: all pause, one probes, and all go on when it works again.
#include <algorithm>

#include "daemon/config/config.h"
#include "daemon/oauth/token_request.h"
#include "daemon/refresh/refresher_parts.h"

namespace credsync::refresh {

using account::Account;
using account::State;

namespace {

// Accounts that are looked at in one turn. A standing is logged and stored: with ten thousand callers would wait for all of that.
constexpr std::size_t kAtOnce = 250;
// The account whose client was refused tries again first. If that fails, the others wait on: else ten thousand would ask a
// provider one after the other what it has said already.
constexpr Duration kAfterTheProbe = 1min;

bool paused_with_its_client(const Account& account) {
  const auto& trouble = account.standing().trouble;
  return account.standing().state == State::kSuspended && trouble &&
         trouble->error_class == oauth::to_string(oauth::FailureClass::kClient);
}

bool same_client(const config::Account& x, const config::Account& y) {
  return x.client_id == y.client_id && x.client_secret == y.client_secret &&
         oauth::token_origin(*x.profile, x.vars) == oauth::token_origin(*y.profile, y.vars);
}

// Not of its secret: accounts that differ only there are few, and same_client() tells them apart.
std::string key_of(const config::Account& config) {
  return config.client_id + ' ' + oauth::token_origin(*config.profile, config.vars);
}

}  // namespace

void Refresher::note_pause(const Account& account) {
  if (paused_with_its_client(account)) paused_[key_of(account.config())].insert(account.name());
}

void Refresher::pause_client(Account& origin, const oauth::Failure& failure) {
  for (const auto& [name, pause] : pauses_) {  // others of the client were under way when it was refused
    if (!same_client(*pause->client, origin.config())) continue;
    origin.attempts.not_before = std::max(origin.attempts.not_before.value_or(pause->not_before), pause->not_before);
    return;
  }
  auto pause = std::make_unique<ClientPause>(agenda_, [this, key = origin.name()] { pause_more(key); });
  pause->client = origin.shared_config();
  pause->failure = failure;
  pause->not_before = origin.attempts.not_before.value_or(clock_.boot()) + kAfterTheProbe;
  pauses_.insert_or_assign(origin.name(), std::move(pause));
  pause_more(origin.name());
}

void Refresher::pause_more(const std::string& origin) {
  ClientPause& pause = *pauses_.at(origin);
  const account::Accounts::Map& all = accounts_.all();
  auto at = pause.behind.empty() ? all.begin() : all.upper_bound(pause.behind);
  for (std::size_t looked_at = 0; at != all.end() && looked_at < kAtOnce; ++at, ++looked_at) {
    Account& account = *at->second;
    pause.behind = at->first;
    const bool paused = paused_with_its_client(account);
    if (at->first == origin || !can_refresh(account) || (!paused && account.standing().state == State::kSuspended))
      continue;
    if (!same_client(*pause.client, account.config())) continue;
    auto& not_before = account.attempts.not_before;
    not_before = std::max(not_before.value_or(pause.not_before), pause.not_before);
    if (!paused) set_standing(account, State::kSuspended, pause.failure, pause.failure.words);
    plan(account);
  }
  if (at != all.end()) return pause.next.set(clock_.boot());
  pauses_.erase(origin);
}

// The client works again for one of its accounts: the others need not wait out their slow retries.
void Refresher::resume_client(const Account& origin) {
  if (paused_.empty()) return;
  std::erase_if(pauses_, [&](const auto& pause) { return same_client(*pause.second->client, origin.config()); });
  const auto found = paused_.find(key_of(origin.config()));
  if (found == paused_.end()) return;
  std::set<std::string> others;
  for (const std::string& name : found->second) {
    Account* account = accounts_.find(name);
    if (account == nullptr || account == &origin || !paused_with_its_client(*account)) continue;
    if (same_client(origin.config(), account->config())) {
      end_slow_retries(*account);
    } else if (key_of(account->config()) == found->first) {
      others.insert(name);
    }
  }
  others.empty() ? void(paused_.erase(found)) : void(found->second = std::move(others));
}

}  // namespace credsync::refresh
