// Feeds the service manager's watchdog while the daemon does its work: the loop turns, what is due runs in time, and what
// other threads post comes back. Each feeding goes through all three: an entry of the agenda, then a task posted to the
// loop, then a look at what should have run long ago. The disk and the network have no part in it: a stuck disk must not
// get the daemon killed with an answer in its hands (design section 11). Loop only.
#pragma once

#include "base/agenda.h"
#include "base/loop.h"
#include "base/time.h"
#include "daemon/lifecycle/notifier.h"

namespace credsync::lifecycle {

// What is due is run within milliseconds. A machine that was suspended or starved catches up within a turn or two.
inline constexpr Duration kOverdue = 5s;
// After finding something overdue.
inline constexpr Duration kLookAgainAtOverdue = 1s;

class Watchdog {
 public:
  // `period`: the manager kills what was silent for so long; it is fed twice as often. Loop and agenda must outlive it, and
  // the loop must not run after it is gone.
  Watchdog(Notifier& notifier, Agenda& agenda, Executor& loop, const Clock& clock, Duration period);

 private:
  void look();

  Notifier& notifier_;
  Agenda& agenda_;
  Executor& loop_;
  const Clock& clock_;
  const Duration between_;
  bool behind_ = false;  // said once
  Agenda::Entry due_;
};

}  // namespace credsync::lifecycle
