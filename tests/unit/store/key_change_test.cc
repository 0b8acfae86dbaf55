// Another master key, a recovery key, and the way back with it. Whatever stops a change, the key that lies in the key's
// place opens the database, and nothing of a key that was replaced stays in any file.
#include "daemon/store/key_change.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "base/encoding.h"
#include "daemon/store/data_key.h"
#include "tests/unit/store/store_testing.h"

namespace credsync::store {
namespace {

using namespace credsync::store::testing;
namespace fs = std::filesystem;

class KeyChanges : public ::testing::Test {
 protected:
  KeyChanges() { make(); }
  ~KeyChanges() override { ::unsetenv("CREDENTIALS_DIRECTORY"); }

  void make() {
    auto store = SqliteStore::open(options_, loop_, clock_);
    ASSERT_TRUE(store) << store.error().message();
    ASSERT_TRUE((*store)->load());
    ASSERT_TRUE(apply(**store, loop_, install("flat-me", 1)));
  }
  // As the daemon starts.
  std::string open_error() {
    auto store = SqliteStore::open(options_, loop_, clock_);
    return store ? "" : store.error().message();
  }
  void expect_served(const std::string& why) {
    auto store = SqliteStore::open(options_, loop_, clock_);
    ASSERT_TRUE(store) << why << ": " << store.error().message();
    const auto snapshot = (*store)->load();
    ASSERT_TRUE(snapshot) << why;
    ASSERT_EQ(snapshot->accounts.size(), 1u);
    ASSERT_TRUE(snapshot->accounts[0].tokens) << why;
    EXPECT_EQ(describe(*snapshot->accounts[0].tokens), describe(tokens("flat-me-1"))) << why;
    EXPECT_TRUE(snapshot->damage.empty());
  }
  KeyTask task() {
    KeyTask t;
    t.state_dir = folder_.state();
    t.source = options_.key;
    return t;
  }
  std::string key_text() { return read_all(key_); }
  static std::string text_of(char c) { return encode_base64(std::string(32, c)) + "\n"; }
  static Key key_of(char c) { return Key::from(std::string(32, c)); }
  std::map<std::string, std::string> content() {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::directory_iterator(folder_.state())) {
      if (entry.path().filename() != "state.lock") files[entry.path().filename()] = read_all(entry.path());
    }
    std::erase_if(files, [](const auto& file) { return file.first == "state.db-wal" && file.second.empty(); });
    return files;
  }
  std::string wrapping(const char* by) {
    auto database = Database::open(folder_.state() + "/state.db");
    auto select = (*database)->prepare("SELECT wrapped FROM data_keys WHERE wrapped_by = ?1");
    const auto row = select->with(by).next();
    return row && *row ? std::string(select->blob(0)) : "";
  }
  bool in_any_file(const std::string& bytes) {
    for (const auto& [name, data] : content()) {
      if (data.find(bytes) != std::string::npos) return true;
    }
    return false;
  }
  // Runs it in a child that is killed in step `at`; false when it ended before.
  bool killed_at(std::string_view at, const std::function<void(KeyTask)>& run) {
    const pid_t child = ::fork();
    if (child == 0) {
      KeyTask t = task();
      t.step = [at](std::string_view step) {
        if (step == at) ::raise(SIGKILL);
      };
      run(std::move(t));
      ::_exit(0);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  }
  std::string make_recovery() {
    std::string text;
    const auto made = make_recovery_key(task(), [&](const WipedString& shown) {
      text = shown.text();
      return true;
    });
    EXPECT_TRUE(made) << made.error().message();
    return text;
  }
  void credential(const std::string& text) {
    const std::string directory = folder_.path() + "/credentials";
    fs::create_directory(directory);
    write_all(directory + "/credsyncd.key", text);
    ASSERT_EQ(::chmod((directory + "/credsyncd.key").c_str(), 0440), 0);
    ::setenv("CREDENTIALS_DIRECTORY", directory.c_str(), 1);
    options_.key = {KeySource::Kind::kCredential, "credsyncd.key"};
  }

  TestLoop loop_;
  TestClock clock_;
  TemporaryFolder folder_;
  SqliteStoreOptions options_ = options_for(folder_.state());
  const std::string key_ = folder_.state() + "/credsyncd.key";
};

TEST_F(KeyChanges, ANewKeyOpensAndTheOldOneDoesNot) {
  const std::string old_text = key_text();
  const std::string old_wrapping = wrapping("master");
  const auto changed = change_master_key(task());
  ASSERT_TRUE(changed) << changed.error().message();
  EXPECT_EQ(changed->file, key_);
  EXPECT_NE(key_text(), old_text);
  struct stat status {};
  ASSERT_EQ(::stat(key_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_FALSE(in_any_file(old_wrapping)) << "neither in the database nor in its log";
  EXPECT_FALSE(in_any_file(old_text.substr(0, 44)));
  EXPECT_FALSE(fs::exists(key_ + ".new"));
  expect_served("with the new key");
  const std::string new_text = key_text();
  write_all(key_, old_text);
  EXPECT_NE(open_error().find("does not open this database"), std::string::npos) << open_error();
  write_all(key_, new_text);
  expect_served("with the new key again");
}

TEST_F(KeyChanges, TheBytesOfTheOldKeyFileAreOverwritten) {
  const int old_file = ::open(key_.c_str(), O_RDONLY | O_CLOEXEC);  // what a thief of the disk would find
  ASSERT_GE(old_file, 0);
  ASSERT_TRUE(change_master_key(task()));
  char bytes[64] = "unread";
  EXPECT_EQ(::pread(old_file, bytes, sizeof bytes, 0), 45);
  EXPECT_EQ(std::string(bytes, 45), std::string(45, '\0'));
  ::close(old_file);
}

TEST_F(KeyChanges, ALinkToTheOldKeyFileKeepsIt) {
  const std::string before = key_text();
  fs::create_hard_link(key_, key_ + ".backup");
  ASSERT_TRUE(change_master_key(task()));
  EXPECT_EQ(read_all(key_ + ".backup"), before);
}

TEST_F(KeyChanges, BehindASymbolicLinkTheFileItselfIsReplaced) {
  const std::string real = folder_.path() + "/real.key";
  fs::rename(key_, real);
  fs::create_symlink(real, key_);
  const auto changed = change_master_key(task());
  ASSERT_TRUE(changed) << changed.error().message();
  EXPECT_TRUE(fs::is_symlink(key_));
  EXPECT_FALSE(fs::exists(real + ".new"));
  expect_served("through the link");
}

TEST_F(KeyChanges, AGivenKeyIsUsed) {
  KeyTask t = task();
  t.new_key = key_of('n');
  ASSERT_TRUE(change_master_key(std::move(t)));
  EXPECT_EQ(key_text(), text_of('n'));
  expect_served("with the given key");
  KeyTask again = task();
  again.new_key = key_of('n');
  EXPECT_EQ(change_master_key(std::move(again)).error().message(), "the new master key is the one in use");
}

TEST_F(KeyChanges, KilledAtEveryStepTheKeyInItsPlaceOpens) {
  for (const char* step : {"written", "prepared", "in place", "promoted"}) {
    SCOPED_TRACE(step);
    const std::string before = key_text();
    const std::string old_wrapping = wrapping("master");
    ASSERT_TRUE(killed_at(step, [](KeyTask t) { [[maybe_unused]] const auto done = change_master_key(std::move(t)); }));
    const bool replaced = key_text() != before;
    EXPECT_EQ(replaced, step == std::string("in place") || step == std::string("promoted"));
    expect_served("after the crash");
    EXPECT_EQ(wrapping("next"), "") << "the start has tidied up";
    EXPECT_EQ(in_any_file(old_wrapping), !replaced);
    EXPECT_FALSE(replaced && fs::exists(key_ + ".new"));
    ASSERT_TRUE(change_master_key(task())) << "and it can be changed again";
    EXPECT_FALSE(fs::exists(key_ + ".new"));
    expect_served("after another change");
  }
}

// Files of this process may not grow beyond some size: now the key does not fit, now the database, now its log.
TEST_F(KeyChanges, OnAFullDiskTheOldKeyStays) {
  unsigned failed = 0;
  for (const rlim_t full : {10UL, 4096UL, 8192UL, 12'288UL, 20'480UL, 40'960UL, 1'000'000UL}) {
    SCOPED_TRACE(full);
    const std::string before = key_text();
    const pid_t child = ::fork();
    if (child == 0) {
      ::signal(SIGXFSZ, SIG_IGN);
      const rlimit limit{full, full};
      if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(2);
      ::_exit(change_master_key(task()) ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) < 2);
    failed += WEXITSTATUS(status) == 1 ? 1U : 0U;
    if (key_text() == before) {
      EXPECT_FALSE(fs::exists(key_ + ".new"));
    }
    expect_served("after it");
  }
  EXPECT_GE(failed, 2u);
  EXPECT_LE(failed, 6u) << "with room it works";
}

TEST_F(KeyChanges, AChangeAfterOneThatWasKilledNeedsNoStartBetween) {
  for (const char* first : {"written", "prepared", "in place", "promoted"}) {
    for (const char* second : {"written", "prepared", "in place"}) {
      SCOPED_TRACE(std::string(first) + ", then " + second);
      const auto change = [](KeyTask t) { [[maybe_unused]] const auto done = change_master_key(std::move(t)); };
      ASSERT_TRUE(killed_at(first, change));
      ASSERT_TRUE(killed_at(second, change));
      expect_served("after two crashes");
    }
  }
}

// The disk was full and the process died: the answer is durable in its slot only, sealed with the data key.
TEST_F(KeyChanges, AnAnswerInItsSlotOutlivesAChange) {
  const pid_t child = ::fork();
  if (child == 0) {
    TestLoop loop;
    auto store = SqliteStore::open(options_, loop, clock_);
    if (!store || !(*store)->load()) ::_exit(1);
    const auto slot = begin(**store, loop, intent("flat-me", 1));
    ::signal(SIGXFSZ, SIG_IGN);
    const rlim_t full = fs::file_size(folder_.state() + "/answers.slots");
    const rlimit limit{full, full};
    if (!slot || ::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(2);
    bool took_all = true;
    for (int i = 0; i < 1000 && took_all; ++i)
      took_all = apply(**store, loop, SetLastUsed{"flat-me", wall_from_seconds(i)}).has_value();
    if (took_all) ::_exit(4);
    if (!apply(**store, loop, install("flat-me", 2, *slot))) ::_exit(3);
    ::raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << WEXITSTATUS(status);
  ASSERT_NE(read_all(folder_.state() + "/answers.slots").find("CSANSWR1"), std::string::npos);
  ASSERT_TRUE(change_master_key(task()));
  auto store = SqliteStore::open(options_, loop_, clock_);
  ASSERT_TRUE(store) << store.error().message();
  const auto snapshot = (*store)->load();
  ASSERT_TRUE(snapshot);
  EXPECT_TRUE(snapshot->damage.empty());
  EXPECT_EQ(snapshot->accounts.at(0).generation, 2u);
  EXPECT_EQ(describe(*snapshot->accounts.at(0).tokens), describe(tokens("flat-me-2")));
  EXPECT_TRUE(snapshot->intents.empty());
}

TEST_F(KeyChanges, ACredentialIsChangedInTwoSteps) {
  const std::string first = key_text();
  credential(first);
  fs::remove(key_);
  EXPECT_NE(change_master_key(task()).error().message().find("--new-key"), std::string::npos);
  KeyTask t = task();
  t.new_key = key_of('n');
  const auto changed = change_master_key(std::move(t));
  ASSERT_TRUE(changed) << changed.error().message();
  EXPECT_EQ(changed->file, "");
  expect_served("the old credential is still there");
  EXPECT_NE(wrapping("next"), "") << "and the new key still waits";
  credential(text_of('n'));
  const std::string old_wrapping = wrapping("master");
  expect_served("with the new credential");
  EXPECT_FALSE(in_any_file(old_wrapping));
  credential(first);
  EXPECT_NE(open_error(), "");
  EXPECT_FALSE(fs::exists(key_));
}

TEST_F(KeyChanges, ACredentialThatIsNotPassedHereComesByHand) {
  const Key old = *decode_key(WipedString(key_text()), "test");
  fs::remove(key_);
  options_.key = {};  // the credential, if the unit passes it
  KeyTask t = task();
  t.given = Key::from(old.read().expose());
  t.new_key = key_of('n');
  const auto changed = change_master_key(std::move(t));
  ASSERT_TRUE(changed) << changed.error().message();
  EXPECT_EQ(changed->file, "");
  EXPECT_FALSE(fs::exists(key_));
  credential(text_of('n'));
  expect_served("with the new credential");
}

TEST_F(KeyChanges, AFileGivesWayToACredentialWheneverThatComes) {
  for (const bool after_a_change_that_was_killed : {false, true}) {
    SCOPED_TRACE(after_a_change_that_was_killed);
    const std::string old_text = key_text();
    const char fresh = after_a_change_that_was_killed ? 'o' : 'n';
    options_.key = {};
    if (after_a_change_that_was_killed) {
      ASSERT_TRUE(
          killed_at("prepared", [](KeyTask t) { [[maybe_unused]] const auto done = change_master_key(std::move(t)); }));
    }
    KeyTask t = task();
    t.given = *decode_key(WipedString(old_text), "test");
    t.new_key = key_of(fresh);
    const auto changed = change_master_key(std::move(t));
    ASSERT_TRUE(changed) << changed.error().message();
    EXPECT_EQ(changed->file, "") << "it counts wherever the daemon finds it";
    expect_served("by the old file");
    expect_served("by the old file again");
    EXPECT_NE(wrapping("next"), "") << "the new key still waits";
    credential(text_of(fresh));
    expect_served("by the credential");
    ::unsetenv("CREDENTIALS_DIRECTORY");
    options_.key = {};
    EXPECT_NE(open_error().find("does not open this database"), std::string::npos) << open_error();
    write_all(key_, text_of(fresh));  // for the next round
  }
}

TEST_F(KeyChanges, NothingChangesWithTheWrongKeyOrWhileADaemonRuns) {
  const auto before = content();
  KeyTask t = task();
  t.given = key_of('w');
  const auto refused = change_master_key(std::move(t));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kDenied);
  EXPECT_TRUE(content() == before);
  auto store = SqliteStore::open(options_, loop_, clock_);
  const auto running = change_master_key(task());
  ASSERT_FALSE(running);
  EXPECT_EQ(running.error().code(), ErrorCode::kTaken);
  EXPECT_NE(running.error().message().find("stop it first"), std::string::npos);
}

TEST_F(KeyChanges, WithoutADatabaseThereIsNothingToChange) {
  KeyTask t = task();
  t.state_dir += "/elsewhere";
  EXPECT_EQ(change_master_key(std::move(t)).error().code(), ErrorCode::kNotFound);
  EXPECT_FALSE(fs::exists(folder_.state() + "/elsewhere"));
}

TEST_F(KeyChanges, TheRecoveryKeyOpensWhenTheMasterKeyIsLost) {
  const std::string text = make_recovery();
  expect_served("as before");
  EXPECT_FALSE(in_any_file(text));
  fs::remove(key_);
  EXPECT_NE(open_error().find("credsyncd --recover)"), std::string::npos) << open_error();
  const auto recovered = recover_with(task(), *RecoveryKey::parse(text));
  ASSERT_TRUE(recovered) << recovered.error().message();
  EXPECT_EQ(recovered->file, key_);
  expect_served("with the key that was made");
  EXPECT_EQ(recover_with(task(), *RecoveryKey::parse(text)).error().message(),
            "the master key opens the database: there is nothing to recover");
  ASSERT_TRUE(change_master_key(task()));
  fs::remove(key_);
  EXPECT_TRUE(recover_with(task(), *RecoveryKey::parse(text))) << "it outlives a change of the master key";
  expect_served("again");
}

TEST_F(KeyChanges, AKeyFileThatDoesNotOpenIsKept) {
  const std::string text = make_recovery();
  write_all(key_, text_of('x'));
  ASSERT_TRUE(recover_with(task(), *RecoveryKey::parse(text)));
  expect_served("recovered");
  unsigned kept = 0;
  for (const auto& [name, data] : content())
    kept += name.find("credsyncd.key.wrong-") == 0 && data == text_of('x') ? 1U : 0U;
  EXPECT_EQ(kept, 1u);
}

TEST_F(KeyChanges, AnEarlierRecoveryKeyNoLongerOpens) {
  const std::string first = make_recovery();
  const std::string first_wrapping = wrapping("recovery");
  const std::string second = make_recovery();
  EXPECT_FALSE(in_any_file(first_wrapping));
  fs::remove(key_);
  const auto before = content();
  const auto refused = recover_with(task(), *RecoveryKey::parse(first));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kDenied);
  EXPECT_TRUE(content() == before) << "something was written";
  EXPECT_TRUE(recover_with(task(), *RecoveryKey::parse(second)));
}

TEST_F(KeyChanges, ARecoveryKeyThatNobodySawDoesNotCount) {
  const std::string first = make_recovery();
  EXPECT_FALSE(make_recovery_key(task(), [](const WipedString&) { return false; }));
  fs::remove(key_);
  EXPECT_TRUE(recover_with(task(), *RecoveryKey::parse(first)));
}

TEST_F(KeyChanges, WithoutARecoveryKeyNoneIsPromised) {
  fs::remove(key_);
  EXPECT_EQ(open_error().find("--recover"), std::string::npos) << open_error();
  EXPECT_NE(open_error().find("--start-over"), std::string::npos) << open_error();
  EXPECT_EQ(recover_with(task(), RecoveryKey::random()).error().message(), "this database has no recovery key");
}

TEST_F(KeyChanges, KilledAtEveryStepOfARecoveryItCanBeDoneAgain) {
  const std::string text = make_recovery();
  for (const char* step : {"written", "prepared", "in place", "promoted"}) {
    SCOPED_TRACE(step);
    fs::remove(key_);
    ASSERT_TRUE(killed_at(step, [&](KeyTask t) {
      [[maybe_unused]] const auto done = recover_with(std::move(t), *RecoveryKey::parse(text));
    }));
    if (!fs::exists(key_)) {
      EXPECT_TRUE(recover_with(task(), *RecoveryKey::parse(text)));
    }
    expect_served("after the crash");
  }
}

}  // namespace
}  // namespace credsync::store
