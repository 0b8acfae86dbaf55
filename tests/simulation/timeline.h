// Time that passes only from one event to the next. `now` is the true time since the world began; the daemon sees a wall
// clock that people set and a boot clock that begins anew with the machine.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/loop.h"
#include "base/time.h"
#include "base/unique_function.h"

namespace credsync::simulation {

using True = Duration;  // since the world began
constexpr True kNever = True::max();

class Timeline final : public Clock {
 public:
  WallTime wall() const override { return wall_at(now_); }
  BootTime boot() const override { return BootTime(Duration(1000s)) + (now_ - booted_); }

  True now() const { return now_; }
  WallTime wall_at(True when) const { return wall_from_seconds(1'790'000'000) + when + offset_; }
  True true_of(BootTime boot) const { return boot - BootTime(Duration(1000s)) + booted_; }
  Duration offset() const { return offset_; }
  void step_wall_clock(Duration by) { offset_ += by; }
  void reboot() { booted_ = now_; }
  // Nothing of the machine runs before then; the rest of the world goes on.
  void suspend_until(True when) { asleep_until_ = when; }
  bool asleep() const { return now_ < asleep_until_; }
  True asleep_until() const { return asleep_until_; }

  enum class Where { kWorld, kMachine };
  void at(True when, Where where, UniqueFunction<void()> run);
  void after(Duration delay, Where where, UniqueFunction<void()> run) { at(now_ + delay, where, std::move(run)); }

  // When the next event is; kNever: none.
  True next() const { return events_.empty() ? kNever : events_.front().at; }
  // Runs it, unless the machine sleeps: then it is put off to the end of that.
  void run_next();
  void move_to(True when) { now_ = std::max(now_, when); }
  std::uint64_t events() const { return count_; }

 private:
  struct Event {
    True at;
    std::uint64_t turn;
    Where where;
    UniqueFunction<void()> run;
  };
  static bool later(const Event& a, const Event& b) { return a.at != b.at ? a.at > b.at : a.turn > b.turn; }

  True now_{0};
  Duration offset_{0};
  True booted_{0};
  True asleep_until_{0};
  std::vector<Event> events_;  // a heap
  std::uint64_t turn_ = 0;
  std::uint64_t count_ = 0;
};

// The loop's queue, one task at a time, so that a crash may come between any two.
class Tasks final : public Executor {
 public:
  void post(UniqueFunction<void()> task) override { tasks_.push_back(std::move(task)); }
  bool empty() const { return first_ == tasks_.size(); }
  void run_one();
  void clear();

 private:
  std::vector<UniqueFunction<void()>> tasks_;
  std::size_t first_ = 0;
};

}  // namespace credsync::simulation
