// The end of the daemon, in two steps (docs/decisions/013-the-end-comes-in-two-steps.md). First the back: nothing new begins, who
// waits is told to come again, answers under way are stored; meanwhile tokens that are good are handed out as ever, so that
// nobody notices a slow provider. Then the doors are closed, the disk has what it was given, and the daemon ends. Loop only.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>

#include "base/agenda.h"
#include "base/time.h"
#include "daemon/lifecycle/notifier.h"

namespace credsync::lifecycle {

// Callers who do not read their last answer.
inline constexpr Duration kDoorPatience = 3s;
// A disk that hangs at the end has an answer in its hands, so more time is asked for, a little at a time; but a machine
// that shuts down must come to an end.
inline constexpr Duration kDiskPatience = 5min;
inline constexpr Duration kDiskHangs = 1s;
inline constexpr Duration kBetweenExtensions = 5s;
inline constexpr Duration kExtension = 20s;
inline constexpr Duration kLookAgain = 20ms;

class Drain {
 public:
  struct Steps {
    std::function<void()> stop_the_back;
    std::function<std::size_t()> under_way;  // exchanges and what else will have something to store
    // Gives callers at most kDoorPatience to read their last answers.
    std::function<void()> close_the_doors;
    std::function<bool()> doors_are_closed;
    std::function<std::optional<BootTime>()> disk_busy_since;  // null: it has nothing to do
    std::function<void()> end;                                 // waits for the disk, then ends the loop
  };
  // `patience`: for what is under way; an exchange that was sent is waited for, so that its answer is stored.
  Drain(Steps steps, Notifier& manager, Agenda& agenda, const Clock& clock, Duration patience);

  bool begun() const { return begun_; }
  // Once; the manager is told how long it may take.
  void begin();

 private:
  void look();
  bool waits_for_disk();

  const Steps steps_;
  Notifier& manager_;
  const Clock& clock_;
  const Duration patience_;
  BootTime deadline_{};
  BootTime next_extension_{};
  bool begun_ = false;
  bool closing_ = false;
  Agenda::Entry due_;
};

}  // namespace credsync::lifecycle
