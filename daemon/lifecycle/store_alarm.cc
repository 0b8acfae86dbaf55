#include "daemon/lifecycle/store_alarm.h"

#include <utility>

#include "base/log.h"
#include "base/message_ids.h"

namespace credsync::lifecycle {

StoreAlarm::StoreAlarm(store::TokenStore& store, Agenda& agenda, const Clock& clock, std::function<void()> on_change)
    : store_(store), clock_(clock), on_change_(std::move(on_change)), due_(agenda, [this] { look(); }) {}

std::optional<BootTime> StoreAlarm::stuck_since() const {
  if (under_way_.empty()) return std::nullopt;
  const BootTime oldest = under_way_.begin()->second;
  return clock_.boot() - oldest >= kStuckAfter ? std::optional(oldest) : std::nullopt;
}

void StoreAlarm::apply(store::Change change, UniqueFunction<void(Result<store::Ids>)> done) {
  store_.apply(std::move(change), [this, number = begin(), done = std::move(done)](Result<store::Ids> result) mutable {
    end(number);
    if (done) done(std::move(result));
  });
}

void StoreAlarm::begin_rotation(store::Intent intent, UniqueFunction<void(Result<store::SlotId>)> done) {
  store_.begin_rotation(std::move(intent),
                        [this, number = begin(), done = std::move(done)](Result<store::SlotId> result) mutable {
                          end(number);
                          if (done) done(std::move(result));
                        });
}

std::uint64_t StoreAlarm::begin() {
  const BootTime now = clock_.boot();
  under_way_.emplace(++last_, now);
  if (!due_.when() && !raised_) due_.set(under_way_.begin()->second + kStuckAfter);
  return last_;
}

void StoreAlarm::end(std::uint64_t number) {
  under_way_.erase(number);
  if (under_way_.empty()) due_.cancel();
  if (!raised_ || stuck_since()) return;
  raised_ = false;
  if (!under_way_.empty()) due_.set(under_way_.begin()->second + kStuckAfter);
  log::write(log::Level::kNotice, message_id::kStorageMoves.id, "the disk moves again", {});
  on_change_();
}

void StoreAlarm::look() {
  if (under_way_.empty()) return;
  const auto since = stuck_since();
  if (!since) return due_.set(under_way_.begin()->second + kStuckAfter);
  raised_ = true;
  log::write(log::Level::kError, message_id::kStorageStuck.id,
             "the disk hangs: what must be stored waits; cached tokens are served, grants that rotate wait",
             {{"SECONDS", std::to_string(to_seconds(clock_.boot() - *since))},
              {"WAITING", std::to_string(under_way_.size())}});
  on_change_();
}

}  // namespace credsync::lifecycle
