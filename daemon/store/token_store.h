// The token store: durable, ordered, asynchronous. Changes are applied in the order of the calls; `done` runs later on the
// loop and means durable (committed, or for an Install with a slot: written and synced there). The SQLite store is the real
// one; tests have one in memory that can lose what was not synced.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/unique_function.h"
#include "daemon/store/records.h"

namespace credsync::store {

// A new generation and, in the same transaction, the retirement of what it replaces. Frees its slot and intent.
// A number that is not higher than the account's last is stored as one more than that: it never goes back.
struct Install {
  std::string account;
  std::string identity;
  Generation generation = 0;
  account::TokenSet tokens;
  std::vector<Retirement> retire;  // ids are given by the store
  std::optional<SlotId> slot;      // of the intent this answers; unset: a grant that does not rotate
  Standing standing;
  bool password_used = false;
  Secret kept_password;
  bool replace_kept_password = false;  // false: leave the stored one as it is
  WallTime promised_until;             // of the new access token; see SetPromised
};
// The standing changes, the tokens stay. An account that is not known yet is from now on.
struct SetStanding {
  std::string account;
  Standing standing;
  // The number of the grant that it speaks of; unset: of the account, whatever it has. Behind a sign-in that has replaced that
  // grant, or a sign-out that has ended it, it says nothing: it would stand after a restart.
  std::optional<Generation> about = {};
};
struct Forget {
  std::string account;
};  // erase tokens, intents and kept password, keep name and generation
// Signed out: tokens leave the account and enter the queue; the kept password is erased. kInvalid while the account holds
// tokens of a generation beyond `up_to`: `retire` was planned without them, and nothing is erased that nobody revokes.
struct SignOut {
  std::string account;
  std::vector<Retirement> retire;
  Standing standing;
  Generation up_to = 0;
};
// The current tokens leave the account and are kept aside; the account has none after. Newer ones than `grant` knows of
// are kept in its place: an answer came to the disk meanwhile.
// kNotFound if it has none: they were signed out.
struct Park {
  ParkedGrant grant;
  // The disk failed before: if the account has no tokens now, others took their place, and `grant` is kept. So it is, with
  // the newer tokens of the two, if a late answer has parked it meanwhile.
  bool again = false;
};
// What revoking a parked grant will need has become known: its sealed `order` column is set.
struct SetParkedOrder {
  std::int64_t parked_id = 0;
  Secret order;
};
// The parked grant becomes current again, with its promises; its id row goes. Standing as given. kInvalid while the account has other tokens.
// Its generation is from now on the highest of its own, the account's last and `generation`; Ids holds that number. Intents of
// its own number, or of a later one of its identity, are of that one from now on.
struct Restore {
  std::int64_t parked_id = 0;
  Standing standing;
  Generation generation = 0;
};
// A parked grant's time is over (or a new sign-in came): its tokens enter the queue.
struct RetireParked {
  std::int64_t parked_id = 0;
  std::vector<Retirement> retire;
};
// A late answer for a parked grant is stored with it: it becomes the parked tokens; what they replace enters the queue.
// With a slot also while the disk has refused to park it: it is then the newest of the tokens that the row of the intent's
// account has, which Park{again} takes, or is parked at once where the row has another grant's. kNotFound: signed out.
struct UpdateParked {
  std::int64_t parked_id = 0;
  Generation generation = 0;
  account::TokenSet tokens;
  std::vector<Retirement> retire;
  std::optional<SlotId> slot;
};
// A late answer for a grant that was signed out or replaced.
struct QueueRetirements {
  std::vector<Retirement> retire;
  std::optional<SlotId> slot;
};
// A retirement was tried and is to be tried again, or is over (the row and its token go).
struct RetirementTried {
  std::int64_t id = 0;
  unsigned attempts = 0;
  WallTime not_before;
};
struct RetirementOver {
  std::int64_t id = 0;
};
// The refresh did not happen (not sent) or was refused: intent and slot are free again.
struct DropIntent {
  std::string account;
  SlotId slot = 0;
};
// No answer will come any more, and nobody knows what became of the refresh: the slot is free for others, the intent stays.
struct FreeRoom {
  std::string account;
  SlotId slot = 0;
};
// Before a rotating refresh token is sent again after an ambiguous outcome. Takes the slot again if it was freed; kExhausted
// while another answer is expected in it: try again after a change.
struct CountResend {
  std::string account;
  SlotId slot = 0;
  Generation generation = 0;  // of the intent
};
struct SetLastUsed {
  std::string account;
  WallTime at;
};
// Callers are, or soon will be, promised the access token of this generation up to then. Finds it where it is: current,
// parked, or queued for its retirement, which then waits; it never becomes earlier. Of tokens that are gone it says nothing.
struct SetPromised {
  std::string account;
  Generation generation = 0;
  WallTime until;
};
// Numbers up to this one are about to be seen by callers: none of them is given again, and no grant of the account comes back
// under a lower one. It never becomes lower.
struct SetSpent {
  std::string account;
  Generation up_to = 0;
};
// Warnings that grants will end were given up to this moment.
struct SetForewarned {
  WallTime until;
};

using Change = std::variant<Install, SetStanding, Forget, SignOut, Park, SetParkedOrder, Restore, RetireParked,
                            UpdateParked, QueueRetirements, RetirementTried, RetirementOver, DropIntent, CountResend,
                            SetLastUsed, SetForewarned, FreeRoom, SetPromised, SetSpent>;

// Where the answer that it brings lies, and is room for others once it is in the database.
inline std::optional<SlotId> slot_of(const Change& change) {
  return std::visit(
      [](const auto& c) -> std::optional<SlotId> {
        if constexpr (requires { c.slot.has_value(); }) return c.slot;
        return std::nullopt;
      },
      change);
}

// What the store gives rows that it makes: ids of retirements in the order of Change's `retire`, or of the parked grant.
using Ids = std::vector<std::int64_t>;

// What a start finds in an account's row when an answer for another grant is in its slot: it could not be parked, because the
// database failed. It is put aside for as long as what an edit parks (retire::kKeptAfterIdentityChange).
constexpr Duration kPutAsideFor = days(7);

class TokenStore {
 public:
  virtual ~TokenStore() = default;

  // Everything, with answered slots installed first; what these would be stored over, of other grants, is parked before.
  // Blocking; once, before the loop runs.
  virtual Result<Snapshot> load() = 0;

  virtual void apply(Change change, UniqueFunction<void(Result<Ids>)> done) = 0;

  // A number for a row to come (ParkedGrant::id): never given before, not even by an earlier run. Immediate, loop only.
  // A ParkedGrant or Retirement that comes with an id other than 0 keeps it.
  virtual std::int64_t new_id() = 0;

  // Makes the intent durable and reserves room for the answer. kExhausted when no slot is free: try again after a change.
  virtual void begin_rotation(Intent intent, UniqueFunction<void(Result<SlotId>)> done) = 0;

  // Everything applied so far is durable when this returns. Blocking; for shutdown. Callbacks are still posted.
  virtual void drain() = 0;
};

}  // namespace credsync::store
