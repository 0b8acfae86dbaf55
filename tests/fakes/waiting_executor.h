// The loop's queue without the loop: threads post to it, and the test waits for what they post.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "base/loop.h"

namespace credsync::fakes {

class WaitingExecutor final : public Executor {
 public:
  void post(UniqueFunction<void()> task) override {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    changed_.notify_one();
  }
  void run_one() {
    constexpr std::chrono::seconds kNeverComes{60};
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, kNeverComes, [&] { return !tasks_.empty(); }));
    UniqueFunction<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<UniqueFunction<void()>> tasks_;
};

}  // namespace credsync::fakes
