// Beginning anew: the old database is kept whole, generations go on, and nothing is begun over that can still be opened.
#include "daemon/store/start_over.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "base/encoding.h"
#include "tests/unit/store/store_testing.h"

namespace credsync::store {
namespace {

using namespace credsync::store::testing;
namespace fs = std::filesystem;

class StartingOverTest : public ::testing::Test {
 protected:
  StartingOverTest() {
    auto store = SqliteStore::open(options_, loop_, clock_);
    EXPECT_TRUE(store && (*store)->load());
    apply_all(**store);
    store->reset();
    old_database_ = read_all(database_);
  }
  void apply_all(SqliteStore& store) {
    EXPECT_TRUE(apply(store, loop_, install("flat-me", 41)));
    EXPECT_TRUE(apply(store, loop_, install("out", 7)));
    EXPECT_TRUE(apply(store, loop_, SignOut{"out", {}, standing(State::kSignedOut), 7}));
    EXPECT_TRUE(apply(store, loop_, install("moved", 3)));
    EXPECT_TRUE(apply(store, loop_, Park{parked("moved", 12)}));
    EXPECT_TRUE(begin(store, loop_, intent("flat-me", 41)));  // its answer may have been published as 42
    last_id_ = store.new_id();
  }
  KeyTask task() {
    KeyTask t;
    t.state_dir = folder_.state();
    t.source = options_.key;
    return t;
  }
  void lose_key() { fs::rename(key_, folder_.path() + "/lost.key"); }
  WallTime later() { return now_ += 1min; }

  // The new database in use, with what went over.
  void expect_begun_anew() {
    auto store = SqliteStore::open(options_, loop_, clock_);
    ASSERT_TRUE(store) << store.error().message();
    const auto snapshot = (*store)->load();
    ASSERT_TRUE(snapshot);
    ASSERT_EQ(snapshot->accounts.size(), 3u);
    EXPECT_EQ(find(*snapshot, "flat-me")->generation, 42u);
    EXPECT_EQ(find(*snapshot, "out")->generation, 7u);
    EXPECT_EQ(find(*snapshot, "moved")->generation, 12u);
    EXPECT_EQ(find(*snapshot, "flat-me")->standing.state, State::kNeedsLogin);
    EXPECT_EQ(find(*snapshot, "out")->standing.state, State::kSignedOut) << "nobody is signed in who had signed out";
    for (const StoredAccount& account : snapshot->accounts)
      EXPECT_FALSE(account.tokens);
    EXPECT_TRUE(snapshot->parked.empty() && snapshot->intents.empty() && snapshot->retirements.empty());
    EXPECT_GT((*store)->new_id(), last_id_);
    ASSERT_TRUE(apply(**store, loop_, install("flat-me", 43)));
  }
  // Put back with its key, the old database opens as it was.
  void expect_kept_whole(const std::string& kept) {
    const std::string elsewhere = folder_.path() + "/elsewhere";
    fs::create_directory(elsewhere);
    ASSERT_EQ(::chmod(elsewhere.c_str(), 0700), 0);
    for (const char* name : {"state.db", "answers.slots"})
      fs::copy_file(kept + "/" + name, elsewhere + "/" + name);
    SqliteStoreOptions options = options_for(elsewhere);
    options.key = {KeySource::Kind::kFile, folder_.path() + "/lost.key"};
    auto store = SqliteStore::open(options, loop_, clock_);
    ASSERT_TRUE(store) << store.error().message();
    const auto snapshot = (*store)->load();
    ASSERT_TRUE(snapshot);
    EXPECT_TRUE(find(*snapshot, "flat-me")->tokens);
    EXPECT_EQ(snapshot->parked.size(), 1u);
    fs::remove_all(elsewhere);
  }
  bool killed_at(std::string_view at) {
    const pid_t child = ::fork();
    if (child == 0) {
      KeyTask t = task();
      t.step = [at](std::string_view step) {
        if (step == at) ::raise(SIGKILL);
      };
      [[maybe_unused]] const auto done = start_over(std::move(t), now_);
      ::_exit(0);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  }

  TestLoop loop_;
  TestClock clock_;
  WallTime now_ = wall_from_seconds(1'900'000'000);
  TemporaryFolder folder_;
  SqliteStoreOptions options_ = options_for(folder_.state());
  const std::string key_ = folder_.state() + "/credsyncd.key";
  const std::string database_ = folder_.state() + "/state.db";
  std::string old_database_;
  std::int64_t last_id_ = 0;
};

TEST_F(StartingOverTest, TheOldDatabaseIsKeptAndGenerationsGoOn) {
  lose_key();
  const auto done = start_over(task(), now_);
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(done->kept_in, folder_.state() + "/state.lost-20300317T174640Z");
  EXPECT_EQ(done->accounts, 3u);
  EXPECT_FALSE(done->unreadable);
  EXPECT_TRUE(read_all(done->kept_in + "/state.db") == old_database_);
  expect_begun_anew();
  expect_kept_whole(done->kept_in);
}

TEST_F(StartingOverTest, WhatCanBeOpenedIsNotBegunAnew) {
  const auto done = start_over(task(), now_);
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message().find("nothing is lost"), std::string::npos);
  EXPECT_TRUE(read_all(database_) == old_database_);
  EXPECT_FALSE(fs::exists(folder_.state() + "/state.lost-20300317T174640Z"));
}

TEST_F(StartingOverTest, AKeyThatDoesNotOpenIsUsedForTheNewOne) {
  lose_key();
  const std::string text = encode_base64(std::string(32, 'x')) + "\n";
  write_all(key_, text);
  ASSERT_EQ(::chmod(key_.c_str(), 0600), 0);
  ASSERT_TRUE(start_over(task(), now_));
  EXPECT_EQ(read_all(key_), text);
  expect_begun_anew();
}

TEST_F(StartingOverTest, ATextThatIsNoKeyIsKeptWithTheRest) {
  lose_key();
  write_all(key_, "no key\n");
  ASSERT_EQ(::chmod(key_.c_str(), 0600), 0);
  const auto done = start_over(task(), now_);
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(read_all(done->kept_in + "/credsyncd.key"), "no key\n");
  expect_begun_anew();
}

TEST_F(StartingOverTest, OfADamagedDatabaseNothingGoesOver) {
  lose_key();
  write_all(database_, std::string(8192, 'd'));
  const auto done = start_over(task(), now_);
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_TRUE(done->unreadable);
  EXPECT_EQ(read_all(done->kept_in + "/state.db"), std::string(8192, 'd'));
  auto store = SqliteStore::open(options_, loop_, clock_);
  ASSERT_TRUE(store) << store.error().message();
  EXPECT_TRUE((*store)->load()->accounts.empty());
}

TEST_F(StartingOverTest, OfANewerDatabaseNothingIsBegun) {
  lose_key();
  edit_database(database_, "PRAGMA user_version = 99");
  const auto done = start_over(task(), now_);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kTooNew);
}

// Numbers that callers have seen, though no token set has them: what came of an older copy, and of a grant that was parked.
TEST_F(StartingOverTest, NoNumberThatWasGivenOutIsGivenAgain) {
  edit_database(database_,
                "UPDATE accounts SET spent = 20 WHERE name = 'out'; UPDATE intents SET renumbered = 60 WHERE account = "
                "'flat-me'");
  lose_key();
  ASSERT_TRUE(start_over(task(), now_));
  auto store = SqliteStore::open(options_, loop_, clock_);
  ASSERT_TRUE(store) << store.error().message();
  const auto snapshot = (*store)->load();
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(find(*snapshot, "out")->generation, 20u);
  EXPECT_EQ(find(*snapshot, "flat-me")->generation, 61u) << "its answer may have been published";
}

TEST_F(StartingOverTest, OfTheFirstSchemaTheNumbersGoOver) {
  lose_key();
  edit_database(database_,
                "ALTER TABLE accounts DROP COLUMN spent; ALTER TABLE accounts DROP COLUMN promised_until;"
                "ALTER TABLE parked DROP COLUMN rolled_back; ALTER TABLE parked DROP COLUMN promised_until;"
                "ALTER TABLE intents DROP COLUMN renumbered;"
                "DELETE FROM numbers WHERE name <> 'next id'; PRAGMA user_version = 1");
  const auto done = start_over(task(), now_);
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_FALSE(done->unreadable);
  expect_begun_anew();
}

TEST_F(StartingOverTest, NotWhileADaemonRunsNorWithoutADatabase) {
  {
    auto store = SqliteStore::open(options_, loop_, clock_);
    ASSERT_TRUE(store);
    EXPECT_EQ(start_over(task(), now_).error().code(), ErrorCode::kTaken);
  }
  fs::remove(database_);
  EXPECT_EQ(start_over(task(), now_).error().code(), ErrorCode::kNotFound);
}

// What was committed last may still be in the write-ahead log of a daemon that was killed.
TEST_F(StartingOverTest, WhatIsOnlyInTheLogGoesOverToo) {
  const pid_t child = ::fork();
  if (child == 0) {
    TestLoop loop;
    auto store = SqliteStore::open(options_, loop, clock_);
    if (!store || !(*store)->load()) ::_exit(1);
    if (!apply(**store, loop, install("moved", 99))) ::_exit(2);
    ::raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  lose_key();
  const auto done = start_over(task(), now_);
  ASSERT_TRUE(done) << done.error().message();
  auto store = SqliteStore::open(options_, loop_, clock_);
  ASSERT_TRUE(store);
  EXPECT_EQ(find(*(*store)->load(), "moved")->generation, 99u);
  expect_kept_whole(done->kept_in);
}

TEST_F(StartingOverTest, KilledAtEveryStepItCanBeDoneAgain) {
  for (const char* step : {"key", "written", "slots", "kept", "replaced"}) {
    SCOPED_TRACE(step);
    fs::remove_all(folder_.state());
    {
      auto store = SqliteStore::open(options_, loop_, clock_);
      ASSERT_TRUE(store && (*store)->load());
      apply_all(**store);
    }
    fs::remove(folder_.path() + "/lost.key");
    lose_key();
    ASSERT_TRUE(killed_at(step));
    auto opened = SqliteStore::open(options_, loop_, clock_);
    if (opened) {
      EXPECT_EQ(step, std::string("replaced"));
      opened->reset();
    } else {
      later();
      const auto done = start_over(task(), now_);
      ASSERT_TRUE(done) << done.error().message();
      fs::exists(done->kept_in + "/answers.slots") ? expect_kept_whole(done->kept_in) : void();
    }
    expect_begun_anew();
    later();
  }
}

}  // namespace
}  // namespace credsync::store
