#include "daemon/lifecycle/drain.h"

#include <utility>

#include "base/check.h"

namespace credsync::lifecycle {
namespace {

// Beyond the two patiences: workers that end, the last commit.
constexpr Duration kForTheRest = 7s;

}  // namespace

Drain::Drain(Steps steps, Notifier& manager, Agenda& agenda, const Clock& clock, Duration patience)
    : steps_(std::move(steps)), manager_(manager), clock_(clock), patience_(patience), due_(agenda, [this] {
        look();
      }) {}

void Drain::begin() {
  CHECK(!begun_);
  begun_ = true;
  manager_.stopping();
  manager_.extend(patience_ + kDoorPatience + kForTheRest);
  steps_.stop_the_back();
  deadline_ = clock_.boot() + patience_;
  look();
}

void Drain::look() {
  if (!closing_ && (steps_.under_way() == 0 || clock_.boot() >= deadline_)) {
    closing_ = true;
    steps_.close_the_doors();
  }
  if (!closing_ || !steps_.doors_are_closed() || waits_for_disk()) return due_.set(clock_.boot() + kLookAgain);
  steps_.end();
}

// Otherwise the last wait for it is that of end(), which holds the loop and tells nobody.
bool Drain::waits_for_disk() {
  const BootTime now = clock_.boot();
  const auto since = steps_.disk_busy_since();
  if (!since || now - *since < kDiskHangs || now > deadline_ + kDiskPatience) return false;
  if (now >= next_extension_) {
    manager_.extend(kExtension);
    next_extension_ = now + kBetweenExtensions;
  }
  return true;
}

}  // namespace credsync::lifecycle
