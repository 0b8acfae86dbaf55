// The watchdog is fed by what is alive, and by nothing else.
#include "daemon/lifecycle/watchdog.h"

#include <gtest/gtest.h>

#include "tests/fakes/fake_clock.h"
#include "tests/fakes/queue_executor.h"
#include "tests/unit/lifecycle/fake_manager.h"

namespace credsync::lifecycle {
namespace {

constexpr Duration kPeriod = 30s;
const std::string kFed = "WATCHDOG=1\n";

class WatchdogTest : public testing::Test {
 protected:
  // As the loop does it: what is due, then what was posted.
  void turn() {
    agenda_.run(clock_.boot());
    loop_.run();
  }
  std::size_t fed() { return manager_.count(kFed); }

  FakeManager manager_;
  Notifier notifier_{manager_.address()};
  fakes::FakeClock clock_;
  fakes::QueueExecutor loop_;
  std::optional<BootTime> armed_;
  Agenda agenda_{[this](std::optional<BootTime> when) { armed_ = when; }};
  Watchdog watchdog_{notifier_, agenda_, loop_, clock_, kPeriod};
};

TEST_F(WatchdogTest, IsFedAtOnceAndTwiceInAPeriod) {
  turn();
  EXPECT_EQ(fed(), 1U);
  for (int i = 0; i < 10; ++i) {
    clock_.advance(kPeriod / 2);
    turn();
  }
  EXPECT_EQ(fed(), 10U);
}

TEST_F(WatchdogTest, WakesUpNoOftenerThanThat) {
  turn();
  EXPECT_EQ(armed_, clock_.boot() + kPeriod / 2);
}

TEST_F(WatchdogTest, ASchedulerThatDoesNotRunFeedsNothing) {
  turn();
  fed();
  for (int i = 0; i < 10; ++i) {
    clock_.advance(kPeriod / 2);
    loop_.run();  // the loop turns, the agenda is never called
  }
  EXPECT_EQ(fed(), 0U);
}

TEST_F(WatchdogTest, ALoopThatLosesWhatIsPostedFeedsNothing) {
  turn();
  fed();
  for (int i = 0; i < 10; ++i) {
    clock_.advance(kPeriod / 2);
    agenda_.run(clock_.boot());
  }
  EXPECT_EQ(fed(), 0U);
}

TEST_F(WatchdogTest, SomethingLongOverdueFeedsNothingUntilItRuns) {
  turn();
  fed();
  bool stuck = true;
  std::unique_ptr<Agenda::Entry> spinning;
  const BootTime then = clock_.boot();
  // A mistake in a plan: whatever time passes, it wants to have been run long ago.
  spinning = std::make_unique<Agenda::Entry>(agenda_, [&] {
    if (stuck) spinning->set(then);
  });
  spinning->set(then);
  clock_.advance(kPeriod / 2);
  turn();
  EXPECT_EQ(fed(), 0U);
  clock_.advance(kLookAgainAtOverdue);
  turn();
  EXPECT_EQ(fed(), 0U);
  stuck = false;
  clock_.advance(kLookAgainAtOverdue);
  turn();
  EXPECT_EQ(fed(), 1U) << "in time: it looks again each second";
}

TEST_F(WatchdogTest, WhatIsOverdueWhenItLooksFeedsNothing) {
  turn();
  fed();
  clock_.advance(kPeriod / 2);
  agenda_.run(clock_.boot());
  bool ran = false;
  Agenda::Entry overdue(agenda_, [&] { ran = true; });
  overdue.set(clock_.boot() - kOverdue - 1s);
  loop_.run();
  EXPECT_EQ(fed(), 0U);
  clock_.advance(kLookAgainAtOverdue);
  turn();
  EXPECT_TRUE(ran);
  EXPECT_EQ(fed(), 1U) << "it has caught up";
}

TEST_F(WatchdogTest, WhatIsJustDueIsNotOverdue) {
  turn();
  fed();
  clock_.advance(kPeriod / 2);
  agenda_.run(clock_.boot());
  Agenda::Entry due(agenda_, [] {});
  due.set(clock_.boot() - kOverdue + 1s);
  loop_.run();
  EXPECT_EQ(fed(), 1U);
}

TEST_F(WatchdogTest, AMachineThatWasSuspendedCatchesUpFirst) {
  turn();
  fed();
  bool ran = false;
  Agenda::Entry planned(agenda_, [&] { ran = true; });
  planned.set(clock_.boot() + 1min);
  clock_.advance(10h);
  turn();
  EXPECT_TRUE(ran);
  EXPECT_EQ(fed(), 1U);
}

}  // namespace
}  // namespace credsync::lifecycle
