#include "daemon/refresh/promises.h"

#include <algorithm>
#include <utility>

#include "base/fail_point.h"
#include "base/mutation.h"
#include "daemon/account/promise.h"

namespace credsync::refresh {

namespace {

constexpr Duration kKeepAgain = 5s;  // on a disk that fails or is full

}  // namespace

Promises::Promises(account::Accounts& accounts, store::TokenStore& store, Agenda& agenda, const Clock& clock)
    : accounts_(accounts), store_(store), clock_(clock), try_again_(agenda, [this] { keep_again(); }) {
  // The same access token again, under another number: what was promised while that was on its way to the disk was stored
  // for the number before, behind it.
  accounts_.watch([this](account::Account& account, account::What what) {
    if (what != account::What::kToken || mutated(Mutation::kForgetPromises)) return;
    if (account.live()->promised_until > clock_.wall()) keep(account);
  });
}

void Promises::make(account::Account& account, Duration length) {
  const WallTime now = clock_.wall();
  accounts_.promise(account, saturating_add(now, length), length);
  if (length > Duration::zero() && !mutated(Mutation::kForgetPromises)) keep(account);
}

// Once at a time, and before what is stored is used up: only a promise that is longer than those before it lies beyond what
// is stored, until the disk has it.
void Promises::keep(account::Account& account) {
  account::Live& live = *accounts_.promises(account);
  const bool under_way = live.keeping_until > live.kept_until;
  // By this run: what earlier ones stored ahead was hardly promised, and would grow from start to start.
  const WallTime promised = std::min(live.promised_until, saturating_add(clock_.wall(), live.longest_promise));
  if (under_way || promised + account::promise_step(live.longest_promise) / 2 <= live.kept_until) return;
  const WallTime until = account::promise_to_keep(promised, live.longest_promise, live.tokens.expires_at);
  if (until <= live.kept_until) return;  // the token's end
  if (unkept_.contains(account.name())) return;
  live.keeping_until = until;
  store_.apply(store::SetPromised{account.name(), account.generation(), until},
               [this, name = account.name(), generation = account.generation(), until](Result<store::Ids> stored) {
                 CREDSYNC_FAIL_POINT("promise.kept");
                 kept(name, generation, until, stored.has_value());
               });
}

void Promises::kept(const std::string& name, account::Generation generation, WallTime until, bool stored) {
  account::Account* account = accounts_.find(name);
  if (account == nullptr || account->live() == nullptr || account->generation() != generation) return;
  account::Live& live = *accounts_.promises(*account);
  if (live.keeping_until != until) return;
  if (stored) {
    live.kept_until = until;
    return keep(*account);  // for what was promised meanwhile
  }
  live.keeping_until = live.kept_until;
  unkept_.insert(name);
  if (!try_again_.when()) try_again_.set(clock_.boot() + kKeepAgain);
}

void Promises::keep_again() {
  for (const std::string& name : std::exchange(unkept_, {})) {
    account::Account* account = accounts_.find(name);
    if (account != nullptr && account->live() != nullptr && account->live()->promised_until > clock_.wall())
      keep(*account);
  }
}

WallTime Promises::to_install(const account::Live* before, const account::TokenSet& fresh, WallTime now) {
  if (before == nullptr) return {};
  const bool same_again = same_secret(before->tokens.access_token, fresh.access_token);
  const WallTime kept = same_again ? account::believable_promise(before->keeping_until, now) : WallTime();
  const Duration usual = before->longest_promise;
  if (usual == Duration::zero()) return kept;
  return std::max(kept, account::promise_to_keep(saturating_add(now, usual), usual, fresh.expires_at));
}

}  // namespace credsync::refresh
