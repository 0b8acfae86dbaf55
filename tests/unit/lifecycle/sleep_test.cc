// A wake-up is noticed, and once, whoever tells of it.
#include "daemon/lifecycle/sleep.h"

#include <gtest/gtest.h>

#include "tests/fakes/fake_clock.h"

namespace credsync::lifecycle {
namespace {

class SleepTest : public testing::Test {
 protected:
  void sleep(Duration d) {
    clock_.advance(d);
    asleep_ += d;
  }

  fakes::FakeClock clock_;
  Duration asleep_ = 7h;  // before we were started
  Sleep sleep_{clock_, [this] { return asleep_; }};
};

TEST_F(SleepTest, WhatWasSleptBeforeTheStartIsNotOurs) {
  clock_.advance(1h);
  EXPECT_FALSE(sleep_.was_asleep());
}

TEST_F(SleepTest, TwoWhoTellOfOneWakeUpAreOne) {
  sleep(30min);
  EXPECT_TRUE(sleep_.was_asleep());
  EXPECT_EQ(sleep_.wake_up(), 30min);
  EXPECT_FALSE(sleep_.was_asleep());
  clock_.advance(kSameWakeUp - 1us);
  EXPECT_EQ(sleep_.wake_up(), std::nullopt);
}

TEST_F(SleepTest, TheNextSleepIsAnother) {
  sleep(30min);
  EXPECT_EQ(sleep_.wake_up(), 30min);
  clock_.advance(kSameWakeUp);
  sleep(1min);
  EXPECT_TRUE(sleep_.was_asleep());
  EXPECT_EQ(sleep_.wake_up(), 1min);
}

TEST_F(SleepTest, TwoClocksReadInTurnAreNoSleep) {
  sleep(1ms);
  EXPECT_FALSE(sleep_.was_asleep());
}

TEST(SleepOfThisMachine, IsAsTheKernelCounts) {
  const SystemClock clock;
  Sleep sleep(clock);
  EXPECT_FALSE(sleep.was_asleep());
  const auto slept = sleep.wake_up();
  ASSERT_TRUE(slept);
  EXPECT_LT(std::chrono::abs(*slept), 100ms);
}

}  // namespace
}  // namespace credsync::lifecycle
