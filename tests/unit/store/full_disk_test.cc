// A disk that takes no more: an answer in its slot is never lost, everything else is refused whole, and when there is
// room again all is as if nothing had happened. Once on a real full file system (a tmpfs of our own, as root), once with
// a limit on the size of files, which anybody can set.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "tests/unit/store/store_testing.h"

namespace credsync::store {
namespace {

using namespace credsync::store::testing;
namespace fs = std::filesystem;

// Somewhere to put the state, that can be full.
class Disk {
 public:
  virtual ~Disk() = default;
  virtual void fill(const std::string& state) = 0;
  // Also what closing the store gave back.
  virtual void fill_again() = 0;
  virtual void make_room() = 0;
  virtual ErrorCode code() const = 0;
};

class SmallDisk final : public Disk {
 public:
  // Empty when a file system of our own cannot be mounted here.
  static std::unique_ptr<Disk> mount_at(const std::string& folder) {
    if (::geteuid() != 0 || ::unshare(CLONE_NEWNS) != 0) return nullptr;
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return nullptr;
    if (::mount("small", folder.c_str(), "tmpfs", 0, "size=512k,mode=0700") != 0) return nullptr;
    return std::unique_ptr<Disk>(new SmallDisk(folder));
  }
  ~SmallDisk() override { ::umount2(folder_.c_str(), MNT_DETACH); }
  void fill(const std::string&) override { fill_again(); }
  void fill_again() override {
    const int fd = ::open(ballast().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ASSERT_GE(fd, 0);
    const std::string block(512, 'b');
    while (::write(fd, block.data(), block.size()) > 0) {
    }
    EXPECT_EQ(errno, ENOSPC);
    ::close(fd);
  }
  void make_room() override { fs::remove(ballast()); }
  ErrorCode code() const override { return ErrorCode::kFull; }

 private:
  explicit SmallDisk(std::string folder) : folder_(std::move(folder)) {}
  std::string ballast() const { return folder_ + "/ballast"; }
  std::string folder_;
};

class LimitedFiles final : public Disk {
 public:
  LimitedFiles() {
    ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
  }
  ~LimitedFiles() override { LimitedFiles::make_room(); }
  void fill(const std::string& state) override { limit(fs::file_size(state + "/answers.slots")); }
  void fill_again() override { limit(4096); }
  void make_room() override { ::setrlimit(RLIMIT_FSIZE, &before_); }
  ErrorCode code() const override { return ErrorCode::kIo; }

 private:
  void limit(rlim_t bytes) {
    const rlimit limit{bytes, before_.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  rlimit before_{};
};

class FullDisk : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    fs::create_directory(folder_.path() + "/disk");
    if (std::string(GetParam()) == "tmpfs") {
      disk_ = SmallDisk::mount_at(folder_.path() + "/disk");
      if (!disk_) GTEST_SKIP() << "a file system of our own needs root and CAP_SYS_ADMIN";
    } else {
      disk_ = std::make_unique<LimitedFiles>();
    }
    ASSERT_TRUE(open());
    ASSERT_TRUE(apply(*store_, loop_, install("a", 1)));
    ASSERT_TRUE(apply(*store_, loop_, install("b", 1)));
    const auto slot = begin(*store_, loop_, intent("a", 1));
    ASSERT_TRUE(slot);
    slot_ = *slot;
  }
  void TearDown() override {
    if (disk_) disk_->make_room();
    store_.reset();
  }

  Result<Snapshot> open(const std::string& state) {
    store_.reset();
    auto opened = SqliteStore::open(options_for(state), loop_, clock_);
    if (!opened) return opened.error();
    store_ = std::move(*opened);
    return store_->load();
  }
  Result<Snapshot> open() { return open(state_); }
  // Until the smallest change does not fit any more.
  void fill() {
    disk_->fill(state_);
    for (int i = 0; i < 1000; ++i) {
      const auto result = apply(*store_, loop_, SetLastUsed{"b", wall_from_seconds(i)});
      if (result) continue;
      EXPECT_EQ(result.error().code(), disk_->code()) << result.error().message();
      return;
    }
    FAIL() << "the disk did not fill";
  }
  // The figures follow the answers.
  bool late_becomes(std::size_t count) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (store_->health().late != count) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }
  void expect_installed(const Snapshot& snapshot) {
    ASSERT_NE(find(snapshot, "a"), nullptr);
    EXPECT_EQ(find(snapshot, "a")->generation, 2u);
    ASSERT_TRUE(find(snapshot, "a")->tokens);
    EXPECT_EQ(describe(*find(snapshot, "a")->tokens), describe(tokens("a-2")));
    ASSERT_EQ(snapshot.retirements.size(), 1u);
    EXPECT_EQ(snapshot.retirements[0].token.expose(), "retired-a-1");
    EXPECT_TRUE(snapshot.intents.empty());
    EXPECT_TRUE(snapshot.damage.empty());
  }

  TestLoop loop_;
  TestClock clock_;
  TemporaryFolder folder_;
  const std::string state_ = folder_.path() + "/disk/state";
  std::unique_ptr<Disk> disk_;
  std::unique_ptr<SqliteStore> store_;
  SlotId slot_ = 0;
};

TEST_P(FullDisk, AnAnswerIsDurableAndCommittedWhenThereIsRoom) {
  fill();
  const auto ids = apply(*store_, loop_, install("a", 2, slot_));
  ASSERT_TRUE(ids) << ids.error().message();
  EXPECT_EQ(ids->size(), 1u);
  EXPECT_EQ(apply(*store_, loop_, SetStanding{"b", troubled()}).error().code(), disk_->code());
  EXPECT_TRUE(late_becomes(1));
  EXPECT_EQ(store_->health().free_slots, 3u) << "its slot stays taken";
  disk_->make_room();
  ASSERT_TRUE(apply(*store_, loop_, SetStanding{"b", troubled()})) << "the next batch takes it along";
  store_->drain();
  EXPECT_EQ(store_->health().late, 0u);
  EXPECT_EQ(store_->health().free_slots, 4u);
  const auto snapshot = open();
  ASSERT_TRUE(snapshot);
  expect_installed(*snapshot);
  EXPECT_EQ(snapshot->retirements[0].id, ids->at(0));
}

TEST_P(FullDisk, ItIsTriedAgainWithoutBeingAsked) {
  fill();
  ASSERT_TRUE(apply(*store_, loop_, install("a", 2, slot_)));
  std::optional<Result<Ids>> behind;
  store_->apply(SetStanding{"a", troubled()}, [&](Result<Ids> result) { behind = std::move(result); });
  disk_->make_room();
  ASSERT_TRUE(loop_.run_until([&] { return behind.has_value(); })) << "nothing else wakes the store";
  EXPECT_TRUE(*behind);
}

// Its grant came back from parking under another number before it was sent again. What comes is sealed to the first.
TEST_P(FullDisk, AnAnswerToAResendIsFoundWhateverNumberItsGrantHas) {
  const auto id = apply(*store_, loop_, Park{parked("a", 1)});
  ASSERT_TRUE(id);
  ASSERT_TRUE(apply(*store_, loop_, Restore{id->at(0), standing(), 5}));
  ASSERT_TRUE(open());
  ASSERT_TRUE(apply(*store_, loop_, FreeRoom{"a", slot_}));
  ASSERT_TRUE(apply(*store_, loop_, CountResend{"a", slot_, 5}));
  fill();
  ASSERT_TRUE(apply(*store_, loop_, install("a", 6, slot_)));
  const std::string copy = folder_.path() + "/copy";
  fs::copy(state_, copy, fs::copy_options::recursive);
  fs::permissions(copy, fs::perms::owner_all);
  disk_->make_room();
  const auto snapshot = open(copy);
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  EXPECT_EQ(find(*snapshot, "a")->generation, 6u);
  EXPECT_TRUE(snapshot->intents.empty());
}

// The refresh was under way when an edit let its grant go, and the disk does not take the parking.
class LateOnAFullDisk : public FullDisk {
 protected:
  ParkedGrant leaving() {
    ParkedGrant grant = parked("a", 1);
    grant.id = id_;
    return grant;
  }
  void let_it_go_and_answer() {
    id_ = store_->new_id();
    fill();
    EXPECT_EQ(apply(*store_, loop_, Park{leaving()}).error().code(), disk_->code());
    std::optional<Result<Ids>> late;
    store_->apply(Park{leaving(), true}, {});
    store_->apply(UpdateParked{id_, 2, tokens("late"), {}, slot_},
                  [&](Result<Ids> result) { late = std::move(result); });
    ASSERT_TRUE(loop_.run_until([&] { return late.has_value(); }));
    ASSERT_TRUE(*late) << late->error().message();
  }
  std::int64_t id_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Disks, LateOnAFullDisk, ::testing::Values("tmpfs", "limit"),
                         [](const auto& one) { return std::string(one.param); });

TEST_P(LateOnAFullDisk, ItsAnswerIsThereAfterACrash) {
  let_it_go_and_answer();
  const std::string copy = folder_.path() + "/copy";
  fs::copy(state_, copy, fs::copy_options::recursive);
  fs::permissions(copy, fs::perms::owner_all);
  disk_->make_room();
  const auto snapshot = open(copy);
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  EXPECT_EQ(find(*snapshot, "a")->generation, 2u);
  EXPECT_EQ(describe(*find(*snapshot, "a")->tokens), describe(tokens("late")));
  EXPECT_TRUE(snapshot->intents.empty());
  EXPECT_TRUE(snapshot->damage.empty());
}

TEST_P(LateOnAFullDisk, ItsAnswerIsParkedWithItWhenThereIsRoom) {
  let_it_go_and_answer();
  disk_->make_room();
  ASSERT_TRUE(apply(*store_, loop_, Park{leaving(), true}));
  const auto snapshot = open();
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  EXPECT_FALSE(find(*snapshot, "a")->tokens);
  ASSERT_EQ(snapshot->parked.size(), 1u);
  EXPECT_EQ(snapshot->parked[0].generation, 2u);
  EXPECT_EQ(describe(snapshot->parked[0].tokens), describe(tokens("late")));
}

// In one batch with the sign-out, it may not be taken for durable: nothing would be there for it.
TEST_P(LateOnAFullDisk, ASignOutAheadOfItIsMinded) {
  std::optional<Result<Ids>> late;
  store_->apply(SignOut{"a", {}, standing(State::kSignedOut), 1}, {});
  store_->apply(UpdateParked{77, 2, tokens("late"), {}, slot_}, [&](Result<Ids> result) { late = std::move(result); });
  ASSERT_TRUE(loop_.run_until([&] { return late.has_value(); }));
  store_->drain();
  EXPECT_EQ(store_->health().late, 0u) << "it would wait for good, and all of its account behind it";
}

// What could not be parked is in the row, and nowhere else, when another grant's answer is in its slot.
TEST_P(FullDisk, AnAnswerInItsSlotIsStoredOverNoOtherGrantsTokens) {
  fill();
  EXPECT_EQ(apply(*store_, loop_, Park{parked("a", 1)}).error().code(), disk_->code());
  Install another = install("a", 2, slot_);
  another.identity = "another";
  ASSERT_TRUE(apply(*store_, loop_, std::move(another)));
  const std::string copy = folder_.path() + "/copy";
  fs::copy(state_, copy, fs::copy_options::recursive);
  fs::permissions(copy, fs::perms::owner_all);
  disk_->make_room();
  for (const char* start : {"the first", "one more"}) {
    SCOPED_TRACE(start);
    const auto snapshot = open(copy);
    ASSERT_TRUE(snapshot) << snapshot.error().message();
    EXPECT_EQ(find(*snapshot, "a")->identity, "another");
    EXPECT_EQ(find(*snapshot, "a")->generation, 2u);
    ASSERT_EQ(snapshot->parked.size(), 1u);
    EXPECT_EQ(snapshot->parked[0].identity, install("a", 1).identity);
    EXPECT_EQ(snapshot->parked[0].generation, 1u);
    EXPECT_EQ(describe(snapshot->parked[0].tokens), describe(tokens("a-1")));
    EXPECT_EQ(snapshot->parked[0].retire_at, tokens("a-2").obtained_at + kPutAsideFor);
  }
}

// The start cannot be committed either: the row must not be stored over when it can.
TEST_P(FullDisk, WhatIsPutAsideIsSoWhenTheDiskHasRoomAgain) {
  fill();
  Install another = install("a", 2, slot_);
  another.identity = "another";
  ASSERT_TRUE(apply(*store_, loop_, std::move(another)));
  store_.reset();
  disk_->fill_again();
  const auto full = open();
  ASSERT_TRUE(full) << full.error().message();
  EXPECT_EQ(full->parked.size(), 1u);
  disk_->make_room();
  ASSERT_TRUE(apply(*store_, loop_, SetStanding{"b", troubled()}));
  store_->drain();
  const auto snapshot = open();
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(find(*snapshot, "a")->identity, "another");
  ASSERT_EQ(snapshot->parked.size(), 1u);
  EXPECT_EQ(describe(snapshot->parked[0].tokens), describe(tokens("a-1")));
}

// An intent whose outcome is unknown has freed its slot, and another answer lies in it when the process ends.
TEST_P(FullDisk, AnAnswerInASlotThatAnotherIntentFreedIsFoundAfterACrash) {
  ASSERT_TRUE(apply(*store_, loop_, FreeRoom{"a", slot_}));
  const auto shared = begin(*store_, loop_, intent("b", 1));
  ASSERT_TRUE(shared);
  ASSERT_EQ(*shared & 0xff, slot_ & 0xff) << "the same place in the file";
  fill();
  ASSERT_TRUE(apply(*store_, loop_, install("b", 2, *shared)));
  const std::string copy = folder_.path() + "/copy";
  fs::copy(state_, copy, fs::copy_options::recursive);  // as a crash leaves it
  fs::permissions(copy, fs::perms::owner_all);
  disk_->make_room();
  const auto snapshot = open(copy);
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  EXPECT_EQ(find(*snapshot, "b")->generation, 2u);
  ASSERT_EQ(snapshot->intents.size(), 1u) << "the other's outcome is as unknown as before";
  EXPECT_EQ(snapshot->intents[0].account, "a");
  EXPECT_TRUE(apply(*store_, loop_, CountResend{"a", slot_, 1}));
}

TEST_P(FullDisk, NoRotationBegins) {
  fill();
  EXPECT_EQ(begin(*store_, loop_, intent("b", 1)).error().code(), disk_->code());
  EXPECT_EQ(store_->health().free_slots, 3u) << "its slot is free again";
}

TEST_P(FullDisk, ChangesOfTheSameAccountWaitInOrderAndOthersFailAtOnce) {
  fill();
  ASSERT_TRUE(apply(*store_, loop_, install("a", 2, slot_)));
  std::vector<std::string> answered;
  const auto note = [&](const char* name) {
    return [&answered, name](Result<Ids> result) { answered.push_back(name + std::string(result ? "" : " refused")); };
  };
  store_->apply(SetStanding{"a", troubled()}, note("standing"));
  store_->apply(install("a", 3), note("install"));
  ASSERT_FALSE(apply(*store_, loop_, SetStanding{"c", troubled()}));
  EXPECT_TRUE(answered.empty());
  EXPECT_TRUE(late_becomes(3));
  disk_->make_room();
  ASSERT_TRUE(loop_.run_until([&] { return answered.size() == 2; }));
  EXPECT_EQ(answered, (std::vector<std::string>{"standing", "install"}));
  const auto snapshot = open();
  EXPECT_EQ(find(*snapshot, "a")->generation, 3u);
  EXPECT_EQ(snapshot->retirements.size(), 2u);
}

TEST_P(FullDisk, ARestartOnAFullDiskFindsTheAnswer) {
  fill();
  ASSERT_TRUE(apply(*store_, loop_, install("a", 2, slot_)));
  for (int restart = 0; restart < 3; ++restart) {
    store_.reset();
    disk_->fill_again();
    const auto snapshot = open();
    ASSERT_TRUE(snapshot) << snapshot.error().message();
    expect_installed(*snapshot);
    EXPECT_EQ(store_->health().late, 1u);
  }
  disk_->make_room();
  store_->drain();
  EXPECT_EQ(store_->health().late, 0u);
  const auto snapshot = open();
  ASSERT_TRUE(snapshot);
  expect_installed(*snapshot);
  EXPECT_EQ(store_->health().free_slots, 4u);
}

TEST_P(FullDisk, ACrashOnAFullDiskLosesNothing) {
  fill();
  ASSERT_TRUE(apply(*store_, loop_, install("a", 2, slot_)));
  const std::string copy = folder_.path() + "/copy";
  disk_->make_room();  // for the copy only: the store does not try before its pause is over
  fs::create_directory(copy);
  for (const auto& entry : fs::directory_iterator(state_))
    fs::copy(entry.path(), copy / entry.path().filename());
  fs::permissions(copy, fs::perms::owner_all);
  const auto snapshot = open(copy);
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  expect_installed(*snapshot);
}

TEST_P(FullDisk, ADamagedAnswerIsReportedAndHarmsNobodyElse) {
  fill();
  ASSERT_TRUE(apply(*store_, loop_, install("a", 2, slot_)));
  store_.reset();
  disk_->make_room();
  const std::string slots = state_ + "/answers.slots";
  std::string content = read_all(slots);
  const std::size_t at = 4096 + (slot_ & 0xff) * 16 * 1024 + 200;
  content[at] = static_cast<char>(content[at] ^ 4);
  write_all(slots, content);
  const auto snapshot = open();
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->damage.size(), 1u);
  EXPECT_EQ(snapshot->intents.size(), 1u) << "the outcome is unknown";
  EXPECT_EQ(find(*snapshot, "a")->generation, 1u);
  EXPECT_TRUE(find(*snapshot, "a")->tokens);
  EXPECT_TRUE(find(*snapshot, "b")->tokens);
  EXPECT_EQ(read_all(slots + "." + std::to_string(slot_ & 0xff) + ".damaged").size(), 16u * 1024);
}

// A read that fails once says nothing of what lies there: the start ends, as with the database, and the next one may do better.
TEST_P(FullDisk, AReadThatFailsAtTheStartCostsNoAnswer) {
  fill();
  ASSERT_TRUE(apply(*store_, loop_, install("a", 2, slot_)));
  const std::string copy = folder_.path() + "/copy", points = folder_.path() + "/points";
  fs::copy(state_, copy, fs::copy_options::recursive);
  fs::permissions(copy, fs::perms::owner_all);
  disk_->make_room();
  store_.reset();
  const std::string slots = read_all(copy + "/answers.slots");
  constexpr unsigned kReads = 3;  // of the file's header, of the slot's, of the answer
  for (unsigned read = 0; read < kReads; ++read) {
    SCOPED_TRACE(read);
    const std::string skip = std::to_string(read);
    write_all(points, "slots.read error " + std::to_string(EIO) + " skip=" + skip + " times=1 #" + copy);
    ::setenv("CREDSYNC_FAIL_POINTS", points.c_str(), 1);
    const auto failed = open(copy);
    ::unsetenv("CREDSYNC_FAIL_POINTS");
    if (read_all(points + ".seen").empty()) GTEST_SKIP() << "this program has no fail points";
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code(), ErrorCode::kIo) << failed.error().message();
    EXPECT_TRUE(read_all(copy + "/answers.slots") == slots);
    for (const auto& entry : fs::directory_iterator(copy))
      EXPECT_NE(entry.path().extension(), ".damaged") << entry.path();
  }
  const auto snapshot = open(copy);
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  expect_installed(*snapshot);
}

TEST_P(FullDisk, DrainingEndsAndSaysWhatIsNotDurable) {
  fill();
  ASSERT_TRUE(apply(*store_, loop_, install("a", 2, slot_)));
  std::optional<Result<Ids>> behind;
  store_->apply(SetStanding{"a", troubled()}, [&](Result<Ids> result) { behind = std::move(result); });
  store_->drain();
  loop_.run_posted();
  ASSERT_TRUE(behind);
  EXPECT_EQ(behind->error().code(), disk_->code());
  EXPECT_EQ(store_->health().late, 1u) << "the answer is durable in its slot";
}

INSTANTIATE_TEST_SUITE_P(Disks, FullDisk, ::testing::Values("tmpfs", "limit"),
                         [](const auto& one) { return std::string(one.param); });

}  // namespace
}  // namespace credsync::store
