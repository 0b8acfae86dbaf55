// What each user holds of the bus's front door right now, and how fast it asks. Loop only.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <unordered_map>

#include "base/time.h"

namespace credsync::ipc::dbus {

struct Use {
  uid_t uid = 0;
  unsigned senders = 0;  // names of this user that are known
  unsigned waiting = 0;
  unsigned subscriptions = 0;

  // One request: false when this user has had its second's worth. The allowance refills continuously.
  bool take(BootTime now, unsigned per_second) {
    const double most = per_second;
    const double seconds = std::chrono::duration<double>(now - asked).count();
    allowance = std::min(most, allowance + seconds * most);
    asked = now;
    if (allowance < 1) return false;
    allowance -= 1;
    return true;
  }

  BootTime asked{};  // the allowance below is of then
  double allowance = 0;
};

class Users {
 public:
  // Stays where it is while it has senders.
  Use& of(uid_t uid) {
    if (uses_.size() >= kSweepAbove) sweep();
    Use& use = uses_[uid];
    use.uid = uid;
    return use;
  }

 private:
  // A user who comes back at once must find the allowance it left behind.
  static constexpr std::size_t kSweepAbove = 1024;
  void sweep() {
    std::erase_if(uses_, [](const auto& entry) { return entry.second.senders == 0; });
  }
  std::unordered_map<uid_t, Use> uses_;
};

}  // namespace credsync::ipc::dbus
