// A clock that stands still until it is told to move, or moves a little whenever somebody looks at it, as on a slow machine.
// Wall and boot time can be moved apart, as people do with date(1).
#pragma once

#include <algorithm>

#include "base/time.h"

namespace credsync::fakes {

class FakeClock final : public Clock {
 public:
  WallTime wall() const override { return look().wall_; }
  BootTime boot() const override { return look().boot_; }

  void move_at_each_look(Duration d) { each_look_ = d; }
  void advance(Duration d) {
    wall_ += d;
    boot_ += d;
  }
  void advance_to(BootTime when) { advance(std::max(Duration::zero(), when - boot_)); }
  void set_wall(WallTime when) { wall_ = when; }

 private:
  const FakeClock& look() const {
    wall_ += each_look_;
    boot_ += each_look_;
    return *this;
  }

  mutable WallTime wall_ = wall_from_seconds(1'790'000'000);
  mutable BootTime boot_ = BootTime(Duration(1000s));
  Duration each_look_{};
};

}  // namespace credsync::fakes
