// How long a provider takes a refresh token that it has replaced, with a wall clock that somebody sets meanwhile.
#include <gtest/gtest.h>

#include "tests/fakes/core_world.h"

namespace credsync::refresh {
namespace {

using account::State;
using fakes::make_failure;
using fakes::make_tokens;
using oauth::FailureClass;

class OverlapTest : public testing::Test {
 protected:
  OverlapTest() {
    auto profile = fakes::make_profile();
    profile->refresh.overlap = 10min;
    account =
        &world.add(fakes::make_account("flat", profile), make_tokens(world.clock, "access-1", "refresh-1", 1h), 1);
    while (world.endpoint.calls.empty())
      world.advance(1s);
    sent = world.clock.boot();
  }
  void set_clock(Duration by) {
    world.clock.set_wall(world.clock.wall() + by);
    world.refresher.replan_all();
  }
  void lose_answer() {
    world.endpoint.answer(make_failure(FailureClass::kAmbiguous));
    world.settle();
    ++lost;
  }
  void lose_all_until(BootTime end) {
    while (world.clock.boot() < end) {
      world.advance(std::min<Duration>(1s, end - world.clock.boot()));
      while (!world.endpoint.calls.empty() && world.clock.boot() < end)
        lose_answer();
    }
  }
  // Of the present token, a minute before its end.
  Duration until_floor() { return *account->remaining(world.clock.wall(), world.clock.boot()) - 60s; }

  fakes::CoreWorld world;
  account::Account* account = nullptr;
  BootTime sent;
  int lost = 0;
};

TEST_F(OverlapTest, IsNotProlongedByAClockThatIsSetBack) {
  world.advance(9min);
  set_clock(-8min);
  lose_all_until(sent + 10min);
  EXPECT_GT(lost, 2) << "within it nothing is lost by asking again";
  world.advance(until_floor() - 1s);
  EXPECT_TRUE(world.endpoint.calls.empty()) << "the provider has stopped taking it";
  world.advance(2s);
  ASSERT_EQ(world.endpoint.calls.size(), 1U) << "at the floor";
  lose_answer();
  EXPECT_EQ(account->standing().state, State::kNeedsLogin) << "that was the one resend after it";
}

TEST_F(OverlapTest, IsNotProlongedByAClockThatIsSetBackBeforeTheFirstAnswerIsLost) {
  world.advance(5min);
  lose_answer();
  world.advance(1min);
  set_clock(-5min);
  lose_all_until(sent + 10min);
  world.advance(until_floor() - 1s);
  EXPECT_TRUE(world.endpoint.calls.empty());
}

TEST_F(OverlapTest, IsNotEndedByAClockThatIsSetForward) {
  set_clock(11min);
  lose_all_until(sent + 9min);
  EXPECT_GT(lost, 2);
  EXPECT_EQ(account->standing().state, State::kRetrying) << "what is lost within it gives nothing up";
}

}  // namespace
}  // namespace credsync::refresh
