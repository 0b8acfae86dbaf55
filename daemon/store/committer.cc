#include "daemon/store/committer.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "base/fail_point.h"
#include "base/log.h"
#include "base/message_ids.h"
#include "daemon/store/codec.h"

namespace credsync::store {
namespace {

Committer::Moment now() {
  return std::chrono::steady_clock::now();
}

// The answer to a rotation that neither its slot nor the database took, for a reason that may pass: the provider will not
// say it again, and memory is the only place it has.
bool cannot_be_had_twice(const Request& request) {
  const auto* change = std::get_if<Change>(&request.work);
  if (change == nullptr || !slot_of(*change) || !request.outcome || *request.outcome) return false;
  switch (request.outcome->error().code()) {
    case ErrorCode::kIo:
    case ErrorCode::kFull:
    case ErrorCode::kDenied:
    case ErrorCode::kTaken: return true;
    default: return false;
  }
}

// It is not over with this attempt.
bool stays(const Request& request) {
  return !request.outcome || (!*request.outcome && (request.durable || cannot_be_had_twice(request)));
}

Counts counted(const Request& request) {
  return std::visit([](const auto& work) { return StateWriter::counted(work); }, request.work);
}

}  // namespace

Committer::Committer(Database& database, StateWriter& writer, AnswerSlots& slots, const Sealer& sealer, Executor& loop,
                     const CommitTimes& times, std::function<std::int64_t()> new_id, std::uint64_t next_sequence,
                     Witness& witness, const Counts& counts)
    : database_(database),
      writer_(writer),
      slots_(slots),
      sealer_(sealer),
      loop_(loop),
      times_(times),
      new_id_(std::move(new_id)),
      next_sequence_(next_sequence),
      witness_(witness),
      counts_(counts) {}

void Committer::Order::add(const Request& request) {
  if (!request.account.empty()) accounts.insert(request.account);
  rows.insert(request.rows.begin(), request.rows.end());
}

bool Committer::Order::holds_up(const Request& request) const {
  if (accounts.empty() && rows.empty()) return false;
  return accounts.contains(request.account) ||
         std::any_of(request.rows.begin(), request.rows.end(), [this](std::int64_t id) { return rows.contains(id); });
}

void Committer::adopt(Change change) {
  Request request;
  request.work = std::move(change);
  request.durable = true;
  note_keys(request, std::get<Change>(request.work));
  waiting_.push_back(std::move(request));
  retry_at_ = now();
}

void Committer::process(std::vector<Request> batch, bool insist) {
  for (Request& request : batch) {
    if (prepare(request)) waiting_.push_back(std::move(request));
  }
  if (waiting_.empty()) return;
  if (batch.empty() && !insist && now() < retry_at_) return;
  sync_slots();
  if (!attempt_together()) attempt_each();
  settle();
}

// False: it was answered already.
bool Committer::prepare(Request& request) {
  if (auto* intent = std::get_if<Intent>(&request.work)) {
    request.account = intent->account;
    const auto slot = slots_.reserve(intent->account, intent->generation);
    if (slot) intent->slot = *slot;
    if (!slot) refuse(request, exhausted("all slots for answers are taken"));
    return slot.has_value();
  }
  auto& change = std::get<Change>(request.work);
  if (const auto* room = std::get_if<FreeRoom>(&change)) slots_.release(room->slot);
  if (const auto* resend = std::get_if<CountResend>(&change); resend != nullptr && !slots_.reserved(resend->slot)) {
    request.account = resend->account;
    // The number that is in the row, which a grant that came back from parking has left: a start opens the answer by it.
    const auto intent = writer_.intent_of(resend->slot);
    if (!intent) {
      refuse(request, intent.error());
      return false;
    }
    if (!slots_.retake(resend->slot, resend->account, intent->generation)) {
      refuse(request, exhausted("the slot for the answer is taken"));
      return false;
    }
    request.retaken = resend->slot;
  }
  request.ids = give_ids(change, new_id_);
  note_keys(request, change);
  return true;
}

void Committer::note_keys(Request& request, const Change& change) {
  std::visit(
      [&](const auto& c) {
        if constexpr (requires { c.account; }) request.account = c.account;
        if constexpr (requires { c.grant.account; }) request.account = c.grant.account;
        if constexpr (requires { c.grant.id; }) request.rows.push_back(c.grant.id);
        if constexpr (requires { c.id; }) request.rows.push_back(c.id);
        if constexpr (requires { c.retire; }) {
          for (const Retirement& retirement : c.retire)
            request.rows.push_back(retirement.id);
        }
        if constexpr (requires { c.parked_id; }) {
          request.rows.push_back(c.parked_id);
          auto account = writer_.account_of_parked(c.parked_id);
          if constexpr (std::is_same_v<std::decay_t<decltype(c)>, UpdateParked>) account = writer_.account_of(c);
          if (account) request.account = std::move(*account);
        }
      },
      change);
}

// Whether it can be put into a slot, from where nothing could take it out again: not what would be refused. A used
// generation is raised here, for a start takes an answer with such a one for an old one.
bool Committer::fit_for_slot(const Request& request, Change& change) {
  if (auto* install = std::get_if<Install>(&change)) {
    const auto generation = writer_.next_generation(*install);
    if (generation) install->generation = *generation;
    return generation.has_value();
  }
  const auto* update = std::get_if<UpdateParked>(&change);
  if (update == nullptr) return fits_a_slot(change);
  if (writer_.account_of_parked(update->parked_id)) return true;
  return writer_.account_of(*update).has_value() && !ends_before(request);
}

// What an answer is for is about to go, by a change that is ahead of it.
bool Committer::ends_before(const Request& late) const {
  for (const Request& ahead : waiting_) {
    if (&ahead == &late) return false;
    const auto* change = std::get_if<Change>(&ahead.work);
    if (change == nullptr || ahead.account != late.account) continue;
    if (std::holds_alternative<SignOut>(*change) || std::holds_alternative<Forget>(*change) ||
        std::holds_alternative<DropIntent>(*change))
      return true;
  }
  return false;
}

// True: written, and durable after the next sync.
bool Committer::put_into_slot(Request& request) {
  auto* change = std::get_if<Change>(&request.work);
  const auto slot = change == nullptr ? std::nullopt : slot_of(*change);
  if (!slot || !slots_.reserved(*slot) || !fit_for_slot(request, *change)) return false;
  const auto written = slots_.put(*slot, encode_answer(*change, next_sequence_++).text(), sealer_);
  if (!written)
    log::write(log::Level::kError, message_id::kNotStored.id, "an answer could not be written to its slot",
               {{"WHY", written.error().message()}});
  return written.has_value();
}

// Writes the answers that are in no slot yet into theirs and acknowledges them after one sync for all.
void Committer::sync_slots() {
  std::vector<Request*> written;
  for (Request& request : waiting_) {
    if (!request.durable && put_into_slot(request)) written.push_back(&request);
  }
  if (written.empty()) return;
  CREDSYNC_FAIL_POINT("slots.written");
  if (const auto synced = slots_.sync(); !synced) {
    log::write(log::Level::kError, message_id::kNotStored.id, "answers could not be synced in their slots",
               {{"WHY", synced.error().message()}});
    return;
  }
  CREDSYNC_FAIL_POINT("slots.synced");
  for (Request* request : written) {
    request->durable = true;
    loop_.post([done = std::move(request->done), ids = request->ids]() mutable {
      if (done) done(std::move(ids));
    });
  }
}

Result<Applied> Committer::write(Request& request) {
  if (auto* intent = std::get_if<Intent>(&request.work)) {
    if (const auto added = writer_.add_intent(*intent); !added) return added.error();
    return Applied{};
  }
  return writer_.apply(std::get<Change>(request.work));
}

Result<Applied> Committer::attempt_in_savepoint(Request& request) {
  if (const auto begun = database_.execute("SAVEPOINT one"); !begun) return begun.error();
  auto applied = write(request);
  // After some errors SQLite has rolled back everything by itself; the caller looks.
  const auto ended = database_.execute(applied ? "RELEASE one" : "ROLLBACK TO one; RELEASE one");
  if (applied && !ended) return ended.error();
  return applied;
}

// Ends the transaction under way. What it counts for is first in it and then, when it is durable, outside.
Result<void> Committer::commit(const Counts& more) {
  Counts counts = counts_;
  counts += more;
  if (counts != counts_) CREDSYNC_TRY(writer_.set_counts(counts));
  CREDSYNC_FAIL_POINT("commit.before");
  CREDSYNC_TRY(database_.execute("COMMIT"));
  CREDSYNC_FAIL_POINT("commit.after");
  if (counts != counts_) witness_.note(counts);
  CREDSYNC_FAIL_POINT("commit.counted");
  counts_ = counts;
  return {};
}

// One transaction for all. False: it could not be committed as a whole, nothing is changed.
bool Committer::attempt_together() {
  if (waiting_.size() == 1) return false;
  if (!database_.execute("BEGIN IMMEDIATE")) return false;
  Order held_up;
  Counts more;
  for (Request& request : waiting_) {
    request.outcome.reset();
    if (!held_up.holds_up(request)) request.outcome = attempt_in_savepoint(request);
    if (request.outcome && *request.outcome) more += counted(request);
    if (!database_.in_transaction()) return false;
    if (stays(request)) held_up.add(request);
  }
  if (commit(more)) return true;
  if (database_.in_transaction()) [[maybe_unused]]
    const auto undone = database_.execute("ROLLBACK");
  return false;
}

void Committer::attempt_each() {
  Order held_up;
  for (Request& request : waiting_) {
    request.outcome.reset();
    if (!held_up.holds_up(request)) request.outcome = attempt_alone(request);
    if (stays(request)) held_up.add(request);
  }
}

Result<Applied> Committer::attempt_alone(Request& request) {
  if (const auto begun = database_.execute("BEGIN IMMEDIATE"); !begun) return begun.error();
  auto applied = write(request);
  if (applied) {
    const auto committed = commit(counted(request));
    if (committed) return applied;
    applied = committed.error();
  }
  if (database_.in_transaction()) [[maybe_unused]]
    const auto undone = database_.execute("ROLLBACK");
  return applied;
}

void Committer::settle() {
  std::deque<Request> tried = std::move(waiting_);
  waiting_.clear();
  std::optional<Error> trouble;
  for (Request& request : tried) {
    if (request.outcome && *request.outcome) {
      finish(request);
    } else if (stays(request)) {
      if (request.outcome && !trouble) trouble = request.outcome->error();
      waiting_.push_back(std::move(request));
    } else {
      refuse(request, request.outcome->error());
    }
  }
  note_trouble(trouble);
}

void Committer::finish(Request& request) {
  Applied& applied = **request.outcome;
  for (const SlotId slot : applied.released)
    slots_.release(slot);
  if (!applied.released.empty()) CREDSYNC_FAIL_POINT("slots.released");
  if (applied.erased && !cut_log_at_) cut_log_at_ = now() + times_.cut_log_after;
  if (auto* intent = std::get_if<Intent>(&request.work)) {
    CREDSYNC_FAIL_POINT("intent.durable");
    loop_.post([begun = std::move(request.begun), slot = intent->slot]() mutable { begun(slot); });
  } else if (!request.durable) {
    loop_.post([done = std::move(request.done), ids = std::move(applied.ids)]() mutable {
      if (done) done(std::move(ids));
    });
  }
}

void Committer::refuse(Request& request, const Error& error) {
  if (auto* intent = std::get_if<Intent>(&request.work)) {
    slots_.release(intent->slot);
    loop_.post([begun = std::move(request.begun), error]() mutable { begun(error); });
  } else {
    if (request.retaken) slots_.release(*request.retaken);
    loop_.post([done = std::move(request.done), error]() mutable {
      if (done) done(error);
    });
  }
}

void Committer::refuse_waiting() {
  std::deque<Request> kept;
  for (Request& request : waiting_) {
    if (request.durable) {
      kept.push_back(std::move(request));
    } else {
      refuse(request, trouble_ ? *trouble_ : unavailable("the store is closing"));
    }
  }
  waiting_ = std::move(kept);
}

// Says once that answers are stuck, and once that they are not.
void Committer::note_trouble(const std::optional<Error>& error) {
  if (error) {
    pause_ = trouble_ ? std::min(pause_ * 2, times_.longest_pause) : times_.first_pause;
    retry_at_ = now() + pause_;
    if (!trouble_) {
      log::write(log::Level::kError, message_id::kStorageLate.id,
                 "the store cannot commit; answers are kept in their slots and tried again",
                 {{"WHY", error->message()}, {"WAITING", std::to_string(waiting_.size())}});
    }
  } else if (trouble_) {
    log::write(log::Level::kNotice, message_id::kStorageBack.id, "the store commits again", {});
  }
  trouble_ = error;
}

std::optional<Committer::Moment> Committer::next_moment() const {
  if (waiting_.empty()) return cut_log_at_;
  return cut_log_at_ ? std::min(retry_at_, *cut_log_at_) : retry_at_;
}

void Committer::tidy(bool at_once) {
  if (!cut_log_at_ || (!at_once && now() < *cut_log_at_)) return;
  cut_log_at_.reset();
  CREDSYNC_FAIL_POINT("log.cut-before");
  if (const auto cut = database_.truncate_log(); !cut) {
    log::warning("the write-ahead log could not be cut; erased tokens stay in it, sealed",
                 {{"WHY", cut.error().message()}});
    if (!at_once) cut_log_at_ = now() + times_.longest_pause;
  }
  CREDSYNC_FAIL_POINT("log.cut-after");
}

}  // namespace credsync::store
