#include "tests/simulation/timeline.h"

#include <algorithm>
#include <utility>

namespace credsync::simulation {

void Timeline::at(True when, Where where, UniqueFunction<void()> run) {
  events_.push_back({std::max(when, now_), turn_++, where, std::move(run)});
  std::push_heap(events_.begin(), events_.end(), later);
}

void Timeline::run_next() {
  std::pop_heap(events_.begin(), events_.end(), later);
  Event event = std::move(events_.back());
  events_.pop_back();
  now_ = std::max(now_, event.at);
  if (event.where == Where::kMachine && asleep()) return at(asleep_until_, event.where, std::move(event.run));
  ++count_;
  event.run();
}

void Tasks::run_one() {
  UniqueFunction<void()> task = std::move(tasks_[first_++]);
  if (empty()) clear();
  task();
}

void Tasks::clear() {
  const std::vector<UniqueFunction<void()>> gone = std::exchange(tasks_, {});
  first_ = 0;
}

}  // namespace credsync::simulation
