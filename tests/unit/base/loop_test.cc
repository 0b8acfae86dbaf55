#include "base/loop.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

namespace credsync {
namespace {

class LoopTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = Loop::create();
    ASSERT_TRUE(made.has_value());
    loop = std::move(*made);
  }
  std::unique_ptr<Loop> loop;
  SystemClock clock;
};

TEST_F(LoopTest, RunsWhatOtherThreadsPostInTheirOrder) {
  std::vector<int> seen;
  std::thread poster([&] {
    for (int i = 0; i < 1000; ++i)
      loop->post([&seen, i] { seen.push_back(i); });
    loop->post([&] { loop->quit(7); });
  });
  EXPECT_EQ(loop->run(), 7);
  poster.join();
  ASSERT_EQ(seen.size(), 1000U);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
}

TEST_F(LoopTest, FiresATimerOnceAndNotAfterCancel) {
  int fired = 0;
  auto cancelled = loop->timer([&] { fired += 100; });
  cancelled->set(clock.boot() + 5ms);
  cancelled->cancel();
  std::unique_ptr<Loop::Timer> timer;
  timer = loop->timer([&] {
    ++fired;
    loop->quit(0);
  });
  timer->set(clock.boot() + 20ms);
  loop->run();
  EXPECT_EQ(fired, 1);
}

TEST_F(LoopTest, CatchesSignalsOnTheLoop) {
  ASSERT_TRUE(loop->on_signal(SIGUSR1, [&] { loop->quit(3); }).has_value());
  ::kill(::getpid(), SIGUSR1);
  EXPECT_EQ(loop->run(), 3);
}

TEST_F(LoopTest, WatchesDescriptors) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  auto watch =
      loop->watch(ends[0], EPOLLIN, [&](std::uint32_t events) { loop->quit((events & EPOLLIN) != 0 ? 1 : 2); });
  ASSERT_TRUE(watch.has_value());
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  EXPECT_EQ(loop->run(), 1);
  watch->reset();
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(LoopTest, AsksAGuestBeforeEachWaitWhatItWaitsFor) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  ASSERT_EQ(::write(pipe[1], "x", 1), 1);
  bool wants = false;
  int turns = 0;
  auto guest = loop->host(
      pipe[0], [&] { return Loop::Wish{wants ? std::uint32_t{EPOLLIN} : 0U}; },
      [&] {
        ++turns;
        loop->quit(1);
      });
  ASSERT_TRUE(guest.has_value());
  // What can be read is not looked at until the guest wishes it.
  auto timer = loop->timer([&] {
    EXPECT_EQ(turns, 0);
    wants = true;
  });
  timer->set(clock.boot() + 20ms);
  EXPECT_EQ(loop->run(), 1);
  EXPECT_EQ(turns, 1);
  guest->reset();
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST_F(LoopTest, GivesAGuestItsTurnWhenItsTimeIsThereEachTimeItAsks) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  int turns = 0;
  std::uint64_t until = 0;  // at once
  auto guest = loop->host(
      pipe[0],
      [&] {
        return Loop::Wish{0, until};
      },
      [&] {
        if (++turns == 3) until = Loop::kNoTimeOut;
      });
  ASSERT_TRUE(guest.has_value());
  auto end = loop->timer([&] { loop->quit(0); });
  end->set(clock.boot() + 50ms);
  loop->run();
  EXPECT_EQ(turns, 3);
  guest->reset();
  ::close(pipe[0]);
  ::close(pipe[1]);
}

// A guest among others, all of whom are ready all the time.
class GuestsTurnsTest : public LoopTest {
 protected:
  void SetUp() override {
    LoopTest::SetUp();
    ASSERT_EQ(::pipe(pipe), 0);
    ASSERT_EQ(::write(pipe[1], "x", 1), 1);
  }
  void TearDown() override {
    others.clear();
    guest.reset();
    for (const int descriptor : descriptors)
      ::close(descriptor);
    ::close(pipe[0]);
    ::close(pipe[1]);
  }
  void add_guest(Loop::Wish wish) {
    auto made = loop->host(
        pipe[0], [wish] { return wish; }, [this] { turn('g'); });
    ASSERT_TRUE(made.has_value());
    guest = std::move(*made);
  }
  void add_other(char name) {
    descriptors.push_back(::dup(pipe[0]));
    auto watch = loop->watch(descriptors.back(), EPOLLIN, [this, name](std::uint32_t) { turn(name); });
    ASSERT_TRUE(watch.has_value());
    others.push_back(std::move(*watch));
  }
  void turn(char who) {
    turns += who;
    if (turns.size() == 12) loop->quit(0);
  }

  int pipe[2];
  std::vector<int> descriptors;
  std::unique_ptr<Loop::Guest> guest;
  std::vector<std::unique_ptr<Loop::Watch>> others;
  std::string turns;
};

// It goes last, and first once it was passed over.
TEST_F(GuestsTurnsTest, AreEverySecondHoweverManyOthersThereAre) {
  add_guest({EPOLLIN});
  add_other('a');
  add_other('b');
  loop->run();
  EXPECT_THAT(turns, testing::AnyOf("agbgagbgagbg", "bgagbgagbgag"));
}

// As a library is that has read more than it was asked for: nothing to wait for, and its turn at once.
TEST_F(GuestsTurnsTest, AreEverySecondWithoutAnEventToo) {
  add_guest({0, 0});
  add_other('a');
  loop->run();
  EXPECT_EQ(std::count(turns.begin(), turns.end(), 'g'), 6) << turns;
  EXPECT_EQ(turns.find("aa"), std::string::npos) << turns;
}

}  // namespace
}  // namespace credsync
