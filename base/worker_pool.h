// A bounded pool of threads for work that blocks. Threads are started as they are needed, up to the bound, and end with
// the pool. Jobs wait in order; the destructor runs what waits and joins, so that nothing accepted is dropped.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "base/unique_function.h"

namespace credsync {

class WorkerPool {
 public:
  explicit WorkerPool(std::size_t most_threads) : most_threads_(most_threads) {}
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Thread-safe.
  void run(UniqueFunction<void()> job);

 private:
  void work();

  const std::size_t most_threads_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<UniqueFunction<void()>> jobs_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  bool ending_ = false;
};

}  // namespace credsync
