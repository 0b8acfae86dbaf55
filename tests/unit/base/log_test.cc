// The log's own thread: in order, bounded, never in anybody's way, and honest about what it could not keep.
#include "base/log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <charconv>

#include "tests/fakes/captured_stderr.h"

namespace credsync {
namespace {

constexpr std::size_t kQueue = 4096;  // as credsyncd(8) says

std::uint64_t number_after(std::string_view line, std::string_view key) {
  std::uint64_t number = 0;
  const std::size_t at = line.find(key);
  if (at == std::string_view::npos) return 0;
  std::from_chars(line.data() + at + key.size(), line.data() + line.size(), number);
  return number;
}

void write_numbered(std::size_t first, std::size_t end) {
  for (std::size_t i = first; i < end; ++i)
    log::info("record", {{"N", std::to_string(i)}});
}

TEST(LogTest, WritesAllInOrderBeforeItEnds) {
  fakes::CapturedStderr stderr_pipe;
  stderr_pipe.read();
  log::start(log::Level::kInfo);
  write_numbered(0, kQueue / 2);
  log::debug("not wanted");
  log::stop();
  const auto lines = stderr_pipe.lines();
  ASSERT_EQ(lines.size(), kQueue / 2);
  for (std::size_t i = 0; i < lines.size(); ++i)
    ASSERT_EQ(lines[i], "info: record n=" + std::to_string(i));
}

// How many are missing, as told: each time in the place where they are.
std::uint64_t lost_as_told(const std::vector<std::string>& lines) {
  std::uint64_t lost = 0, seen = 0;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].starts_with("warning: log records were lost")) {
      lost = number_after(lines[i], "lost=");
      if (i + 1 == lines.size()) ADD_FAILURE() << "told before something that is there";
    } else {
      EXPECT_GE(number_after(lines[i], "n="), lost + seen) << "in order";
      if (i > 0 && lines[i - 1].starts_with("warning")) {
        EXPECT_EQ(number_after(lines[i], "n="), lost + seen);
      }
      ++seen;
    }
  }
  return lost;
}

TEST(LogTest, ForgetsTheOldestWhenNothingMovesAndTellsHowManyInTheirPlace) {
  constexpr std::size_t kMore = 500;
  fakes::CapturedStderr stderr_pipe;
  stderr_pipe.stick();
  log::start(log::Level::kInfo);
  write_numbered(0, kQueue + kMore);  // would wait for ever if the log made anybody wait
  const std::uint64_t lost = log::lost();
  EXPECT_TRUE(lost == kMore || lost == kMore - 1) << lost << ": the writer may have had the first in its hand";
  stderr_pipe.read();
  log::stop();  // nothing is written afterwards
  const auto lines = stderr_pipe.lines();
  EXPECT_EQ(lost_as_told(lines), lost);
  const auto told = std::count_if(lines.begin(), lines.end(), [](const auto& l) { return l.starts_with("warning"); });
  EXPECT_GE(told, 1);
  EXPECT_LE(told, 2) << "when it sees the first, and when it has written all";
  EXPECT_EQ(lines.size() - static_cast<std::size_t>(told), kQueue + kMore - lost) << "each is there or counted";
  EXPECT_EQ(number_after(lines.back(), "n="), kQueue + kMore - 1) << "the newest are kept";
}

TEST(LogTest, StartsAgainAfterItsEnd) {
  fakes::CapturedStderr stderr_pipe;
  log::start(log::Level::kWarning);
  log::info("not wanted");
  log::warning("one");
  log::stop();
  log::warning("at once");
  log::start(log::Level::kWarning);
  log::warning("two");
  log::stop();
  EXPECT_EQ(stderr_pipe.lines(), (std::vector<std::string>{"warning: one", "warning: at once", "warning: two"}));
}

TEST(LogTest, EachLevelIsOneOfItsOwn) {
  using log::Level;
  constexpr Level kAll[] = {Level::kDebug,   Level::kInfo,  Level::kNotice,
                            Level::kWarning, Level::kError, Level::kCritical};
  const std::vector<std::string> names{"debug", "info", "notice", "warning", "error", "critical"};
  for (std::size_t least = 0; least < std::size(kAll); ++least) {
    fakes::CapturedStderr stderr_pipe;
    log::start(kAll[least]);
    for (const Level level : kAll)
      log::write(level, {}, "record", {});
    log::stop();
    const auto lines = stderr_pipe.lines();
    ASSERT_EQ(lines.size(), std::size(kAll) - least) << names[least];
    for (std::size_t i = 0; i < lines.size(); ++i)
      EXPECT_EQ(lines[i], names[least + i] + ": record");
  }
}

TEST(LogTest, WhatProgramsReadIsWrittenAtAnyLevel) {
  fakes::CapturedStderr stderr_pipe;
  log::start(log::Level::kError);
  log::write_structured(log::Level::kInfo, {}, "get granted", {}, R"({"action":"get"})");
  log::stop();
  EXPECT_EQ(stderr_pipe.lines(), (std::vector<std::string>{R"({"action":"get"})"}));
}

TEST(LogTest, ASimulationIsSilent) {
  fakes::CapturedStderr stderr_pipe;
  log::start(log::Level::kCritical);
  log::write_structured(log::Level::kInfo, {}, "get granted", {}, R"({"action":"get"})");
  log::stop();
  EXPECT_EQ(stderr_pipe.lines(), std::vector<std::string>());
}

TEST(LogTest, AStuckReaderDoesNotKeepTheProgramFromEnding) {
  fakes::CapturedStderr stderr_pipe;
  stderr_pipe.stick();
  log::start(log::Level::kInfo);
  write_numbered(0, 10);
  log::stop(std::chrono::milliseconds(10));  // returns
  EXPECT_EQ(log::lost(), 0U);
  EXPECT_LE(stderr_pipe.lines().size(), 10U);
}

}  // namespace
}  // namespace credsync
