// A disk that hangs is told of, and holds nothing else.
#include "daemon/lifecycle/store_alarm.h"

#include <gtest/gtest.h>

#include "tests/fakes/fake_clock.h"
#include "tests/fakes/memory_store.h"
#include "tests/fakes/queue_executor.h"

namespace credsync::lifecycle {
namespace {

class StoreAlarmTest : public testing::Test {
 protected:
  void change() {
    alarm_.apply(store::SetLastUsed{"flat", clock_.wall()}, [this](Result<store::Ids>) { ++stored_; });
  }
  void run() { agenda_.run(clock_.boot()); }

  fakes::FakeClock clock_;
  fakes::QueueExecutor loop_;
  fakes::MemoryDisk disk_;
  fakes::MemoryStore store_{disk_, loop_};
  std::optional<BootTime> armed_;
  Agenda agenda_{[this](std::optional<BootTime> when) { armed_ = when; }};
  int changes_ = 0;
  int stored_ = 0;
  StoreAlarm alarm_{store_, agenda_, clock_, [this] { ++changes_; }};
};

TEST_F(StoreAlarmTest, NothingIsWatchedWhileNothingIsOnItsWay) {
  EXPECT_EQ(armed_, std::nullopt);
  change();
  EXPECT_EQ(armed_, clock_.boot() + kStuckAfter);
  loop_.run();
  EXPECT_EQ(stored_, 1);
  EXPECT_EQ(armed_, std::nullopt);
}

TEST_F(StoreAlarmTest, IsRaisedOnceAndCleared) {
  change();
  clock_.advance(kStuckAfter);
  run();
  EXPECT_EQ(changes_, 1);
  EXPECT_TRUE(alarm_.stuck_since());
  clock_.advance(1h);
  change();
  run();
  EXPECT_EQ(changes_, 1) << "once";
  loop_.run();
  EXPECT_EQ(stored_, 2);
  EXPECT_EQ(changes_, 2);
  EXPECT_FALSE(alarm_.stuck_since());
  EXPECT_EQ(armed_, std::nullopt);
}

TEST_F(StoreAlarmTest, ManyChangesInTimeRaiseNothing) {
  for (int i = 0; i < 100; ++i) {
    change();
    clock_.advance(kStuckAfter / 2);
    run();
    loop_.run();
  }
  EXPECT_EQ(changes_, 0);
}

TEST_F(StoreAlarmTest, TheOldestThatIsLeftCounts) {
  change();
  clock_.advance(kStuckAfter / 2);
  change();
  clock_.advance(kStuckAfter / 2);
  EXPECT_EQ(alarm_.stuck_since(), clock_.boot() - kStuckAfter);
  loop_.run();
  run();
  EXPECT_FALSE(alarm_.stuck_since());
  EXPECT_EQ(changes_, 0);
}

TEST_F(StoreAlarmTest, AnIntentCountsToo) {
  store::Intent intent;
  intent.account = "flat";
  bool begun = false;
  alarm_.begin_rotation(std::move(intent), [&](Result<store::SlotId>) { begun = true; });
  clock_.advance(kStuckAfter);
  EXPECT_TRUE(alarm_.stuck_since());
  loop_.run();
  EXPECT_TRUE(begun);
  EXPECT_FALSE(alarm_.stuck_since());
}

}  // namespace
}  // namespace credsync::lifecycle
