#include "daemon/store/recovery.h"

#include <algorithm>
#include <utility>

#include "base/fail_point.h"
#include "base/log.h"
#include "base/message_ids.h"
#include "daemon/store/codec.h"
#include "daemon/store/state_reader.h"

namespace credsync::store {
namespace {

// Ids set apart for one run, so that only its start writes the mark: more than it can use, and enough for 2^31 runs.
constexpr std::int64_t kIdsOfARun = std::int64_t{1} << 32;
constexpr std::int64_t kLastId = std::int64_t{1} << 62;
// Of each account, the generations that may have been handed out and that no count knows: an answer is handed out when it is in its
// slot and counted when it is committed, and the next one is not sent for before that.
constexpr std::int64_t kOnlyInItsSlot = 1;

std::string slot_name(SlotId slot) {
  return std::to_string(slot & 0xff);
}

void set_slot(Change& change, SlotId slot) {
  std::visit(
      [slot](auto& c) {
        if constexpr (requires { c.slot = std::optional<SlotId>(slot); }) c.slot = slot;
      },
      change);
}

class Recovery {
 public:
  Recovery(Database& database, const Sealer& sealer, StateWriter& writer, AnswerSlots& slots, Past past)
      : database_(database), sealer_(sealer), writer_(writer), slots_(slots), past_(past) {}

  // All in one transaction: on a full disk it is read from, then rolled back, and the answers stay in their slots.
  Result<Recovered> run() {
    const auto open = sealer_.hold_open();  // over all rows
    CREDSYNC_TRY(database_.execute("BEGIN IMMEDIATE"));
    auto done = inside();
    if (!done) {
      [[maybe_unused]] const auto undone = database_.execute("ROLLBACK");
      return done.error();
    }
    CREDSYNC_FAIL_POINT("recovery.before");
    commit();
    CREDSYNC_FAIL_POINT("recovery.after");
    slots_.wipe_free();
    return std::move(recovered_);
  }

 private:
  Result<void> inside() {
    CREDSYNC_TRY(find_answers());
    const auto before = writer_.counts();
    if (!before) return before.error();
    recovered_.counts = in_database_ = *before;
    CREDSYNC_TRY(install());
    CREDSYNC_TRY(compare(*before));
    CREDSYNC_TRY(writer_.set_counts(recovered_.counts));
    CREDSYNC_TRY(take_ids());
    auto state = read_state(database_, sealer_);
    if (!state) return state.error();
    state->damage.insert(state->damage.end(), damage_.begin(), damage_.end());
    recovered_.state = std::move(*state);
    return {};
  }

  Result<void> find_answers() {
    auto intents = read_intents(database_);
    if (!intents) return intents.error();
    if (slots_.made() && !intents->empty()) {
      log::write(log::Level::kError, message_id::kStateDamaged.id,
                 "the file of reserved answers was missing or damaged; refreshes under way have an unknown outcome",
                 {{"INTENTS", std::to_string(intents->size())}});
    }
    for (const Intent& intent : *intents)
      CREDSYNC_TRY(find_answer(intent));
    for (const Intent& intent : *intents)
      slots_.occupy(intent);  // those without an answer; of several that had one slot in turn, one
    std::sort(answers_.begin(), answers_.end(),
              [](const Answer& a, const Answer& b) { return a.sequence < b.sequence; });
    if (!answers_.empty()) recovered_.next_sequence = answers_.back().sequence + 1;
    return {};
  }

  // An error: what lies in the slot cannot be read just now. Taken for nothing, it would be overwritten.
  Result<void> find_answer(const Intent& intent) {
    if (!slots_.occupy(intent)) return {};
    auto plain = slots_.answer(intent.slot, sealer_);
    if (!plain && plain.error().code() != ErrorCode::kCorrupt) return plain.error();
    if (!plain) return broken(intent, plain.error()), Result<void>();
    if (!*plain) {
      slots_.vacate(intent.slot);  // an intent that freed its room may share it with one that has an answer
      return {};
    }
    auto answer = decode_answer((*plain)->text());
    if (!answer) return broken(intent, answer.error()), Result<void>();
    set_slot(answer->change, intent.slot);
    answers_.push_back(std::move(*answer));
    return {};
  }

  void broken(const Intent& intent, const Error& error) {
    damage_.push_back("the answer to a refresh of " + intent.account + " (slot " + slot_name(intent.slot) +
                      ") does not open: " + error.message());
  }

  Result<void> install() {
    for (Answer& answer : answers_) {
      CREDSYNC_TRY(database_.execute("SAVEPOINT answer"));
      auto aside = put_aside(answer.change);
      if (!aside) return aside.error();
      auto applied = apply(answer.change);
      CREDSYNC_TRY(database_.execute(applied ? "RELEASE answer" : "ROLLBACK TO answer; RELEASE answer"));
      if (!applied) {
        const ErrorCode code = applied.error().code();
        if (code != ErrorCode::kInvalid && code != ErrorCode::kNotFound) return applied.error();
        log::write(log::Level::kError, message_id::kStateDamaged.id,
                   "a stored answer fits nothing any more; it stays in its slot", {{"WHY", applied.error().message()}});
        continue;
      }
      released_.insert(released_.end(), applied->released.begin(), applied->released.end());
      recovered_.counts += StateWriter::counted(answer.change);
      if (*aside) recovered_.uncommitted.push_back(std::move(**aside));
      recovered_.uncommitted.push_back(std::move(answer.change));
    }
    return {};
  }

  // The row may hold another grant's tokens still: its grant was replaced by an edit while the database failed, and the file of
  // slots did not. Nothing else has them.
  Result<std::optional<Change>> put_aside(const Change& answer) {
    const auto* install = std::get_if<Install>(&answer);
    if (install == nullptr) return std::optional<Change>();
    const auto last = writer_.generation_of(install->account);
    if (!last) return last.error();
    if (install->generation <= *last) return std::optional<Change>();  // it is not stored
    auto grant = writer_.tokens_of_another(install->account, install->identity);
    if (!grant) return grant.error();
    if (!*grant) return std::optional<Change>();
    const auto mark = database_.integer("SELECT value FROM numbers WHERE name = 'next id'");
    if (!mark) return mark.error();
    const auto highest = writer_.highest_id();
    if (!highest) return highest.error();
    (*grant)->id = std::max(*mark, *highest + 1);
    (*grant)->retire_at = saturating_add(install->tokens.obtained_at, kPutAsideFor);
    std::optional<Change> park = Change(Park{std::move(**grant)});
    const auto parked = writer_.apply(*park);
    if (!parked) return parked.error();
    log::notice("tokens that an edit had replaced while the disk failed are put aside",
                {{"ACCOUNT", install->account}});
    return park;
  }

  // Answers in their slots are not counted yet: what was seen of them is no more than the intent's own count.
  Result<void> compare(const Counts& before) {
    if (past_.restored) past_.witness.suspect(before);
    const Counts& seen = past_.witness.seen();
    const std::int64_t rotations = seen.rotations - before.rotations;
    const std::int64_t generations = seen.generations - before.generations;
    if (rotations <= 0 && generations <= 0) return {};
    recovered_.counts += {std::max<std::int64_t>(0, rotations), std::max<std::int64_t>(0, generations)};
    if (rotations <= 0) return writer_.spend(generations);
    log::write(
        log::Level::kError, message_id::kRolledBack.id,
        "the database is an older copy than the one that was in use; accounts whose refresh tokens rotate wait for a person",
        {{"BEHIND", std::to_string(rotations)}});
    return writer_.roll_back(std::max<std::int64_t>(0, generations) + kOnlyInItsSlot, past_.now);
  }

  Result<void> take_ids() {
    const auto mark = database_.integer("SELECT value FROM numbers WHERE name = 'next id'");
    if (!mark) return mark.error();
    const auto highest = writer_.highest_id();
    if (!highest) return highest.error();
    if (std::max(*mark, *highest) > kLastId) return corrupt("the mark of used row numbers is damaged");
    recovered_.first_id = std::max(*mark, *highest + 1);
    return database_.execute("UPDATE numbers SET value = " + std::to_string(recovered_.first_id + kIdsOfARun) +
                             " WHERE name = 'next id'");
  }

  // An account that has something as new or newer already keeps it, and the slot is freed.
  Result<Applied> apply(Change& change) {
    const auto* install = std::get_if<Install>(&change);
    if (install == nullptr) return writer_.apply(change);
    const auto last = writer_.generation_of(install->account);
    if (!last) return last.error();
    if (install->generation > *last) return writer_.apply(change);
    log::notice("a stored answer is not newer than what the account has; its slot is freed",
                {{"ACCOUNT", install->account}, {"GENERATION", std::to_string(install->generation)}});
    change = DropIntent{install->account, *install->slot};
    return writer_.apply(change);
  }

  void commit() {
    const auto committed = database_.execute("COMMIT");
    if (committed) {
      recovered_.committed = true;
      past_.witness.note(recovered_.counts);
      if (!recovered_.uncommitted.empty()) {
        log::notice("answers of an earlier run were installed",
                    {{"COUNT", std::to_string(recovered_.uncommitted.size())}});
      }
      for (const SlotId slot : released_)
        slots_.release(slot);
      recovered_.uncommitted.clear();
      return;
    }
    log::write(log::Level::kError, message_id::kNotStored.id,
               "the start could not be committed; answers of an earlier run stay in their slots",
               {{"WHY", committed.error().message()}, {"ANSWERS", std::to_string(recovered_.uncommitted.size())}});
    if (database_.in_transaction()) [[maybe_unused]]
      const auto undone = database_.execute("ROLLBACK");
    recovered_.counts = in_database_;
  }

  Database& database_;
  const Sealer& sealer_;
  StateWriter& writer_;
  AnswerSlots& slots_;
  const Past past_;
  Counts in_database_;
  std::vector<Answer> answers_;
  std::vector<SlotId> released_;
  std::vector<std::string> damage_;
  Recovered recovered_;
};

}  // namespace

Result<Recovered> recover(Database& database, const Sealer& sealer, StateWriter& writer, AnswerSlots& slots,
                          Past past) {
  return Recovery(database, sealer, writer, slots, past).run();
}

}  // namespace credsync::store
