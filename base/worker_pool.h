// A bounded pool of threads for work that blocks. The first is there from the start, more are started as they are needed,
// up to the bound, and end with the pool; one that cannot be started is done without, and tried again with the next job.
// Jobs wait in order; the destructor runs what waits and joins, so that nothing accepted is dropped.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/unique_function.h"

namespace credsync {

class WorkerPool {
 public:
  // Throws std::system_error when there is no thread to be had, as std::thread does.
  using StartThread = std::function<std::thread(std::function<void()>)>;

  // `start` is for tests; empty: std::thread. Throws what that throws for the first thread.
  explicit WorkerPool(std::size_t most_threads, StartThread start = {});
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Thread-safe.
  void run(UniqueFunction<void()> job);

 private:
  void start_thread();
  void work();

  const std::size_t most_threads_;
  const StartThread start_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<UniqueFunction<void()>> jobs_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;  // threads without a job, those included that are about to look for one
  bool ending_ = false;
};

}  // namespace credsync
