#include "ipc/http/deadlines.h"

namespace credsync::ipc::http {

Deadlines::Deadlines(Loop& loop, std::function<void()> on_due) : timer_(loop.timer(std::move(on_due))) {
  // The loop opens its timer's descriptor with the first setting: now, not when descriptors have run out.
  timer_->set(BootTime::max());
  timer_->cancel();
}

void Deadlines::set(Timed& what, BootTime when) {
  clear(what);
  due_.emplace(when, &what);
  what.due_ = when;
}

void Deadlines::clear(Timed& what) {
  if (!what.due_) return;
  due_.erase({*what.due_, &what});
  what.due_.reset();
}

void Deadlines::run_due(BootTime now) {
  armed_.reset();  // the timer is a one-shot
  while (!due_.empty() && due_.begin()->first <= now) {
    Timed& what = *due_.begin()->second;
    clear(what);
    what.on_deadline();
  }
}

void Deadlines::arm() {
  const auto nearest = due_.empty() ? std::nullopt : std::optional(due_.begin()->first);
  if (nearest == armed_) return;
  armed_ = nearest;
  nearest ? timer_->set(*nearest) : timer_->cancel();
}

}  // namespace credsync::ipc::http
