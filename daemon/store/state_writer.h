// Applies one change to the rows, inside a transaction that somebody else owns. Owned by the store thread.
// An error means that the caller must roll back to where the change began.
#pragma once

#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "daemon/store/sealer.h"
#include "daemon/store/sqlite.h"
#include "daemon/store/token_store.h"
#include "daemon/store/witness.h"

namespace credsync::store {

// What a change did besides its rows; true only once its transaction is committed.
struct Applied {
  Ids ids;                       // what `done` gets
  std::vector<SlotId> released;  // their intents are gone
  bool erased = false;           // a secret left the database: the write-ahead log is to be cut soon
};

// Gives the rows to come that have no id yet one each; returns all of them, in the order of `Ids`.
Ids give_ids(Change& change, const std::function<std::int64_t()>& new_id);

class StateWriter {
 public:
  static Result<StateWriter> create(Database& database, const Sealer& sealer);

  // All rows to come have their ids. kNotFound and kInvalid say that the change does not fit what is stored.
  Result<Applied> apply(const Change& change);
  Result<void> add_intent(const Intent& intent);

  // What a change counts for, once it is committed.
  static Counts counted(const Change& change);
  static Counts counted(const Intent&) { return {1, 0}; }
  Result<Counts> counts();
  Result<void> set_counts(const Counts& counts);
  // The database is older than it was: so many numbers of each account may have been given out since.
  Result<void> spend(std::int64_t generations);
  // And refresh tokens may have been replaced: accounts that have tokens wait for a person, or for somebody who knows that
  // theirs do not rotate.
  Result<void> roll_back(std::int64_t generations, WallTime now);

  // What the tokens of `install` will be stored as: its own generation, or the next one if that was used before.
  Result<Generation> next_generation(const Install& install);
  // The last generation of an account, 0 if there is none.
  Result<Generation> generation_of(const std::string& account);
  // The account a parked grant belongs to; kNotFound.
  Result<std::string> account_of_parked(std::int64_t id);
  // The account that a late answer is stored for: its parked grant's or, while that is not parked, the one of its intent,
  // as long as that has tokens. kNotFound.
  Result<std::string> account_of(const UpdateParked& update);
  // Whose refresh the intent of a slot is, and the number under which it was written; nothing else is set. kNotFound.
  Result<Intent> intent_of(SlotId slot);
  // The tokens that are in the account's row, if they are another grant's than `identity` names and open: as they would be parked.
  Result<std::optional<ParkedGrant>> tokens_of_another(const std::string& account, const std::string& identity);
  // The highest id in use.
  Result<std::int64_t> highest_id();

 private:
  StateWriter(Database& database, const Sealer& sealer) : database_(&database), sealer_(&sealer) {}

  Result<void> change(const Install& install, Applied& applied);
  Result<void> change(const SetStanding& set, Applied& applied);
  Result<void> change(const Forget& forget, Applied& applied);
  Result<void> change(const SignOut& sign_out, Applied& applied);
  Result<void> change(const Park& park, Applied& applied);
  Result<void> change(const SetParkedOrder& set, Applied& applied);
  Result<void> change(const Restore& restore, Applied& applied);
  Result<void> change(const RetireParked& retire, Applied& applied);
  Result<void> change(const UpdateParked& update, Applied& applied);
  Result<void> change(const QueueRetirements& queue, Applied& applied);
  Result<void> change(const RetirementTried& tried, Applied& applied);
  Result<void> change(const RetirementOver& over, Applied& applied);
  Result<void> change(const DropIntent& drop, Applied& applied);
  Result<void> change(const CountResend& count, Applied& applied);
  Result<void> change(const SetLastUsed& set, Applied& applied);
  Result<void> change(const SetPromised& set, Applied& applied);
  Result<void> change(const SetForewarned& set, Applied& applied);
  Result<void> change(const FreeRoom& room, Applied& applied);
  Result<void> change(const SetSpent& set, Applied& applied);

  Result<void> update_unparked(const UpdateParked& update);
  struct Parked {
    std::string account;
    std::string identity;
    Generation generation = 0;
    WipedString tokens;
    Secret order;
    WallTime promised_until;
  };
  Result<void> set_standing(const std::string& account, const Standing& standing);
  Result<void> keep_password(const Install& install, Generation generation);
  Result<void> queue(const std::vector<Retirement>& list, Applied& applied);
  Result<Parked> parked(std::int64_t id);
  // The account's tokens, if they are newer than `generation` and open.
  Result<Parked> newer_tokens(const std::string& account, Generation generation);
  // Of the account's present tokens; 1970 if nothing is known.
  Result<WallTime> promised_until_of(const std::string& account);
  Result<void> delete_parked(std::int64_t id);
  Result<void> park_over(const ParkedGrant& grant, const Parked& there);
  Result<void> insert(const ParkedGrant& grant, Generation generation, const std::string& tokens,
                      WallTime promised_until);
  // The identity of the grant whose tokens the account has; nothing if it has none.
  Result<std::optional<std::string>> holds_tokens_of(const std::string& account);
  Result<void> free_slot(const std::optional<SlotId>& slot, Applied& applied);
  Result<void> free_slots(Statement& deleting, Applied& applied);
  // Runs the statement; kNotFound when it met no row.
  Result<void> must_touch(Statement& statement, const char* what);

  Database* database_;
  const Sealer* sealer_;
  Statement generation_, install_, late_, keep_password_, forget_kept_, standing_, forget_, sign_out_;
  Statement park_, insert_parked_, select_parked_, delete_parked_, update_parked_, parked_order_;
  Statement select_account_, select_tokens_, select_holder_, restore_;
  Statement insert_retirement_, retirement_tried_, retirement_over_;
  Statement insert_intent_, renumber_intents_, select_intent_, drop_slot_, drop_intents_, count_resend_, last_used_,
      forewarned_, set_number_;
  Statement promised_, parked_promised_, retired_promised_, spent_;
};

inline std::string seal(const Sealer& sealer, const WipedString& plain, const Place& place) {
  return sealer.seal(plain.text(), place);
}
inline bool fits_an_integer(Generation generation) {
  return generation <= static_cast<Generation>(std::numeric_limits<std::int64_t>::max());
}

// The names that seals are bound to.
inline constexpr std::string_view kTokensColumn = "accounts.tokens";
// Tokens belong to an identity as well: with a damaged one they would pass for another grant's, and be parked and retired.
inline Place place_of_tokens(std::string_view account, Generation generation, std::string_view identity) {
  return {kTokensColumn, account, generation, row_of(identity)};
}
// Also those that were sealed before schema 2, when the identity was not part of the place.
Result<WipedString> open_tokens(const Sealer& sealer, std::string_view sealed, std::string_view account,
                                Generation generation, std::string_view identity);

inline constexpr std::string_view kPasswordColumn = "accounts.kept_password";
// A password belongs to an identity for another reason: it would be sent to the provider that the identity names.
inline Place place_of_password(std::string_view account, Generation generation, std::string_view identity) {
  return {kPasswordColumn, account, generation, row_of(identity)};
}
// Also those that were sealed before schema 5.
Result<WipedString> open_password(const Sealer& sealer, std::string_view sealed, std::string_view account,
                                  Generation generation, std::string_view identity);
inline constexpr std::string_view kParkedTokensColumn = "parked.tokens";
inline constexpr std::string_view kParkedOrderColumn = "parked.revocation";
inline constexpr std::string_view kRetirementColumn = "retirements.secrets";

}  // namespace credsync::store
