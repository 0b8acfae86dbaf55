#include "daemon/account/accounts.h"

#include <algorithm>

#include "base/check.h"
#include "base/mutation.h"
#include "daemon/account/promise.h"
#include "daemon/config/config.h"

namespace credsync::account {

std::optional<Duration> Account::remaining(WallTime wall, BootTime boot) const {
  if (!live_ || !live_->tokens.expires_at) return std::nullopt;
  const Duration by_wall = *live_->tokens.expires_at - wall;
  return live_->expires_boot && !mutated(Mutation::kWallClockAlone) ? std::min(by_wall, *live_->expires_boot - boot)
                                                                    : by_wall;
}

bool Account::usable(WallTime wall, BootTime boot) const {
  if (!live_ || live_->tokens.access_token.empty()) return false;
  const auto left = remaining(wall, boot);
  return !left || *left > Duration::zero() || mutated(Mutation::kHandOutExpired);
}

namespace {

Live make_live(TokenSet tokens, const Clock& clock) {
  Live live;
  if (tokens.expires_at) live.expires_boot = clock.boot() + (*tokens.expires_at - clock.wall());
  live.tokens = std::move(tokens);
  return live;
}

}  // namespace

Account* Accounts::find(std::string_view name) const {
  const auto at = all_.find(name);
  return at == all_.end() ? nullptr : at->second.get();
}

Account& Accounts::add(std::shared_ptr<const config::Account> config, Known known) {
  auto account = std::make_unique<Account>();
  const std::string& name = config->name;
  account->config_ = std::move(config);
  account->generation_ = known.generation;
  account->reserved_ = std::max(known.generation, known.spent);
  if (const auto before = departed_.find(name); before != departed_.end()) {
    account->sign_in_ = before->second.sign_in;
    account->reserved_ = std::max(account->reserved_, before->second.reserved);
    account->ordered_ = before->second.ordered;
  }
  if (known.tokens) {
    account->live_ = make_live(std::move(*known.tokens), clock_);
    const WallTime promised = believable_promise(known.promised_until, clock_.wall());
    account->live_->promised_until = account->live_->kept_until = account->live_->keeping_until = promised;
  }
  account->standing_ = std::move(known.standing);
  account->password_used_ = known.password_used;
  account->kept_password_ = std::move(known.kept_password);
  account->last_used_ = known.last_used;
  const auto [at, added] = all_.emplace(name, std::move(account));
  CHECK(added);
  at->second->name_ = &at->first;
  tell(*at->second, What::kConfig);
  return *at->second;
}

void Accounts::remove(Account& account) {
  tell(account, What::kRemoved);
  departed_[account.name()] = {account.sign_in_, account.reserved_, account.ordered_};
  all_.erase(all_.find(account.name()));
}

void Accounts::replace_config(Account& account, std::shared_ptr<const config::Account> config) {
  if (account.config_->identity != config->identity) account.coming_back_ = false;
  account.config_ = std::move(config);
  if (account.live_) account.live_->memo.wipe();
  tell(account, What::kConfig);
}

namespace {

void note(Ordered& ordered, std::string_view identity, Generation number) {
  const std::size_t whose = std::hash<std::string_view>()(identity);
  if (whose != ordered.whose) ordered.before = ordered.last;
  ordered.whose = whose;
  ordered.last = number;
}

}  // namespace

Generation Accounts::next_generation(Account& account) {
  account.reserved_ = std::max(account.reserved_, account.generation_) + 1;
  note(account.ordered_, account.config_->identity, account.reserved_);
  return account.reserved_;
}

Generation Accounts::restored_generation(Account& account, Generation own, bool stored) {
  const Ordered& ordered = account.ordered_;
  const bool ours_last = ordered.whose == std::hash<std::string_view>()(account.config_->identity);
  const Generation ours = ours_last ? ordered.last : ordered.before;
  const Generation others = ours_last ? ordered.before : ordered.last;
  const bool came_after = account.generation_ > own || (stored && others > own && ours <= own);
  return came_after ? next_generation(account) : own;
}

void Accounts::not_stored(std::string_view name, Generation number) {
  Account* account = find(name);
  const auto departed = departed_.find(name);
  if (account == nullptr && departed == departed_.end()) return;
  Ordered& ordered = account != nullptr ? account->ordered_ : departed->second.ordered;
  if (ordered.last == number) ordered = {ordered.before, 0, ordered.before};
}

Generation Accounts::next_generation(std::string_view name, std::string_view identity, Generation last) {
  Account* account = find(name);
  Departed* departed = account != nullptr ? nullptr : &departed_[std::string(name)];
  Generation& reserved = account != nullptr ? account->reserved_ : departed->reserved;
  reserved = std::max({reserved, account != nullptr ? account->generation_ : 0, last}) + 1;
  note(account != nullptr ? account->ordered_ : departed->ordered, identity, reserved);
  return reserved;
}

void Accounts::install(Account& account, Generation generation, TokenSet tokens, Standing standing, WallTime promised,
                       std::optional<BootTime> expires_boot) {
  CHECK(generation > account.generation_ || (generation == account.generation_ && !account.live_));  // restored
  account.generation_ = generation;
  Live fresh = make_live(std::move(tokens), clock_);
  if (fresh.expires_boot && expires_boot) fresh.expires_boot = expires_boot;
  const bool same_again = account.live_ && same_secret(account.live_->tokens.access_token, fresh.tokens.access_token);
  if (same_again) {
    fresh.promised_until = account.live_->promised_until;
    fresh.longest_promise = account.live_->longest_promise;
  }
  fresh.kept_until = fresh.keeping_until = promised;
  account.live_ = std::move(fresh);
  account.coming_back_ = false;
  const bool state_changed = standing.state != account.standing_.state;
  account.standing_ = std::move(standing);
  tell(account, What::kToken);
  if (state_changed) tell(account, What::kState);
}

void Accounts::set_standing(Account& account, Standing standing) {
  const bool state_changed = standing.state != account.standing_.state;
  account.standing_ = std::move(standing);
  if (account.live_) account.live_->memo.wipe();
  if (state_changed) tell(account, What::kState);
}

void Accounts::set_password_used(Account& account, Secret kept) {
  account.password_used_ = true;
  if (!kept.empty()) account.kept_password_ = std::move(kept);
}

std::optional<TokenSet> Accounts::take_tokens(Account& account) {
  if (!account.live_) return std::nullopt;
  std::optional<TokenSet> tokens = std::move(account.live_->tokens);
  account.live_.reset();
  return tokens;
}

void Accounts::promise(Account& account, WallTime until, Duration length) {
  if (!account.live_) return;
  // What was promised by a wall clock that has been set back since was not promised for so long.
  WallTime& promised = account.live_->promised_until;
  promised = std::max(believable_promise(promised, until - length), until);
  account.live_->longest_promise = std::max(account.live_->longest_promise, length);
}

const Account* Accounts::holder_of(const Secret& refresh_token, const Account& except) const {
  for (const auto& [name, account] : all_) {
    if (account.get() == &except || !account->live_) continue;
    if (same_secret(account->live_->tokens.refresh_token, refresh_token)) return account.get();
  }
  return nullptr;
}

void Accounts::tell(Account& account, What what) {
  for (const Watcher& watcher : watchers_)
    watcher(account, what);
}

}  // namespace credsync::account
