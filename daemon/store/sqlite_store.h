// The token store on SQLite (design section 11). open() and load() block and belong to the start; afterwards the store
// thread owns the connection and the slots, and every `done` is posted to the loop. The destructor drains and joins.
// Failures of open() and load() are for people: nothing was overwritten, and the process should end with status 78
// unless the code is kIo or kFull.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "base/loop.h"
#include "base/time.h"
#include "daemon/store/answer_slots.h"
#include "daemon/store/committer.h"
#include "daemon/store/master_key.h"
#include "daemon/store/token_store.h"

namespace credsync::store {

struct SqliteStoreOptions {
  std::string state_dir;
  KeySource key;
  std::string cache_dir = {};  // a second place for the count of changes (witness.h); empty: none
  SlotGeometry slots = {};     // of a new file of slots
  CommitTimes times = {};
};

// How the store does, for an alarm and for metrics.
struct StoreHealth {
  std::size_t queued = 0;  // not looked at yet
  std::size_t late = 0;    // could not be committed yet, and what waits behind
  std::size_t free_slots = 0;
  std::optional<BootTime> busy_since;  // the disk has been at one batch since then
};

class SqliteStore final : public TokenStore {
 public:
  // `loop` and `clock` must outlive the store.
  static Result<std::unique_ptr<SqliteStore>> open(const SqliteStoreOptions& options, Executor& loop,
                                                   const Clock& clock);
  ~SqliteStore() override;

  Result<Snapshot> load() override;
  void apply(Change change, UniqueFunction<void(Result<Ids>)> done) override;
  std::int64_t new_id() override;
  void begin_rotation(Intent intent, UniqueFunction<void(Result<SlotId>)> done) override;
  void drain() override;

  // Thread-safe.
  StoreHealth health() const;

 private:
  struct Parts;
  SqliteStore(std::unique_ptr<Parts> parts, const CommitTimes& times, Executor& loop, const Clock& clock);
  void work();

  std::unique_ptr<Parts> parts_;
  const CommitTimes times_;
  Executor& loop_;
  const Clock& clock_;
  std::atomic<std::int64_t> next_id_{1};
  std::atomic<std::int64_t> busy_since_{0};  // microseconds since boot; 0: idle
  std::atomic<std::size_t> late_{0};
  std::atomic<std::size_t> free_slots_{0};
  std::thread thread_;
};

}  // namespace credsync::store
