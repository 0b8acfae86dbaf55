// What the service manager is told, and how often.
#include <gtest/gtest.h>

#include "daemon/lifecycle/notifier.h"
#include "daemon/lifecycle/status_line.h"
#include "tests/fakes/core_world.h"
#include "tests/fakes/fake_clock.h"
#include "tests/unit/lifecycle/fake_manager.h"

namespace credsync::lifecycle {
namespace {

using account::State;
using Told = std::vector<std::string>;

TEST(NotifierTest, SaysWhatTheProtocolAsksFor) {
  FakeManager manager;
  Notifier notifier(manager.address());
  ASSERT_TRUE(notifier.heard());
  notifier.ready("2 accounts: 2 ok");
  EXPECT_EQ(manager.take(), Told{"READY=1\nSTATUS=2 accounts: 2 ok\n"});
  notifier.stopping();
  EXPECT_EQ(manager.take(), Told{"STOPPING=1\nSTATUS=Stopping\n"});
  notifier.extend(45s);
  EXPECT_EQ(manager.take(), Told{"EXTEND_TIMEOUT_USEC=45000000\n"});
  notifier.alive();
  EXPECT_EQ(manager.take(), Told{"WATCHDOG=1\n"});
}

TEST(NotifierTest, AReloadCarriesTheTime) {
  FakeManager manager;
  Notifier notifier(manager.address());
  const auto monotonic = [] {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
  };
  const std::int64_t before = monotonic();
  notifier.reloading();
  const std::int64_t after = monotonic();
  const Told told = manager.take();
  ASSERT_EQ(told.size(), 1U);
  const std::string head = "RELOADING=1\nMONOTONIC_USEC=";
  ASSERT_TRUE(told[0].starts_with(head)) << told[0];
  const std::int64_t said = std::stoll(told[0].substr(head.size()));
  EXPECT_GE(said, before);
  EXPECT_LE(said, after);
}

TEST(NotifierTest, AStatusIsOneLine) {
  FakeManager manager;
  Notifier notifier(manager.address());
  notifier.failed("first\nREADY=1\nsecond");
  const Told told = manager.take();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].find("\nREADY=1"), std::string::npos);
  EXPECT_EQ(std::count(told[0].begin(), told[0].end(), '\n'), 1);
}

TEST(NotifierTest, WithoutAManagerNothingIsSaid) {
  for (const char* address : {"", "relative", "vsock:2:1"}) {
    Notifier notifier(address);
    EXPECT_FALSE(notifier.heard()) << address;
    notifier.ready("x");
    EXPECT_TRUE(notifier.status("x"));
  }
}

TEST(NotifierTest, AStuckManagerHoldsNobody) {
  FakeManager manager;
  Notifier notifier(manager.address());
  const auto begun = std::chrono::steady_clock::now();
  bool taken = true;
  for (int i = 0; i < 10'000 && taken; ++i)
    taken = notifier.status("line " + std::to_string(i));
  EXPECT_FALSE(taken) << "it says that it was not taken";
  notifier.alive();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(5));
}

class StatusLineTest : public testing::Test {
 protected:
  void run() { agenda_.run(clock_.boot()); }

  FakeManager manager_;
  Notifier notifier_{manager_.address()};
  fakes::FakeClock clock_;
  std::optional<BootTime> armed_;
  Agenda agenda_{[this](std::optional<BootTime> when) { armed_ = when; }};
  std::string words_ = "one";
  StatusLine line_{notifier_, agenda_, clock_, [this] { return words_; }};
};

TEST_F(StatusLineTest, IsSentOnceForChangesAtTheSameTime) {
  for (int i = 0; i < 100; ++i)
    line_.changed();
  run();
  EXPECT_EQ(manager_.take(), Told{"STATUS=one\n"});
}

TEST_F(StatusLineTest, IsSentAtMostEverySoOften) {
  line_.changed();
  run();
  manager_.take();
  words_ = "two";
  line_.changed();
  run();
  EXPECT_TRUE(manager_.take().empty());
  words_ = "three";
  line_.changed();
  clock_.advance(kBetweenLines);
  run();
  EXPECT_EQ(manager_.take(), Told{"STATUS=three\n"});
}

TEST_F(StatusLineTest, WhatHasNotChangedIsNotSent) {
  notifier_.ready(line_.take());
  manager_.take();
  line_.changed();
  clock_.advance(kBetweenLines);
  run();
  EXPECT_TRUE(manager_.take().empty());
}

TEST_F(StatusLineTest, NothingWakesUpWhileNothingChanges) {
  line_.changed();
  run();
  EXPECT_EQ(agenda_.next(), std::nullopt);
}

TEST_F(StatusLineTest, WhatTheManagerDidNotTakeIsTriedAgain) {
  while (notifier_.status("fill")) {
  }
  line_.changed();
  run();
  EXPECT_EQ(armed_, clock_.boot() + kBetweenLines);
  manager_.take();
  clock_.advance(kBetweenLines);
  run();
  EXPECT_EQ(manager_.take(), Told{"STATUS=one\n"});
}

TEST_F(StatusLineTest, NothingIsSentAfterTheStop) {
  line_.changed();
  line_.stop();
  line_.changed();
  run();
  EXPECT_TRUE(manager_.take().empty());
}

TEST(AccountWordsTest, CountByState) {
  fakes::FakeClock clock;
  account::Accounts accounts(clock);
  EXPECT_EQ(account_words(accounts, 0), "0 accounts");
  const auto add = [&](const std::string& name, State state) {
    account::Known known;
    known.standing.state = state;
    accounts.add(fakes::make_account(name, fakes::make_profile()), std::move(known));
  };
  add("a", State::kOk);
  EXPECT_EQ(account_words(accounts, 1), "1 account: 1 ok; 1 refresh under way");
  add("b", State::kOk);
  add("c", State::kNeedsLogin);
  add("d", State::kRetrying);
  add("e", State::kSuspended);
  add("f", State::kSignedOut);
  add("g", State::kNeedsLogin);
  EXPECT_EQ(account_words(accounts, 3),
            "7 accounts: 2 ok, 2 need a login, 1 retrying, 1 suspended, 1 signed out; 3 refreshes under way");
}

}  // namespace
}  // namespace credsync::lifecycle
