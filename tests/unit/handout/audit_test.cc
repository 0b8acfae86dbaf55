// The record of who got what: at once the first time, then a number each minute, bounded whatever is asked.
#include "daemon/handout/audit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "tests/fakes/captured_stderr.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_process.h"

namespace credsync::handout {
namespace {

class AuditTest : public testing::Test {
 protected:
  static ipc::Caller caller(uid_t uid, const std::string& unit = "") {
    ipc::Caller c;
    c.uid = uid;
    c.pid = 100;
    c.unit = unit;
    return c;
  }
  void hand_out(const ipc::Caller& who, std::uint64_t generation = 1, std::string_view account = "flat") {
    audit_.record_repeating({who, "get", "allowed", account, generation, "rule", ""});
  }
  void refuse(const ipc::Caller& who, std::string_view account) {
    audit_.record_repeating({who, "get", "denied", account, 0, "", "no rule grants it"});
  }
  // Moves time on, and runs what is due meanwhile.
  void pass(Duration d) {
    const BootTime end = clock_.boot() + d;
    while (armed_ && *armed_ <= end) {
      clock_.advance_to(*std::exchange(armed_, std::nullopt));  // a timer fires once
      agenda_.run(clock_.boot());
    }
    clock_.advance_to(end);
  }
  std::vector<ipc::AuditRecord> all() const { return audit_.since({}); }
  std::uint64_t told() const {
    std::uint64_t sum = 0;
    for (const auto& r : all())
      sum += r.count;
    return sum;
  }

  fakes::FakeClock clock_;
  std::optional<BootTime> armed_;
  Agenda agenda_{[this](std::optional<BootTime> when) { armed_ = when; }};
  Audit audit_{clock_, agenda_};
};

TEST_F(AuditTest, TheFirstHandOutIsToldAtOnceAndRepeatsAreCounted) {
  for (int i = 0; i < 10; ++i)
    hand_out(caller(1000));
  ASSERT_EQ(all().size(), 1U);
  EXPECT_EQ(all()[0].count, 1U);
  pass(59s);
  EXPECT_EQ(all().size(), 1U);
  pass(1s);
  ASSERT_EQ(all().size(), 2U) << "told when the minute ends, though nothing follows";
  EXPECT_EQ(all()[1].count, 9U);
  EXPECT_EQ(all()[1].at, clock_.wall());
}

TEST_F(AuditTest, NothingWakesUpWhenNothingIsUntold) {
  hand_out(caller(1000));
  EXPECT_FALSE(armed_);
  hand_out(caller(1000));
  EXPECT_TRUE(armed_);
  pass(60s);
  EXPECT_FALSE(armed_);
  pass(10min);
  EXPECT_EQ(all().size(), 2U);
}

TEST_F(AuditTest, OneRecordAMinuteOfASteadyStream) {
  for (int i = 0; i < 600; ++i) {
    hand_out(caller(1000));
    pass(1s);
  }
  audit_.flush();
  EXPECT_EQ(told(), 600U);
  EXPECT_LE(all().size(), 12U);
  EXPECT_GE(all().size(), 10U);
}

TEST_F(AuditTest, AnotherUserUnitGenerationAccountOrDecisionIsAnotherFirst) {
  hand_out(caller(1000));
  hand_out(caller(1001));
  hand_out(caller(1000, "a.service"));
  hand_out(caller(1000), 2);
  hand_out(caller(1000), 1, "other");
  refuse(caller(1000), "flat");
  EXPECT_EQ(all().size(), 6U);
  EXPECT_EQ(all()[2].unit, "a.service");
}

TEST_F(AuditTest, TheUnitIsReadOncePerProcessAndTheExecutableOncePerRecord) {
  const auto process = std::make_shared<fakes::FakeProcess>();
  process->unit_name = "a.service";
  process->exe_path = "/a\nb";
  ipc::Caller who = caller(1000);
  who.process = process;
  for (int i = 0; i < 1000; ++i)
    hand_out(who);
  EXPECT_EQ(process->units_read, 1);
  EXPECT_EQ(process->exes_read, 1);
  EXPECT_EQ(all()[0].unit, "a.service");
  EXPECT_EQ(all()[0].exe, "/a b") << "nothing that a terminal or a log would take for more than text";
}

TEST_F(AuditTest, AUserWithManyProcessesCostsABoundedNumberOfLooks) {
  int looks = 0;
  for (int i = 0; i < 10'000; ++i) {
    const auto process = std::make_shared<fakes::FakeProcess>();
    ipc::Caller who = caller(1000);
    who.process = process;
    hand_out(who);
    looks += process->units_read;
  }
  EXPECT_EQ(looks, static_cast<int>(kLooksPerSecond));
  const auto process = std::make_shared<fakes::FakeProcess>();
  process->unit_name = "b.service";
  ipc::Caller other = caller(1001);
  other.process = process;
  hand_out(other);
  EXPECT_EQ(all().back().unit, "b.service") << "another user is not affected";
}

TEST_F(AuditTest, MadeUpNamesCannotFillIt) {
  for (int i = 0; i < 100'000; ++i)
    refuse(caller(1000), "name-" + std::to_string(i));
  EXPECT_EQ(all().size(), kRefusalsPerMinute + 1U);
  EXPECT_EQ(all().back().account, "");
  refuse(caller(1001), "flat");
  EXPECT_EQ(all().back().account, "flat") << "another user's refusal is told";
  pass(60s);
  audit_.flush();
  EXPECT_EQ(told(), 100'001U) << "all are counted";
}

TEST_F(AuditTest, ManyDifferentHandOutsAreForgottenWithTheirNumbersTold) {
  constexpr std::size_t kMany = kDistinctRepeats + 10;
  for (std::size_t i = 0; i < kMany; ++i) {
    hand_out(caller(static_cast<uid_t>(i)));
    hand_out(caller(static_cast<uid_t>(i)));
  }
  EXPECT_EQ(all().size(), kKeptRecords);
  pass(60s);
  EXPECT_FALSE(armed_);
}

TEST_F(AuditTest, WhatTheDaemonDidHasNoCaller) {
  audit_.record_own("refresh", "done", "flat", 7, "");
  ASSERT_EQ(all().size(), 1U);
  EXPECT_FALSE(all()[0].uid);
  EXPECT_EQ(all()[0].generation, 7U);
}

TEST_F(AuditTest, AStepOfTheWallClockChangesNoCounting) {
  hand_out(caller(1000));
  clock_.set_wall(wall_from_seconds(1'000'000'000));
  hand_out(caller(1000));
  EXPECT_EQ(all().size(), 1U);
  pass(60s);
  EXPECT_EQ(all().size(), 2U);
}

TEST_F(AuditTest, WhatALogThatIsStuckCannotKeepIsCountedAndTold) {
  constexpr std::size_t kQueue = 4096, kMore = 1000;  // as credsyncd(8) says
  fakes::CapturedStderr stderr_pipe;
  stderr_pipe.stick();
  log::start(log::Level::kInfo);
  for (std::size_t i = 0; i < kQueue + kMore; ++i)
    audit_.record_own("refresh", "done", "flat", i, "");
  EXPECT_EQ(all().size(), kKeptRecords) << "`credsync log` shows them all the same";
  const std::uint64_t lost = log::lost();
  EXPECT_GE(lost, kMore - 1);  // the writer may hold one already
  stderr_pipe.read();
  log::stop();
  const auto lines = stderr_pipe.lines();
  const auto records = std::count_if(lines.begin(), lines.end(), [](const std::string& line) {
    return line.starts_with("{\"message_id\":\"36da9fb268b646678ca7ddcb22489506\"") && line.ends_with("}");
  });
  EXPECT_EQ(static_cast<std::uint64_t>(records) + lost, kQueue + kMore) << "each is written or counted";
  EXPECT_EQ(std::count(lines.begin(), lines.end(), "warning: log records were lost lost=" + std::to_string(lost)), 1)
      << "the whole number, once";
}

}  // namespace
}  // namespace credsync::handout
