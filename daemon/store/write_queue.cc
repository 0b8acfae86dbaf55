#include "daemon/store/write_queue.h"

#include <utility>

namespace credsync::store {

bool WriteQueue::push(Request& request, bool needed) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_ || (requests_.size() >= kMostWaiting && !needed)) return false;
    requests_.push_back(std::move(request));
    ++pushed_;
  }
  changed_.notify_one();
  return true;
}

std::future<void> WriteQueue::mark() {
  std::promise<void> reached;
  std::future<void> future = reached.get_future();
  {
    const std::lock_guard lock(mutex_);
    if (closed_) {
      reached.set_value();
      return future;
    }
    marks_.push_back({pushed_, std::move(reached)});
  }
  changed_.notify_one();
  return future;
}

void WriteQueue::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_one();
}

std::size_t WriteQueue::size() const {
  const std::lock_guard lock(mutex_);
  return requests_.size();
}

WriteQueue::Taken WriteQueue::take(std::size_t most, std::optional<Deadline> deadline) {
  std::unique_lock lock(mutex_);
  const auto something = [this] { return !requests_.empty() || !marks_.empty() || closed_; };
  if (deadline) {
    changed_.wait_until(lock, *deadline, something);
  } else {
    changed_.wait(lock, something);
  }
  Taken taken;
  while (!requests_.empty() && taken.requests.size() < most) {
    taken.requests.push_back(std::move(requests_.front()));
    requests_.pop_front();
    ++taken_;
  }
  while (!marks_.empty() && marks_.front().after <= taken_) {
    taken.marks.push_back(std::move(marks_.front().reached));
    marks_.pop_front();
  }
  taken.ended = closed_ && requests_.empty();
  return taken;
}

}  // namespace credsync::store
