#include "base/worker_pool.h"

#include <signal.h>

#include <system_error>

#include "base/check.h"

namespace credsync {

WorkerPool::WorkerPool(std::size_t most_threads, StartThread start)
    : most_threads_(most_threads), start_(std::move(start)) {
  CHECK(most_threads > 0);
  threads_.reserve(most_threads);
  const std::lock_guard lock(mutex_);
  start_thread();
}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_)
    thread.join();
}

void WorkerPool::run(UniqueFunction<void()> job) {
  const std::lock_guard lock(mutex_);
  jobs_.push_back(std::move(job));
  if (idle_ < jobs_.size() && threads_.size() < most_threads_) {
    try {
      start_thread();
    } catch (const std::system_error&) {  // those that run take the job when they are done
    }
  }
  changed_.notify_one();
}

void WorkerPool::start_thread() {
  threads_.push_back(start_ ? start_([this] { work(); }) : std::thread([this] { work(); }));
  ++idle_;
}

void WorkerPool::work() {
  sigset_t all;  // signals belong to the loop
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
    --idle_;
    if (jobs_.empty()) return;
    UniqueFunction<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    job = {};
    lock.lock();
    ++idle_;
  }
}

}  // namespace credsync
