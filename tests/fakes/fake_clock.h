// A clock that stands still until it is told to move. Wall and boot time can be moved apart, as people do with date(1).
#pragma once

#include "base/time.h"

namespace credsync::fakes {

class FakeClock final : public Clock {
 public:
  WallTime wall() const override { return wall_; }
  BootTime boot() const override { return boot_; }

  void advance(Duration d) {
    wall_ += d;
    boot_ += d;
  }
  void advance_to(BootTime when) { advance(when - boot_); }
  void set_wall(WallTime when) { wall_ = when; }

 private:
  WallTime wall_ = wall_from_seconds(1'790'000'000);
  BootTime boot_ = BootTime(Duration(1000s));
};

}  // namespace credsync::fakes
