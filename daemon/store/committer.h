// Makes requests durable, many in one transaction, and answers them. Owned by the store thread.
//
// An answer to a rotation goes sealed into its slot first; once that is synced it is durable and acknowledged, whatever
// becomes of the transaction. If the transaction fails (a full disk), such an answer waits here with its slot taken and
// is tried again; later changes of the same account wait behind it, so that the order of the calls holds. So does one that
// its slot did not take either, unacknowledged, for as long as there is hope that the disk recovers: it cannot be had twice.
// Any other change that fails is undone whole and answered with its error.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <unordered_set>
#include <vector>

#include "base/loop.h"
#include "daemon/store/answer_slots.h"
#include "daemon/store/state_writer.h"
#include "daemon/store/write_queue.h"

namespace credsync::store {

struct CommitTimes {
  // A full disk is tried again soon, for its admin waits, and then seldom, for each try writes to the log.
  std::chrono::milliseconds first_pause{1000};
  std::chrono::milliseconds longest_pause{60'000};
  // How long an erased token may stay, sealed, in the write-ahead log: each cut costs two syncs.
  std::chrono::milliseconds cut_log_after{5000};
};

class Committer {
 public:
  using Moment = std::chrono::steady_clock::time_point;

  Committer(Database& database, StateWriter& writer, AnswerSlots& slots, const Sealer& sealer, Executor& loop,
            const CommitTimes& times, std::function<std::int64_t()> new_id, std::uint64_t next_sequence,
            Witness& witness, const Counts& counts);

  // An answer that is durable in its slot and was acknowledged, but not committed: from an earlier run.
  void adopt(Change change);

  // Tries everything: what waits from before, then the batch. With an empty batch only when it is time again, or when
  // `insist`.
  void process(std::vector<Request> batch, bool insist);
  // Ends the waiting of what is not durable: each gets the error that holds it up.
  void refuse_waiting();

  // Waiting requests; those of them that are durable in a slot.
  std::size_t waiting() const { return waiting_.size(); }
  // Why the last attempt left something behind.
  const std::optional<Error>& trouble() const { return trouble_; }

  // When to call process() or tidy() although nothing came.
  std::optional<Moment> next_moment() const;
  // Cuts the write-ahead log when something was erased a while ago, or `now` whatever the time.
  void tidy(bool now);

 private:
  // What must not be overtaken.
  struct Order {
    std::unordered_set<std::string> accounts;
    std::unordered_set<std::int64_t> rows;
    void add(const Request& request);
    bool holds_up(const Request& request) const;
  };

  bool prepare(Request& request);
  void note_keys(Request& request, const Change& change);
  bool fit_for_slot(const Request& request, Change& change);
  bool ends_before(const Request& late) const;
  bool put_into_slot(Request& request);
  void sync_slots();
  Result<void> commit(const Counts& more);
  bool attempt_together();
  void attempt_each();
  Result<Applied> attempt_in_savepoint(Request& request);
  Result<Applied> attempt_alone(Request& request);
  Result<Applied> write(Request& request);
  void settle();
  void finish(Request& request);
  void refuse(Request& request, const Error& error);
  void note_trouble(const std::optional<Error>& error);

  Database& database_;
  StateWriter& writer_;
  AnswerSlots& slots_;
  const Sealer& sealer_;
  Executor& loop_;
  const CommitTimes times_;
  std::function<std::int64_t()> new_id_;
  std::uint64_t next_sequence_;
  Witness& witness_;
  Counts counts_;  // in the database
  std::deque<Request> waiting_;
  std::optional<Error> trouble_;
  std::chrono::milliseconds pause_{0};
  Moment retry_at_{};
  std::optional<Moment> cut_log_at_;
};

}  // namespace credsync::store
