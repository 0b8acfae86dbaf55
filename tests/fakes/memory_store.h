// A TokenStore in memory, for tests of the core: the same answers as the SQLite store, and a disk that can be slow, full,
// broken or pulled out. What was synced lives in a MemoryDisk, which outlives the store: another MemoryStore on the same
// disk is a restart. Everything happens on the caller's thread; callbacks are posted to the Executor, never called at once.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/loop.h"
#include "daemon/store/token_store.h"

namespace credsync::fakes {

// What a crash leaves.
struct MemoryDisk {
  std::map<std::string, store::StoredAccount> accounts;
  std::map<std::int64_t, store::ParkedGrant> parked;
  std::map<store::SlotId, store::Intent> intents;
  std::set<store::SlotId> without_room;  // of these: freed until the resend
  std::map<std::int64_t, store::Retirement> retirements;
  std::vector<store::Change> answers;  // in slots, synced, not committed yet; in the order they came
  std::int64_t next_id = 1;
  WallTime forewarned_until;
  store::SlotId next_slot = 1;

  // A copy of all rows, as a restart without the answers in slots would find them.
  store::Snapshot rows() const;
};

// A change in words: "Install flat-me 3".
std::string words_of(const store::Change& change);

class MemoryStore final : public store::TokenStore {
 public:
  MemoryStore(MemoryDisk& disk, Executor& loop, std::size_t slots = 64) : disk_(disk), loop_(loop), slots_(slots) {}
  // Drains, unless it crashed.
  ~MemoryStore() override;

  Result<store::Snapshot> load() override;
  void apply(store::Change change, UniqueFunction<void(Result<store::Ids>)> done) override;
  std::int64_t new_id() override { return disk_.next_id++; }
  void begin_rotation(store::Intent intent, UniqueFunction<void(Result<store::SlotId>)> done) override;
  void drain() override;

  // A slow disk: from now on nothing is synced and nothing answered, until let_go() or as many as let_go_of() says.
  void hold() { held_ = true; }
  void let_go();
  void let_go_of(std::size_t count);
  // The answers among them are synced in their slots and acknowledged, as the real one does before it commits.
  void put_answers();
  // How many wait unsynced.
  std::size_t waiting() const { return waiting_.size(); }

  // A full disk: changes fail with kFull, answers with a slot are durable there and wait, as with the real one.
  void fill_disk() { full_ = true; }
  void make_room();

  // The next `times` changes or intents fail with `error` and change nothing.
  void fail_next(Error error, unsigned times = 1);

  // The next attempts of all that wait fail so, as when a transaction does; what is in a slot waits on, and so do answers
  // that have one.
  void fail_all(const Error& error);

  // Told of what is committed, in the order of it, of each answer that is durable in its slot, and of what was refused.
  struct Watch {
    std::function<void(const store::Change&)> applied, in_slot, refused;
  };
  void watch(Watch watch) { watch_ = std::move(watch); }

  // The machine stops: what was not synced is lost, no callback comes any more.
  void crash();

  // What was synced, in order, as words: "Install flat-me 3", "begin_rotation flat-me 2".
  const std::vector<std::string>& history() const { return history_; }

 private:
  struct Request {
    std::variant<store::Change, store::Intent> work;
    UniqueFunction<void(Result<store::Ids>)> done;
    UniqueFunction<void(Result<store::SlotId>)> begun;
    store::Ids ids;
    std::string account;
    std::vector<std::int64_t> rows;
    bool durable = false;
  };
  void put_aside(const store::Install& install);
  void process(std::size_t most);
  // True: it is over, with or without success.
  bool attempt(Request& request);
  std::size_t taken() const;
  bool attempt(Request& request, store::Intent& intent);
  bool attempt(Request& request, store::Change& change);
  bool put(Request& request);
  bool ends_before(const Request& late) const;
  static bool cannot_be_had_twice(const Request& request);
  void refuse(Request& request, const Error& error);
  void answer(Request& request, Result<store::Ids> result);

  MemoryDisk& disk_;
  Executor& loop_;
  const std::size_t slots_;
  std::deque<Request> waiting_;
  std::vector<std::string> history_;
  Watch watch_;
  std::optional<Error> failure_;
  unsigned failures_ = 0;
  bool held_ = false;
  bool full_ = false;
  bool crashed_ = false;
};

}  // namespace credsync::fakes
