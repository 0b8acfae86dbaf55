#include "base/loop.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "base/worker_pool.h"

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

TEST(WorkerPool, RunsEveryJobItAcceptedEvenWhenItEnds) {
  std::atomic<int> done{0};
  {
    WorkerPool pool(3);
    for (int i = 0; i < 200; ++i)
      pool.run([&] { ++done; });
  }
  EXPECT_EQ(done, 200);
}

TEST(WorkerPool, NeverUsesMoreThreadsThanItsBound) {
  std::atomic<int> running{0}, most{0};
  {
    WorkerPool pool(4);
    for (int i = 0; i < 100; ++i) {
      pool.run([&] {
        const int now = ++running;
        int seen = most.load();
        while (now > seen && !most.compare_exchange_weak(seen, now)) {
        }
        std::this_thread::yield();
        --running;
      });
    }
  }
  EXPECT_LE(most, 4);
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

// All are ready all the time. Each other source has its turn as often as the guest, which goes first after it was passed over
// once, and never twice before it.
TEST_F(LoopTest, GivesAGuestEverySecondTurn) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  ASSERT_EQ(::write(pipe[1], "x", 1), 1);
  std::string turns;
  const auto turn = [&](char who) {
    turns += who;
    if (turns.size() == 12) loop->quit(0);
  };
  auto guest = loop->host(
      pipe[0], [] { return Loop::Wish{EPOLLIN}; }, [&] { turn('g'); });
  ASSERT_TRUE(guest.has_value());
  std::vector<std::unique_ptr<Loop::Watch>> others;
  std::vector<int> copies;
  for (const char name : {'a', 'b'}) {
    copies.push_back(::dup(pipe[0]));
    auto watch = loop->watch(copies.back(), EPOLLIN, [&turn, name](std::uint32_t) { turn(name); });
    ASSERT_TRUE(watch.has_value());
    others.push_back(std::move(*watch));
  }
  loop->run();
  EXPECT_THAT(turns, testing::AnyOf("agbgagbgagbg", "bgagbgagbgag"));
  others.clear();
  guest->reset();
  for (const int descriptor : {copies[0], copies[1], pipe[0], pipe[1]})
    ::close(descriptor);
}

// As a library is that has read more than it was asked for: nothing to wait for, and its turn at once.
TEST_F(LoopTest, GivesAGuestWithoutAnEventEverySecondTurnToo) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  ASSERT_EQ(::write(pipe[1], "x", 1), 1);
  std::string turns;
  const auto turn = [&](char who) {
    turns += who;
    if (turns.size() == 12) loop->quit(0);
  };
  auto guest = loop->host(
      pipe[0],
      [] {
        return Loop::Wish{0, 0};
      },
      [&] { turn('g'); });
  ASSERT_TRUE(guest.has_value());
  const int copy = ::dup(pipe[0]);
  auto other = loop->watch(copy, EPOLLIN, [&](std::uint32_t) { turn('a'); });
  ASSERT_TRUE(other.has_value());
  loop->run();
  EXPECT_EQ(std::count(turns.begin(), turns.end(), 'g'), 6) << turns;
  EXPECT_EQ(turns.find("aa"), std::string::npos) << turns;
  other->reset();
  guest->reset();
  ::close(copy);
  ::close(pipe[0]);
  ::close(pipe[1]);
}

}  // namespace
}  // namespace credsync
