#include "daemon/handout/words.h"

#include "daemon/handout/access.h"
#include "daemon/provider/names.h"
#include "daemon/refresh/foresight.h"

namespace credsync::handout {
namespace {

using account::Account;
using account::State;
using provider::Grant;

WallTime to_wall(BootTime when, const Clock& clock) {
  return saturating_add(clock.wall(), std::max(Duration::zero(), when - clock.boot()));
}

// The moment before which a person is needed, if it is near enough to speak of.
std::optional<WallTime> end_in_sight(const Account& account, const Sight& sight) {
  const auto outlook = refresh::outlook_of(account, sight.refresher.can_refresh(account));
  const WallTime now = sight.clock.wall();
  if (!outlook || outlook->end <= now || !refresh::worth_a_note(*outlook, now)) return std::nullopt;
  return outlook->end;
}

std::vector<std::string> notes_of(const Account& account, const Sight& sight) {
  std::vector<std::string> notes;
  const account::Live* live = account.live();
  if (live == nullptr) return notes;
  if (const auto end = end_in_sight(account, sight)) {
    const std::string until = account.standing().state == State::kOk ? "works until " : "its grant ends ";
    notes.push_back("a sign-in is needed soon: " + until + to_rfc3339(*end));
  }
  if (!sight.refresher.can_refresh(account)) {
    notes.push_back(live->tokens.expires_at ? "cannot refresh; ends " + to_rfc3339(*live->tokens.expires_at)
                                            : "cannot refresh; its end is not known");
  } else if (!live->tokens.expires_at) {
    notes.push_back("the token's end is not known; it is refreshed when it is rejected");
  }
  if (account.unknown()) {
    notes.push_back(
        "the answer to a refresh was lost on the way; it is asked for once more when the present token is nearly over");
  }
  return notes;
}

}  // namespace

std::string login_command(const config::Account& account) {
  std::string command = "credsync login " + account.name;
  if (account.grant == Grant::kStatic) command += " --token-stdin";
  if (account.grant == Grant::kRefreshToken) command += " --refresh-token-stdin";
  return command;
}

std::optional<ipc::AccountStatus::NextStep> next_step(const Account& account, const Sight& sight) {
  const config::Account& config = account.config();
  const std::string& name = config.name;
  switch (account.standing().state) {
    case State::kOk: break;
    case State::kRetrying:
      return {{"nothing needs to be done; it is tried again by itself", "credsync refresh " + name}};
    case State::kNeedsLogin:
      if (sight.refresher.can_refresh(account)) return {{"the first sign-in is under way", ""}};
      if (account::rolled_back(account.standing())) {
        return {{"sign in; or, where this copy of the database is the newest there is: credsync refresh " + name,
                 login_command(config)}};
      }
      return {{"sign in", login_command(config)}};
    case State::kSignedOut: return {{"sign in to use it again", login_command(config)}};
    case State::kSuspended:
      return {{"mend the configuration or the client at the provider, then reload", "credsync reload"}};
  }
  if (account.live() != nullptr && !account.usable(sight.clock.wall(), sight.clock.boot()) &&
      !sight.refresher.can_refresh(account)) {
    return {{"its token has ended and cannot be refreshed; sign in again", login_command(config)}};
  }
  if (end_in_sight(account, sight)) return {{"sign in again before it ends", login_command(config)}};
  return std::nullopt;
}

ipc::AccountStatus describe(const Account& account, const Sight& sight, config::Actions actions) {
  const WallTime wall = sight.clock.wall();
  const BootTime boot = sight.clock.boot();
  const config::Account& config = account.config();
  ipc::AccountStatus s;
  s.account = account.name();
  s.provider = config.provider;
  s.grant = provider::to_name(config.grant);
  s.state = to_string(account.standing().state);
  s.since = account.standing().since;
  s.generation = account.generation();
  s.usable = account.usable(wall, boot);
  if (const account::Live* live = account.live()) {
    s.expires_at = live->tokens.expires_at;
    s.expires_in = account.remaining(wall, boot);
    s.lifetime = live->tokens.lifetime();
    s.refresh_expires_at = live->tokens.refresh_expires_at;
    s.scope = live->tokens.scope;
  }
  s.refreshable = sight.refresher.can_refresh(account);
  s.refreshing = sight.refresher.under_way(account);
  if (const auto planned = sight.refresher.planned(account)) s.next_refresh = to_wall(*planned, sight.clock);
  s.last_used = account.last_used();
  if (const auto& trouble = account.standing().trouble) s.error = {{trouble->error_class, trouble->words, trouble->at}};
  s.next_step = next_step(account, sight);
  const auto pending = sight.retirer.pending(account.name());
  s.retiring = {pending.count, sight.retirer.unrevoked(account.name()), pending.next};
  s.notes = notes_of(account, sight);
  s.actions = names_of(actions);
  return s;
}

ipc::Problem no_such_account() {
  return {ipc::ProblemKind::kNoSuchAccount,
          "there is no such account, or none that you may know of",
          "credsync whoami",
          std::nullopt,
          {}};
}

ipc::Problem no_token(const Account& account, const Sight& sight) {
  ipc::Problem problem;
  const config::Account& config = account.config();
  const auto& trouble = account.standing().trouble;
  const std::string because = trouble ? ": " + trouble->words : "";
  const bool by_itself = sight.refresher.can_refresh(account);
  if (account.standing().state == State::kSuspended) {
    problem.kind = ipc::ProblemKind::kSuspended;
    problem.detail = "this account is suspended" + because;
    problem.next_step = "credsync status " + config.name;
    return problem;
  }
  if (!by_itself) {
    problem.kind = ipc::ProblemKind::kNeedsLogin;
    problem.next_step = login_command(config);
    if (account.standing().state == State::kSignedOut)
      problem.detail = "this account is signed out";
    else if (account.live() != nullptr)
      problem.detail = "the token of this account has ended and cannot be refreshed" + because;
    else
      problem.detail = "nobody has signed in to this account" + because;
    return problem;
  }
  problem.kind = ipc::ProblemKind::kUnavailable;
  problem.detail = account.coming_back()       ? "the grant of this account is about to come back"
                   : trouble                   ? "no valid token, and the provider could not give one" + because
                   : account.live() != nullptr ? "the token has ended, and the next is on its way"
                                               : "the first token is on its way";
  constexpr Duration kLeast = 1s;
  const auto next = sight.refresher.next_attempt(account);
  problem.retry_after = std::max(kLeast, next ? *next - sight.clock.boot() : kLeast);
  return problem;
}

}  // namespace credsync::handout
