// What the store's tests share: a loop that is a queue, a folder that goes away, and records with every field set.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/loop.h"
#include "daemon/store/sqlite_store.h"
#include "daemon/store/token_store.h"
#include "daemon/store/witness.h"

namespace credsync::store::testing {

class TestLoop final : public Executor {
 public:
  void post(UniqueFunction<void()> task) override;
  // Runs what is posted until `done` holds; false when that takes longer than a test may.
  bool run_until(const std::function<bool()>& done);
  // Runs what is there now.
  void run_posted();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<UniqueFunction<void()>> tasks_;
};

class TestClock final : public Clock {
 public:
  WallTime wall() const override { return now; }
  BootTime boot() const override { return BootTime(1s); }
  WallTime now = wall_from_seconds(1'800'000'000);
};

// In memory where that is possible: syncs then cost nothing. Speed is measured on a disk.
enum class Where { kMemory, kDisk };
class TemporaryFolder {
 public:
  explicit TemporaryFolder(Where where = Where::kMemory);
  ~TemporaryFolder();
  const std::string& path() const { return path_; }
  std::string state() const { return path_ + "/state"; }

 private:
  std::string path_;
};

// Few small slots: the file is made for every test.
SqliteStoreOptions options_for(const std::string& state_dir);

// Calls and waits for the answer.
Result<Ids> apply(TokenStore& store, TestLoop& loop, Change change);
Result<SlotId> begin(TokenStore& store, TestLoop& loop, Intent intent);

// Every field set, the secrets made from `mark`.
account::TokenSet tokens(const std::string& mark);
Retirement retirement(const std::string& account, Generation generation, const std::string& mark,
                      RetiredKind kind = RetiredKind::kRefresh);
Standing standing(State state = State::kOk);
Standing troubled();
Intent intent(const std::string& account, Generation generation);
// With the retirement of the generation before it.
Install install(const std::string& account, Generation generation, std::optional<SlotId> slot = std::nullopt);
ParkedGrant parked(const std::string& account, Generation generation);

const StoredAccount* find(const Snapshot& snapshot, const std::string& name);
// Everything in it as text, one line a row, secrets included: equal texts are equal states.
std::string describe(const Snapshot& snapshot);
std::string describe(const account::TokenSet& tokens);

// Runs SQL on a closed store's database, as somebody who meddles would.
void edit_database(const std::string& path, const std::string& sql);

std::string read_all(const std::string& path);
void write_all(const std::string& path, const std::string& content);

}  // namespace credsync::store::testing
