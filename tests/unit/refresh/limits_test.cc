#include "daemon/refresh/limits.h"

#include <gtest/gtest.h>

#include <vector>

namespace credsync::refresh {
namespace {

BootTime at(Duration d) {
  return BootTime(d);
}

struct Crowd {
  explicit Crowd(std::optional<double> rate = std::nullopt) : gate(rate) {}
  void join(int who, WallTime urgency = WallTime{}) {
    places.push_back(gate.wait(urgency, [this, who] { entered.push_back(who); }));
  }
  EndpointGate gate;
  std::vector<std::unique_ptr<EndpointGate::Place>> places;
  std::vector<int> entered;
};

TEST(EndpointGate, LetsInFourAndOneMoreForEachAnswerUpToItsLargestWindow) {
  Crowd crowd;
  for (int i = 0; i < 100; ++i)
    crowd.join(i);
  crowd.gate.admit(at(1s));
  EXPECT_EQ(crowd.entered.size(), 4U);
  for (int i = 0; i < 60; ++i) {
    crowd.gate.leave(EndpointGate::Outcome::kAnswered, at(1s));
    crowd.gate.admit(at(1s));
  }
  EXPECT_EQ(crowd.gate.window(), kLargestWindow);
  EXPECT_LE(crowd.gate.running(), kLargestWindow);
}

TEST(EndpointGate, ClosesToOneAfterATimeOut) {
  Crowd crowd;
  for (int i = 0; i < 20; ++i)
    crowd.join(i);
  crowd.gate.admit(at(1s));
  for (int i = 0; i < 4; ++i)
    crowd.gate.leave(EndpointGate::Outcome::kTimedOut, at(2s));
  crowd.gate.admit(at(2s));
  EXPECT_EQ(crowd.gate.running(), 1U);
}

TEST(EndpointGate, LetsInByUrgency) {
  Crowd crowd;
  crowd.join(3, wall_from_seconds(300));
  crowd.join(1, wall_from_seconds(100));
  crowd.join(2, wall_from_seconds(200));
  crowd.gate.admit(at(1s));
  EXPECT_EQ(crowd.entered, (std::vector<int>{1, 2, 3}));
}

TEST(EndpointGate, NobodyGoesWhileItIsPausedAndItSaysWhenToComeBack) {
  Crowd crowd;
  crowd.gate.pause(at(60s));
  crowd.gate.pause(at(30s));
  crowd.join(1);
  EXPECT_EQ(crowd.gate.admit(at(1s)), at(60s)) << "an earlier end does not shorten a pause";
  EXPECT_TRUE(crowd.entered.empty());
  crowd.gate.admit(at(60s));
  EXPECT_EQ(crowd.entered.size(), 1U);
}

TEST(EndpointGate, KeepsTheDeclaredRateInEveryWindowOfASecond) {
  Crowd crowd(100.0);
  for (int i = 0; i < 1000; ++i)
    crowd.join(i);
  std::vector<BootTime> entries;
  BootTime now = at(1s);
  while (entries.size() < 1000) {
    const std::size_t before = crowd.entered.size();
    const auto again = crowd.gate.admit(now);
    for (std::size_t i = before; i < crowd.entered.size(); ++i) {
      entries.push_back(now);
      crowd.gate.leave(EndpointGate::Outcome::kAnswered, now);
    }
    if (crowd.entered.size() > before) continue;
    ASSERT_TRUE(again.has_value());
    ASSERT_GT(*again, now);
    now = *again;
  }
  for (std::size_t i = 0, j = 0; j < entries.size(); ++j) {
    while (entries[j] - entries[i] >= Duration(1s))
      ++i;
    ASSERT_LE(j - i + 1, 100U);
  }
  EXPECT_LT(entries.back() - entries.front(), Duration(12s)) << "and uses what it may";
}

// A network that holds everything back for a while, and then delivers it at once.
TEST(EndpointGate, KeepsTheDeclaredRateHoweverLateRequestsArrive) {
  constexpr double kRate = 100;
  Crowd crowd(kRate);
  for (int i = 0; i < 1000; ++i)
    crowd.join(i);
  std::vector<BootTime> arrivals;
  std::size_t under_way = 0;
  const auto deliver = [&](BootTime now) {
    for (; under_way > 0; --under_way) {
      arrivals.push_back(now);
      crowd.gate.leave(EndpointGate::Outcome::kAnswered, now);
    }
  };
  // Steps of a millisecond; every 700 ms nothing gets through for 300 ms.
  for (BootTime now = at(1s); arrivals.size() < 1000; now += 1ms) {
    ASSERT_LT(now, at(20s));
    const std::size_t before = crowd.entered.size();
    crowd.gate.admit(now);
    under_way += crowd.entered.size() - before;
    if ((now - at(1s)) % Duration(1s) < Duration(700ms)) deliver(now);
  }
  for (std::size_t i = 0, j = 0; j < arrivals.size(); ++j) {
    while (arrivals[j] - arrivals[i] >= Duration(1s))
      ++i;
    ASSERT_LE(j - i + 1, kRate);
  }
}

TEST(EndpointGate, WhatHasNoAnswerMayStillArriveAndCounts) {
  Crowd crowd(3.0);
  for (int i = 0; i < 9; ++i)
    crowd.join(i);
  for (BootTime now = at(1s); now < at(10s); now += 100ms)
    crowd.gate.admit(now);
  EXPECT_EQ(crowd.entered.size(), 3U) << "none of them was answered";
  crowd.gate.leave(EndpointGate::Outcome::kOther, at(10s));
  EXPECT_EQ(crowd.gate.admit(at(10s)), at(11s));
  crowd.gate.admit(at(11s));
  EXPECT_EQ(crowd.entered.size(), 4U);
}

TEST(EndpointGate, ARateBelowOneASecondIsKeptToo) {
  Crowd crowd(0.5);
  for (int i = 0; i < 3; ++i)
    crowd.join(i);
  crowd.gate.admit(at(1s));
  crowd.gate.leave(EndpointGate::Outcome::kAnswered, at(1s));
  EXPECT_GE(crowd.gate.admit(at(1s)), at(3s));
  crowd.gate.admit(at(2900ms));
  EXPECT_EQ(crowd.entered.size(), 1U);
  crowd.gate.admit(at(3200ms));
  EXPECT_EQ(crowd.entered.size(), 2U);
}

TEST(EndpointGate, TakesUpAnotherRate) {
  Crowd crowd(1.0);
  for (int i = 0; i < 10; ++i)
    crowd.join(i);
  crowd.gate.admit(at(1s));
  EXPECT_EQ(crowd.entered.size(), 1U);
  crowd.gate.limit(std::nullopt);
  crowd.gate.admit(at(1s));
  EXPECT_EQ(crowd.entered.size(), 4U);
}

TEST(EndpointGate, WhoLeavesTheQueueIsNotLetIn) {
  Crowd crowd;
  crowd.gate.pause(at(5s));
  crowd.join(1);
  crowd.join(2);
  crowd.places[0].reset();
  crowd.gate.admit(at(5s));
  EXPECT_EQ(crowd.entered, std::vector<int>{2});
}

}  // namespace
}  // namespace credsync::refresh
