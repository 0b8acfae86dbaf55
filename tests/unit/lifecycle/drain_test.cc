// The end comes in two steps, and comes.
#include "daemon/lifecycle/drain.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/fakes/fake_clock.h"
#include "tests/unit/lifecycle/fake_manager.h"

namespace credsync::lifecycle {
namespace {

constexpr Duration kPatience = 35s;

class DrainTest : public testing::Test {
 protected:
  Drain::Steps steps() {
    Drain::Steps steps;
    steps.stop_the_back = [this] { done_.emplace_back("back"); };
    steps.under_way = [this] { return under_way_; };
    steps.close_the_doors = [this] { done_.emplace_back("doors"); };
    steps.doors_are_closed = [this] { return closed_; };
    steps.disk_busy_since = [this] { return busy_since_; };
    steps.end = [this] { done_.emplace_back("end"); };
    return steps;
  }
  // As the loop does: whatever comes due until then.
  void pass(Duration span) {
    const BootTime end = clock_.boot() + span;
    while (armed_ && *armed_ <= end) {
      clock_.advance_to(std::max(*armed_, clock_.boot()));
      armed_.reset();  // it rings once
      agenda_.run(clock_.boot());
    }
    clock_.advance_to(end);
  }
  using Done = std::vector<std::string>;

  fakes::FakeClock clock_;
  FakeManager fake_;
  Notifier manager_{fake_.address()};
  std::optional<BootTime> armed_;
  Agenda agenda_{[this](std::optional<BootTime> when) { armed_ = when; }};
  Done done_;
  std::size_t under_way_ = 0;
  bool closed_ = true;
  std::optional<BootTime> busy_since_;
  Drain drain_{steps(), manager_, agenda_, clock_, kPatience};
};

TEST_F(DrainTest, WithNothingUnderWayItIsAtOnce) {
  EXPECT_FALSE(drain_.begun());
  drain_.begin();
  EXPECT_TRUE(drain_.begun());
  EXPECT_EQ(done_, (Done{"back", "doors", "end"}));
  EXPECT_EQ(armed_, std::nullopt);
  EXPECT_EQ(fake_.take(), (Done{"STOPPING=1\nSTATUS=Stopping\n", "EXTEND_TIMEOUT_USEC=45000000\n"}));
}

TEST_F(DrainTest, DoorsStayOpenWhileAnAnswerIsUnderWay) {
  under_way_ = 1;
  drain_.begin();
  pass(kPatience - 1s);
  EXPECT_EQ(done_, Done{"back"});
  under_way_ = 0;
  pass(kLookAgain);
  EXPECT_EQ(done_, (Done{"back", "doors", "end"}));
}

TEST_F(DrainTest, AProviderThatHangsIsLeftBehind) {
  under_way_ = 1;
  drain_.begin();
  pass(kPatience);
  EXPECT_EQ(done_, (Done{"back", "doors", "end"}));
}

TEST_F(DrainTest, TheEndWaitsForTheDoors) {
  closed_ = false;
  drain_.begin();
  pass(kDoorPatience);
  EXPECT_EQ(done_, (Done{"back", "doors"}));
  closed_ = true;
  pass(kLookAgain);
  EXPECT_EQ(done_, (Done{"back", "doors", "end"})) << "the doors are closed once";
}

TEST_F(DrainTest, ADiskThatIsAtWorkIsNotWaitedForHere) {
  busy_since_ = clock_.boot();
  drain_.begin();
  EXPECT_EQ(done_, (Done{"back", "doors", "end"}));
}

TEST_F(DrainTest, AHangingDiskIsGivenTimeALittleAtATime) {
  busy_since_ = clock_.boot() - kDiskHangs;
  drain_.begin();
  fake_.take();
  std::size_t extended = 0;
  for (Duration passed{}; passed < 60s; passed += kBetweenExtensions) {
    pass(kBetweenExtensions);
    extended += fake_.count("EXTEND_TIMEOUT_USEC=20000000\n");
  }
  EXPECT_EQ(done_, (Done{"back", "doors"}));
  EXPECT_GE(extended, 60s / kBetweenExtensions - 1);
  EXPECT_LE(extended, 60s / kBetweenExtensions + 1);
  busy_since_.reset();
  pass(kLookAgain);
  EXPECT_EQ(done_.back(), "end");
}

TEST_F(DrainTest, AMachineThatShutsDownComesToAnEnd) {
  busy_since_ = clock_.boot() - kDiskHangs;
  drain_.begin();
  for (Duration passed{}; passed < kPatience + kDiskPatience; passed += kBetweenExtensions) {
    pass(kBetweenExtensions);
    fake_.take();
  }
  EXPECT_EQ(done_, (Done{"back", "doors"}));
  pass(kLookAgain);
  EXPECT_EQ(done_.back(), "end");
}

}  // namespace
}  // namespace credsync::lifecycle
