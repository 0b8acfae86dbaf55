#include "base/worker_pool.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <future>
#include <system_error>

#include "tests/fakes/thread_state.h"

namespace credsync {
namespace {

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

// At most so many threads; then there are none to be had.
WorkerPool::StartThread only(int threads, std::atomic<int>& asked) {
  return [threads, &asked](std::function<void()> work) {
    if (++asked > threads) throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
    return std::thread(std::move(work));
  };
}

TEST(WorkerPool, AThreadThatCannotBeStartedCostsNoJob) {
  std::atomic<int> asked{0};
  std::promise<void> end_first, second_ran;
  WorkerPool pool(4, only(1, asked));
  pool.run([&] { end_first.get_future().wait(); });
  EXPECT_NO_THROW(pool.run([&] { second_ran.set_value(); }));
  EXPECT_EQ(asked, 2);
  end_first.set_value();
  EXPECT_EQ(second_ran.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
}

TEST(WorkerPool, IsNotMadeWithoutAThread) {
  std::atomic<int> asked{0};
  EXPECT_THROW(WorkerPool(4, only(0, asked)), std::system_error);
}

TEST(WorkerPool, StartsNoThreadWhileOneIsIdle) {
  std::atomic<int> asked{0};
  WorkerPool pool(4, only(4, asked));
  for (int i = 0; i < 20; ++i) {
    std::promise<pid_t> ran;
    pool.run([&] { ran.set_value(::gettid()); });
    const pid_t thread = ran.get_future().get();
    while (!fakes::is_asleep(thread))
      std::this_thread::yield();
  }
  EXPECT_EQ(asked, 1);
}

}  // namespace
}  // namespace credsync
