// Many deadlines on one timer of the loop, which is armed for the nearest and for nothing else. Loop only.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "base/loop.h"

namespace credsync::ipc::http {

// Something that has at most one deadline at a time.
class Timed {
 public:
  virtual ~Timed() = default;
  virtual void on_deadline() = 0;

 private:
  friend class Deadlines;
  std::optional<BootTime> due_;
};

class Deadlines {
 public:
  // `on_due` is to call run_due() with the time.
  Deadlines(Loop& loop, std::function<void()> on_due);

  void set(Timed& what, BootTime when);
  void clear(Timed& what);
  // Clears and calls each that is due; those may set and clear deadlines, their own and others'.
  void run_due(BootTime now);
  // Arms the timer for the nearest deadline if that changed. To be called at the end of each turn.
  void arm();

 private:
  std::set<std::pair<BootTime, Timed*>> due_;
  std::optional<BootTime> armed_;
  std::unique_ptr<Loop::Timer> timer_;
};

}  // namespace credsync::ipc::http
