#include "daemon/lifecycle/watchdog.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/message_ids.h"

namespace credsync::lifecycle {

Watchdog::Watchdog(Notifier& notifier, Agenda& agenda, Executor& loop, const Clock& clock, Duration period)
    : notifier_(notifier), agenda_(agenda), loop_(loop), clock_(clock), between_(period / 2), due_(agenda, [this] {
        loop_.post([this] { look(); });
      }) {
  due_.set(clock_.boot());
}

void Watchdog::look() {
  const BootTime now = clock_.boot();
  const auto next = agenda_.next();
  if (next && *next + kOverdue < now) {
    if (!std::exchange(behind_, true)) {
      log::write(log::Level::kError, message_id::kSchedulerBehind.id,
                 "what is due does not run; the watchdog is not fed until it does",
                 {{"OVERDUE_SECONDS", std::to_string(to_seconds(now - *next))}});
    }
    return due_.set(now + std::min(kLookAgainAtOverdue, between_));
  }
  behind_ = false;
  notifier_.alive();
  due_.set(now + between_);
}

}  // namespace credsync::lifecycle
