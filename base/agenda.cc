#include "base/agenda.h"

#include <algorithm>

namespace credsync {
namespace {

// Then the loop's other sources have their turn: with thousands due at once callers would wait for all of them. A refresh is
// begun in some tenths of a millisecond at most.
constexpr std::size_t kMostInATurn = 64;

}  // namespace

void Agenda::Entry::set(BootTime when) {
  if (when_ == when) return;
  if (when_) agenda_.entries_.erase({*when_, turn_, this});
  when_ = when;
  turn_ = agenda_.next_turn_++;
  agenda_.entries_.emplace(when, turn_, this);
  agenda_.rearm();
}

void Agenda::Entry::cancel() {
  if (!when_) return;
  agenda_.entries_.erase({*when_, turn_, this});
  when_.reset();
  agenda_.rearm();
}

void Agenda::run(BootTime now) {
  running_ = true;
  // Entries set for `now` or earlier by a callback wait for the next turn, so that a turn always ends.
  std::size_t left = std::min(entries_.size(), kMostInATurn);
  while (left-- > 0 && !entries_.empty() && std::get<BootTime>(*entries_.begin()) <= now) {
    Entry& entry = *std::get<Entry*>(*entries_.begin());
    entries_.erase(entries_.begin());
    entry.when_.reset();
    const std::function<void()> call = entry.on_time_;  // the callback may destroy the entry
    call();
  }
  running_ = false;
  armed_.reset();
  rearm();
}

std::optional<BootTime> Agenda::next() const {
  if (entries_.empty()) return std::nullopt;
  return std::get<BootTime>(*entries_.begin());
}

void Agenda::rearm() {
  if (running_) return;
  const std::optional<BootTime> wanted = next();
  if (wanted == armed_) return;
  armed_ = wanted;
  arm_(wanted);
}

}  // namespace credsync
