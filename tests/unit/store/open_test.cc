// The start: keys, modes, locks, versions. What cannot be opened is refused with words, and nothing is overwritten.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "base/encoding.h"
#include "daemon/store/database_file.h"
#include "daemon/store/master_key.h"
#include "daemon/store/state_writer.h"
#include "tests/unit/store/store_testing.h"

namespace credsync::store {
namespace {

using namespace credsync::store::testing;
namespace fs = std::filesystem;

class Opening : public ::testing::Test {
 protected:
  ~Opening() override { ::unsetenv("CREDENTIALS_DIRECTORY"); }

  Result<std::unique_ptr<SqliteStore>> open() { return SqliteStore::open(options_, loop_, clock_); }
  // An account is stored and the store closed again.
  void make() {
    auto store = open();
    ASSERT_TRUE(store) << store.error().message();
    ASSERT_TRUE((*store)->load());
    ASSERT_TRUE(apply(**store, loop_, install("flat-me", 1)));
  }
  bool still_there() {
    auto store = open();
    if (!store) return false;
    const auto snapshot = (*store)->load();
    return snapshot && snapshot->accounts.size() == 1 && snapshot->accounts[0].tokens;
  }
  std::map<std::string, std::string> content() {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::directory_iterator(folder_.state())) {
      const bool empty_log =
          entry.path().filename() == "state.db-wal" && fs::is_empty(entry.path());  // of looking at it
      if (entry.path().filename() != "state.lock" && !empty_log)
        files[entry.path().filename()] = read_all(entry.path());
    }
    return files;
  }
  // Refused with this code and words that hold `part`, and not a byte has changed.
  void expect_refused(ErrorCode code, const std::string& part) {
    const auto before = content();
    auto store = open();
    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().code(), code) << store.error().message();
    EXPECT_NE(store.error().message().find(part), std::string::npos) << store.error().message();
    EXPECT_TRUE(content() == before) << "something was written";
  }
  mode_t mode_of(const std::string& name) {
    struct stat status {};
    EXPECT_EQ(::stat(name.c_str(), &status), 0) << name;
    return status.st_mode & 0777;
  }
  std::string in_state(const std::string& name) { return folder_.state() + "/" + name; }

  TestLoop loop_;
  TestClock clock_;
  TemporaryFolder folder_;
  SqliteStoreOptions options_ = options_for(folder_.state());
  const std::string key_ = folder_.state() + "/credsyncd.key";
};

TEST_F(Opening, TheFirstStartMakesEverythingForItselfAlone) {
  make();
  EXPECT_EQ(mode_of(folder_.state()), 0700u);
  for (const auto& [name, bytes] : content())
    EXPECT_EQ(mode_of(in_state(name)), 0600u) << name;
  const std::string key = read_all(key_);
  ASSERT_EQ(key.size(), 45u);
  EXPECT_EQ(decode_base64(key.substr(0, 44))->size(), 32u);
  EXPECT_FALSE(fs::exists(in_state("state.db-wal"))) << "closing leaves one file";
  EXPECT_TRUE(still_there());
  EXPECT_EQ(read_all(key_), key);
}

TEST_F(Opening, WhileOpenTheLogIsOursAlone) {
  auto store = open();
  ASSERT_TRUE(store && (*store)->load());
  ASSERT_TRUE(apply(**store, loop_, install("flat-me", 1)));
  EXPECT_EQ(mode_of(in_state("state.db-wal")), 0600u);
  EXPECT_FALSE(fs::exists(in_state("state.db-shm")));
}

TEST_F(Opening, ByDefaultTheKeyLiesBesideTheDatabase) {
  options_.key = {};
  make();
  EXPECT_TRUE(fs::exists(key_));
  EXPECT_TRUE(still_there());
}

TEST_F(Opening, ACredentialIsTheKey) {
  const std::string credentials = folder_.path() + "/credentials";
  fs::create_directory(credentials);
  write_all(credentials + "/credsyncd.key", encode_base64(std::string(32, 'k')) + "\n");
  // As systemd 252 shows it on a tmpfs: root's, and the mask of its ACL looks like a right of the group.
  ASSERT_EQ(::chmod((credentials + "/credsyncd.key").c_str(), 0440), 0);
  if (::geteuid() == 0) {
    EXPECT_EQ(::chown((credentials + "/credsyncd.key").c_str(), 0, 12345), 0);
  }
  ::setenv("CREDENTIALS_DIRECTORY", credentials.c_str(), 1);
  options_.key = {};
  make();
  EXPECT_FALSE(fs::exists(key_)) << "no second key is made";
  options_.key = {KeySource::Kind::kCredential, "credsyncd.key"};
  EXPECT_TRUE(still_there());
  options_.key = {KeySource::Kind::kCredential, "other"};
  expect_refused(ErrorCode::kNotFound, "\"other\" was not passed");
}

TEST_F(Opening, ACredentialThatAllCanReadIsNone) {
  const std::string credentials = folder_.path() + "/credentials";
  fs::create_directory(credentials);
  write_all(credentials + "/credsyncd.key", encode_base64(std::string(32, 'k')) + "\n");
  ASSERT_EQ(::chmod((credentials + "/credsyncd.key").c_str(), 0444), 0);
  ::setenv("CREDENTIALS_DIRECTORY", credentials.c_str(), 1);
  options_.key = {};
  const auto store = open();
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code(), ErrorCode::kDenied);
  EXPECT_FALSE(fs::exists(in_state("state.db")));
}

TEST_F(Opening, AMissingCredentialIsNeverMade) {
  options_.key = {KeySource::Kind::kCredential, "credsyncd.key"};
  auto store = open();
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code(), ErrorCode::kNotFound);
  EXPECT_FALSE(fs::exists(in_state("state.db")));
}

TEST_F(Opening, NoKeyIsMadeWhileThereIsADatabase) {
  make();
  fs::rename(key_, key_ + ".away");
  expect_refused(ErrorCode::kNotFound, "is missing, and");
  EXPECT_FALSE(fs::exists(key_));
  fs::rename(key_ + ".away", key_);
  EXPECT_TRUE(still_there());
}

TEST_F(Opening, AnotherKeyDoesNotOpen) {
  make();
  const std::string right = read_all(key_);
  write_all(key_, encode_base64(std::string(32, 'x')) + "\n");
  expect_refused(ErrorCode::kCorrupt, "does not open this database");
  write_all(key_, right);
  EXPECT_TRUE(still_there());
}

TEST_F(Opening, AKeyFileOthersCanReadIsRefused) {
  make();
  ASSERT_EQ(::chmod(key_.c_str(), 0604), 0);
  expect_refused(ErrorCode::kDenied, "can be read by others");
}

TEST_F(Opening, AKeyFileOfAnotherUserIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  make();
  ASSERT_EQ(::chown(key_.c_str(), 12345, 0), 0);
  expect_refused(ErrorCode::kDenied, "belongs to another user");
}

TEST_F(Opening, ATextThatIsNoKeyIsRefused) {
  make();
  for (const char* text : {"", "secret\n", "AAAA\n"}) {
    write_all(key_, text);
    expect_refused(ErrorCode::kInvalid, "holds no master key");
  }
}

TEST_F(Opening, AnAdminsOwnKeyIsUsedOnTheFirstStart) {
  fs::create_directory(folder_.state());
  ::chmod(folder_.state().c_str(), 0700);
  const std::string own = encode_base64(std::string(32, 'o')) + "\n";
  write_all(key_, own);
  ::chmod(key_.c_str(), 0600);
  make();
  EXPECT_EQ(read_all(key_), own);
}

TEST_F(Opening, AnEmptyDatabaseIsDamageNotAFirstStart) {
  make();
  write_all(in_state("state.db"), "");
  expect_refused(ErrorCode::kCorrupt, "is empty");
}

TEST_F(Opening, AMissingDatabaseBesideItsSlotsIsDamage) {
  make();
  fs::remove(in_state("state.db"));
  expect_refused(ErrorCode::kCorrupt, "is missing");
}

TEST_F(Opening, SomebodyElsesDatabaseIsLeftAlone) {
  make();
  const std::string path = in_state("state.db");
  fs::remove(path);
  write_all(path, "");
  edit_database(path, "CREATE TABLE theirs (x)");
  expect_refused(ErrorCode::kCorrupt, "not a credsyncd database");
}

TEST_F(Opening, ANewerSchemaIsLeftAlone) {
  make();
  edit_database(in_state("state.db"), "PRAGMA user_version = 99");
  expect_refused(ErrorCode::kTooNew, "written by a newer credsyncd (schema 99");
}

// As credsyncd wrote it before it stored promises.
TEST_F(Opening, ADatabaseOfAnEarlierSchemaIsBroughtUpToDate) {
  make();
  edit_database(in_state("state.db"),
                "ALTER TABLE accounts DROP COLUMN promised_until; ALTER TABLE parked DROP COLUMN promised_until;"
                "ALTER TABLE intents DROP COLUMN renumbered; ALTER TABLE accounts DROP COLUMN kept_identity;"
                "PRAGMA user_version = 2");
  TestLoop loop;
  TestClock clock;
  auto store = SqliteStore::open(options_for(folder_.state()), loop, clock);
  ASSERT_TRUE(store) << store.error().message();
  const auto before = (*store)->load();
  ASSERT_TRUE(before);
  ASSERT_FALSE(before->accounts.empty());
  const StoredAccount& account = before->accounts[0];
  EXPECT_TRUE(account.tokens);
  EXPECT_EQ(account.promised_until, WallTime()) << "nothing is known of promises before";
  const WallTime until = wall_from_seconds(1'700'001'000);
  ASSERT_TRUE(apply(**store, loop, SetPromised{account.name, account.generation, until}));
  store->reset();
  store = SqliteStore::open(options_for(folder_.state()), loop, clock);
  EXPECT_EQ((*store)->load()->accounts.at(0).promised_until, until);
}

// It was sealed to its account only, and is of the grant that the row had last.
TEST_F(Opening, AKeptPasswordOfAnEarlierSchemaIsStillThere) {
  make();
  {
    const auto master = read_master_key(options_.key, key_, in_state("state.db"), false);
    ASSERT_TRUE(master);
    auto file = open_database(in_state("state.db"), master->key);
    ASSERT_TRUE(file);
    const std::string sealed = file->sealer.seal("kept", {kPasswordColumn, "flat-me", 1, 0});
    auto keep = file->database->prepare("UPDATE accounts SET kept_password = ?1, kept_generation = 1");
    ASSERT_TRUE(keep && keep->with(Blob{sealed}).run());
  }
  edit_database(in_state("state.db"), "ALTER TABLE accounts DROP COLUMN kept_identity; PRAGMA user_version = 4");
  auto store = open();
  ASSERT_TRUE(store) << store.error().message();
  const auto snapshot = (*store)->load();
  ASSERT_TRUE(snapshot);
  EXPECT_TRUE(snapshot->damage.empty());
  EXPECT_EQ(snapshot->accounts.at(0).kept_password.expose(), "kept");
  EXPECT_EQ(snapshot->accounts[0].kept_identity, "identity-of-flat-me");
}

TEST_F(Opening, AStateDirectoryOpenToOthersIsRefused) {
  make();
  ASSERT_EQ(::chmod(folder_.state().c_str(), 0750), 0);
  expect_refused(ErrorCode::kDenied, "chmod 700");
}

TEST_F(Opening, AFirstStartThatWasCutOffIsBegunAgain) {
  fs::create_directory(folder_.state());
  ::chmod(folder_.state().c_str(), 0700);
  write_all(in_state("state.db.new"), "half");
  write_all(in_state("state.db.new-journal"), "half");
  write_all(in_state("answers.slots.new"), "half");
  write_all(in_state("credsyncd.key.new"), "half");
  make();
  EXPECT_TRUE(still_there());
  EXPECT_FALSE(fs::exists(in_state("state.db.new")));
}

TEST_F(Opening, ASecondDaemonIsToldWhoHoldsTheState) {
  make();
  int ready[2], finish[2];
  ASSERT_EQ(::pipe(ready) | ::pipe(finish), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto store = open();
    char byte = store ? 'y' : 'n';
    [[maybe_unused]] ssize_t n = ::write(ready[1], &byte, 1);
    n = ::read(finish[0], &byte, 1);
    ::_exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  expect_refused(ErrorCode::kTaken, "another credsyncd (pid " + std::to_string(child) + ") uses " + folder_.state());
  ASSERT_EQ(::write(finish[1], "x", 1), 1);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  for (const int fd : {ready[0], ready[1], finish[0], finish[1]})
    ::close(fd);
  EXPECT_TRUE(still_there()) << "the lock goes with its holder";
}

TEST_F(Opening, ASecondStoreInTheSameProcessIsRefusedToo) {
  auto first = open();
  ASSERT_TRUE(first);
  auto second = open();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), ErrorCode::kTaken);
}

}  // namespace
}  // namespace credsync::store
