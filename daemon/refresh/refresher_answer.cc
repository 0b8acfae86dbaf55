// What came of a refresh: new tokens, or a failure and what that means for the account and its client.
#include <algorithm>
#include <vector>

#include "base/log.h"
#include "base/message_ids.h"
#include "base/mutation.h"
#include "daemon/config/config.h"
#include "daemon/oauth/id_token.h"
#include "daemon/refresh/due.h"
#include "daemon/refresh/policy.h"
#include "daemon/refresh/refresher_parts.h"

namespace credsync::refresh {

using account::Account;
using account::State;

void Refresher::exchanged(std::uint64_t id, Exchanged exchanged) {
  Flight& flight = *flights_.at(id);
  if (exchanged.clock_offset) {  // it may have waited for its turn
    flight.began = exchanged.sent_at;
    flight.began_boot = BootTime((exchanged.sent_at - *exchanged.clock_offset).time_since_epoch());
  }
  if (auto* failure = std::get_if<oauth::Failure>(&exchanged.outcome)) {
    ++counters_.failed;
    // Of a grant that is ended or replaced just now it says nothing; stored behind that, it would stand after a restart.
    return installer_.when_known(flight.config->name, [this, id, failure = std::move(*failure), slot = exchanged.slot] {
      failed(*flights_.at(id), failure, slot);
      end(id, Ended{false, failure.words});
    });
  }
  Candidate candidate;
  candidate.tokens = std::move(std::get<account::TokenSet>(exchanged.outcome));
  candidate.stranger = !oauth::same_subject(flight.id_token.expose(), candidate.tokens.id_token.expose());
  if (candidate.stranger) {
    refuse_stranger(flight);
  } else {
    complete(flight, candidate.tokens);
  }
  candidate.config = flight.config;
  candidate.sign_in = flight.sign_in;
  candidate.replaces = flight.generation;
  candidate.order = std::move(exchanged.order);
  candidate.slot = exchanged.slot;
  candidate.clock_offset = exchanged.clock_offset;
  candidate.password_used = flight.by_password;
  const bool stranger = candidate.stranger;
  if (mutated(Mutation::kLoseStoredAnswer) && candidate.slot && candidate.replaces % 3 == 2)
    return end(id, Ended{false, "lost"});
  installer_.place(std::move(candidate), [this, id, stranger, slot = exchanged.slot](Placed placed, std::string words) {
    Flight& f = *flights_.at(id);
    Account* account = accounts_.find(f.config->name);
    if (placed == Placed::kInstalled) {
      ++counters_.installed;
      account::Attempts fresh;
      fresh.last_on_demand = account->attempts.last_on_demand;
      fresh.rejected = account->attempts.rejected;
      fresh.rejected_generation = account->attempts.rejected_generation;
      const unsigned failures = account->attempts.failures;
      account->attempts = fresh;
      if (ended_on_its_way(*account)) {
        account->attempts.failures = failures + 1;
        const auto lifetime = account->live()->tokens.lifetime();
        account->attempts.not_before =
            clock_.boot() + retry_delay(failures + 1, lifetime, std::nullopt, random_.unit());
      }
      log::write(log::Level::kInfo, message_id::kRefreshed.id, "refreshed",
                 {{"ACCOUNT", account->name()}, {"GENERATION", std::to_string(account->generation())}});
      if (observer_) observer_(*account, {});
      resume_client(*account);
    } else if (placed == Placed::kNotStored && !stranger) {
      not_stored(f, words, slot);
    }
    end(id, Ended{placed == Placed::kInstalled, std::move(words)});
  });
}

// The answer took longer than the token lived, or the provider gave the same one again a moment before its end. That helps
// nobody who waits: another is asked for, as after a failure, for it may be so each time.
bool Refresher::ended_on_its_way(const Account& account) const {
  return !plans_.at(account.name())->waiting.empty() && !account.usable(clock_.wall(), clock_.boot());
}

// Whose refresh it is, as long as the account has that grant.
Account* Refresher::account_of(const Flight& flight) const {
  Account* account = accounts_.find(flight.config->name);
  return account != nullptr && flight.is_of(*account) ? account : nullptr;
}

bool Refresher::Flight::is_of(const Account& account) const {
  return config->identity == account.config().identity && sign_in == account.sign_in();
}

// What came is lost, and the provider may have replaced what was sent: as if the answer had never arrived.
void Refresher::not_stored(Flight& flight, const std::string& why, std::optional<store::SlotId> slot) {
  oauth::Failure failure;
  failure.failure_class = oauth::FailureClass::kAmbiguous;
  failure.code = "not-stored";
  failure.words = "the new tokens could not be stored: " + why;
  failure.sent = true;
  ++counters_.failed;
  failed(flight, failure, slot);
}

// The ID token of the answer speaks of somebody else (OpenID Connect Core, 12.2). Served under this account's name their
// access token would let programs act as the wrong person, so nothing of the answer is used. What was there is kept: an
// access token that is still good, and a refresh token that the provider may or may not have replaced; a person decides.
void Refresher::refuse_stranger(Flight& flight) {
  oauth::Failure failure;
  failure.failure_class = oauth::FailureClass::kNeedsLogin;
  failure.code = "other-subject";
  failure.words = "the provider answered a refresh with the tokens of somebody else; they were not used";
  failure.sent = true;
  ++counters_.failed;
  if (Account* account = account_of(flight))
    accounts_.set_unknown(*account, std::nullopt);  // the slot goes with the strange tokens
  failed(flight, failure, std::nullopt);
}

// What the answer left out stays as it was (RFC 6749, 5.1 and 6), and so does whose the grant is: the answer to a refresh
// may name them otherwise than userinfo or the ID token did at the sign-in.
void Refresher::complete(Flight& flight, account::TokenSet& tokens) const {
  const provider::Refresh& rules = flight.config->profile->refresh;
  const bool carried = tokens.refresh_token.empty() && !flight.refresh_token.empty();
  if (carried) {
    tokens.refresh_token = flight.refresh_token.clone();
    if (!tokens.refresh_expires_at && !rules.idle_life) tokens.refresh_expires_at = flight.refresh_expires_at;
  }
  // One that says nothing must not end the comparison for good.
  if (!oauth::subject_of(tokens.id_token.expose())) tokens.id_token = flight.id_token.clone();
  if (!flight.subject.empty()) tokens.subject = flight.subject;
  tokens.extra.insert(flight.extra.begin(), flight.extra.end());  // realmId and its like come once, in the callback
  if (tokens.scope.empty()) tokens.scope = flight.scope.empty() ? flight.config->scopes : flight.scope;
  if (tokens.refresh_token.empty() || tokens.refresh_expires_at) return;
  if (rules.idle_life) tokens.refresh_expires_at = saturating_add(tokens.obtained_at, *rules.idle_life);
  if (rules.absolute_life && flight.refresh_expires_at) {
    tokens.refresh_expires_at = std::min(tokens.refresh_expires_at.value_or(kWallMax), *flight.refresh_expires_at);
  } else if (rules.absolute_life && !tokens.refresh_expires_at) {
    tokens.refresh_expires_at = saturating_add(tokens.obtained_at, *rules.absolute_life);
  }
}

void Refresher::failed(Flight& flight, const oauth::Failure& failure, std::optional<store::SlotId> slot) {
  Account* account = account_of(flight);
  const bool ours = account != nullptr;
  Situation situation;
  situation.rotates = flight.rotates;
  situation.resend = flight.resend;
  const auto& overlap = flight.config->profile->refresh.overlap;
  // The overlap counts from when the refresh token was first sent: the provider may have replaced it then. What was sent
  // again within it was no risk. A wall clock that was set back says nothing.
  account::UnknownOutcome unknown = flight.before;
  if (!flight.resend) unknown.sent_at = flight.began, unknown.sent_boot = flight.began_boot;
  const auto since = flight.resend ? unknown.since(flight.began, flight.began_boot) : clock_.boot() - flight.began_boot;
  if (overlap && since && *since < *overlap) situation.overlap = overlap;
  if (ours) {
    situation.unclear_before = account->attempts.unclear;
    if (account->attempts.untrusted_since) situation.untrusted_for = clock_.wall() - *account->attempts.untrusted_since;
  }
  const Verdict verdict = judge(failure, situation);
  // A resend that was only put off is none: it may be made once more.
  const bool lost = failure.failure_class == oauth::FailureClass::kAmbiguous ||
                    failure.failure_class == oauth::FailureClass::kNoToken;
  const bool counts = flight.resend && lost && !situation.overlap;
  unknown.slot = slot.value_or(0);
  unknown.resends = counts ? 1 : 0;
  const bool parked = slot && !ours && !verdict.outcome_known &&
                      parking_.remember(flight.config->name, flight.config->identity, flight.generation, unknown);
  if (slot && !parked && (verdict.outcome_known || !ours)) {
    if (ours) accounts_.set_unknown(*account, std::nullopt);
    installer_.give_back(flight.config->name, slot);
  } else if (slot && ours) {
    if (account->unknown()) unknown.resends += account->unknown()->resends;
    accounts_.set_unknown(*account, unknown);
    // No answer will come: the room is others' until it is sent once more. Else a provider that loses answers would in time
    // hold all of it, and no grant that rotates could be renewed anywhere.
    store_.apply(store::FreeRoom{account->name(), *slot}, [](Result<store::Ids>) {});
  }
  // What was not sent because we stop says nothing of its account: a standing would outlive the stop.
  const bool by_stop = stopped_ && failure.failure_class == oauth::FailureClass::kNotSent;
  if (ours && !by_stop) apply(*account, flight, failure, verdict);
}

void Refresher::apply(Account& account, Flight& flight, const oauth::Failure& failure, const Verdict& verdict) {
  account::Attempts& attempts = account.attempts;
  const WallTime wall = clock_.wall();
  const BootTime boot = clock_.boot();
  ++attempts.failures;
  attempts.unclear = failure.failure_class == oauth::FailureClass::kUnclear ? attempts.unclear + 1 : 0;
  if (failure.failure_class != oauth::FailureClass::kUntrusted)
    attempts.untrusted_since.reset();
  else if (!attempts.untrusted_since)
    attempts.untrusted_since = wall;

  const auto remaining = account.remaining(wall, boot);
  const auto lifetime = account.live() != nullptr ? account.live()->tokens.lifetime() : std::nullopt;
  const Duration asked = failure.retry_after.value_or(Duration::zero());
  Duration delay = std::max(asked, retry_delay(attempts.failures, lifetime, remaining, random_.unit()));
  switch (verdict.next) {
    case Next::kBackOff:
    case Next::kSoon:
    case Next::kAtFloor: break;
    case Next::kNow: delay = Duration::zero(); break;
    case Next::kSlowly:
      delay = failure.failure_class == oauth::FailureClass::kUnclear
                  ? Duration(60s)
                  : suspended_delay(attempts.failures, random_.unit());
      break;
    case Next::kNever: break;
  }
  delay = std::max(delay, asked);
  // Whatever put it off, a refresh token that may have been replaced is sent while the overlap lasts, or at the floor.
  const bool risky = flight.rotates && account.unknown() && verdict.next != Next::kNow;
  attempts.not_before = mutated(Mutation::kNoBackOff) ? boot : boot + delay;
  Plan& plan = *plans_.at(account.name());
  plan.at_the_earliest.reset();
  if (verdict.next != Next::kBackOff && verdict.next != Next::kNow) plan.at_the_earliest = attempts.not_before;
  if (verdict.next == Next::kBackOff && failure.retry_after) plan.at_the_earliest = boot + *failure.retry_after;
  // A reload, or a client that works again, ends the slow retries of what is suspended; it brings nothing nearer than its time.
  if (verdict.state == State::kSuspended)
    plan.at_the_earliest = boot + asked;
  else if (risky)
    plan.at_the_earliest = attempts.not_before;
  plan.until_floor = risky && overlap_ends(account).value_or(boot) <= boot + delay;
  plan.within_overlap = flight.rotates && !plan.until_floor && overlap_ends(account);

  std::string words = failure.words;
  if (verdict.state == State::kNeedsLogin && flight.resend) {
    words +=
        "; the answer to an earlier refresh was lost on the way, so the provider may have replaced the refresh token";
  }
  oauth::Failure told = failure;
  if (flight.by_password && verdict.state == State::kNeedsLogin) told.code = kPasswordRefused;
  if (mutated(Mutation::kDiscardWhenDead) && verdict.state == State::kNeedsLogin) {
    (void)accounts_.take_tokens(account);
    store_.apply(store::Forget{account.name()}, [](Result<store::Ids>) {});
  }
  // The refresh token is given up; that the password could not be tried just now does not bring it back.
  const bool given_up = flight.by_password && account.standing().state == State::kNeedsLogin &&
                        account.live() != nullptr && !account.live()->tokens.refresh_token.empty();
  set_standing(account, given_up ? State::kNeedsLogin : verdict.state, told, std::move(words));
  if (verdict.whole_client) pause_client(account, failure);
}

namespace {

std::string_view message_of(State state) {
  switch (state) {
    case State::kNeedsLogin: return message_id::kNeedsLogin.id;
    case State::kSuspended: return message_id::kSuspended.id;
    default: return message_id::kRetrying.id;
  }
}

}  // namespace

void Refresher::set_standing(Account& account, State state, const oauth::Failure& failure, std::string words) {
  const WallTime now = clock_.wall();
  const bool same_state = account.standing().state == state;
  const bool same_words = account.standing().trouble && account.standing().trouble->words == words;
  account::Standing standing{
      state, same_state ? account.standing().since : now,
      account::Trouble{std::string(oauth::to_string(failure.failure_class)), failure.code, words, now}};
  if (!same_state || !same_words) {
    const auto level = state == State::kRetrying ? log::Level::kWarning : log::Level::kError;
    log::write(level, message_of(state), "refresh failed",
               {{"ACCOUNT", account.name()},
                {"STATE", std::string(to_string(state))},
                {"CLASS", standing.trouble->error_class},
                {"REASON", words}});
    store_.apply(store::SetStanding{account.name(), standing, account.generation()}, [](Result<store::Ids>) {});
    if (observer_) observer_(account, words);
  }
  accounts_.set_standing(account, std::move(standing));
  note_pause(account);  // nobody is told of another reason for the same state
}

}  // namespace credsync::refresh
