// The loop's queue without the loop: tasks run when the test says so.
#pragma once

#include <deque>

#include "base/loop.h"

namespace credsync::fakes {

class QueueExecutor final : public Executor {
 public:
  void post(UniqueFunction<void()> task) override { tasks_.push_back(std::move(task)); }

  // Runs until nothing is left; returns how many ran.
  std::size_t run() {
    std::size_t count = 0;
    while (!tasks_.empty()) {
      UniqueFunction<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      task();
      ++count;
    }
    return count;
  }
  bool empty() const { return tasks_.empty(); }

 private:
  std::deque<UniqueFunction<void()>> tasks_;
};

}  // namespace credsync::fakes
