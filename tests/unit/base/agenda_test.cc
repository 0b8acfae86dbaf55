#include "base/agenda.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

namespace credsync {
namespace {

BootTime at(Duration d) {
  return BootTime(d);
}

class AgendaTest : public testing::Test {
 protected:
  std::optional<BootTime> armed;
  unsigned times_armed = 0;
  Agenda agenda{[this](std::optional<BootTime> when) {
    armed = when;
    ++times_armed;
  }};
  std::vector<int> ran;
};

TEST_F(AgendaTest, RunsWhatIsDueInOrderAndArmsForTheNext) {
  Agenda::Entry late(agenda, [&] { ran.push_back(2); });
  Agenda::Entry early(agenda, [&] { ran.push_back(1); });
  Agenda::Entry later(agenda, [&] { ran.push_back(3); });
  late.set(at(20s));
  early.set(at(10s));
  later.set(at(30s));
  EXPECT_EQ(armed, at(10s));
  agenda.run(at(20s));
  EXPECT_EQ(ran, (std::vector<int>{1, 2}));
  EXPECT_EQ(armed, at(30s));
}

TEST_F(AgendaTest, OfOneMomentTheFirstToBeSetIsTheFirstToRun) {
  std::vector<std::unique_ptr<Agenda::Entry>> entries;
  for (int i = 0; i < 64; ++i)
    entries.push_back(std::make_unique<Agenda::Entry>(agenda, [this, i] { ran.push_back(i); }));
  std::vector<int> expected;
  for (int i = 63; i >= 0; --i) {  // against the order in memory
    entries[static_cast<std::size_t>(i)]->set(at(7s));
    expected.push_back(i);
  }
  agenda.run(at(7s));
  EXPECT_EQ(ran, expected);
}

// Whoever is due with thousands of others waits for the next turn, so that callers need not wait for all of them.
TEST_F(AgendaTest, ATurnEndsHoweverMuchIsDue) {
  constexpr int kDue = 1000;
  std::vector<std::unique_ptr<Agenda::Entry>> entries;
  for (int i = 0; i < kDue; ++i) {
    entries.push_back(std::make_unique<Agenda::Entry>(agenda, [this, i] { ran.push_back(i); }));
    entries.back()->set(at(7s));
  }
  agenda.run(at(9s));
  EXPECT_LT(ran.size(), 100U);
  int turns = 1;
  for (; agenda.next() && turns < kDue; ++turns) {
    EXPECT_EQ(armed, at(7s));
    agenda.run(at(9s));
  }
  EXPECT_LE(turns, 20);
  ASSERT_EQ(ran.size(), static_cast<std::size_t>(kDue));
  EXPECT_TRUE(std::is_sorted(ran.begin(), ran.end()));
}

TEST_F(AgendaTest, AnEntryMayDestroyItselfAndOthers) {
  std::unique_ptr<Agenda::Entry> other = std::make_unique<Agenda::Entry>(agenda, [&] { ran.push_back(9); });
  std::unique_ptr<Agenda::Entry> self;
  self = std::make_unique<Agenda::Entry>(agenda, [&] {
    ran.push_back(1);
    other.reset();
    self.reset();
  });
  self->set(at(1s));
  other->set(at(1s) + 1us);
  agenda.run(at(5s));
  EXPECT_EQ(ran, std::vector<int>{1});
}

TEST_F(AgendaTest, AnEntryThatSetsItselfForNowRunsInTheNextTurn) {
  int count = 0;
  std::unique_ptr<Agenda::Entry> entry;
  entry = std::make_unique<Agenda::Entry>(agenda, [&] {
    ++count;
    entry->set(at(5s));
  });
  entry->set(at(5s));
  agenda.run(at(5s));
  EXPECT_EQ(count, 1) << "a turn always ends";
  EXPECT_EQ(armed, at(5s));
}

TEST_F(AgendaTest, CancellingTheLastDisarms) {
  Agenda::Entry entry(agenda, [] {});
  entry.set(at(5s));
  entry.cancel();
  EXPECT_FALSE(armed);
  const unsigned before = times_armed;
  entry.cancel();
  EXPECT_EQ(times_armed, before) << "nothing wakes up that is not due";
}

}  // namespace
}  // namespace credsync
