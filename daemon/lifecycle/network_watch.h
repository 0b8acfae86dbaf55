// Hears when the machine gets an address or a route (rtnetlink(7)): what failed for want of a network may work now. It
// listens only while somebody wants to know, so that a network that changes all the time wakes up nobody for nothing. Where
// the address family is forbidden it does without. Loop only.
#pragma once

#include <functional>
#include <memory>

#include "base/agenda.h"
#include "base/file.h"
#include "base/loop.h"
#include "base/time.h"

namespace credsync::lifecycle {

// A network comes up in many small steps; the last of them counts.
inline constexpr Duration kNetworkSettles = 1s;
// Of a network that flaps.
inline constexpr Duration kBetweenNetworkChanges = 10s;

class NetworkWatch {
 public:
  // `on_change`: the network has changed; true: still of interest.
  NetworkWatch(Loop& loop, Agenda& agenda, const Clock& clock, std::function<bool()> on_change);

  // Somebody waits for a better network.
  void want();
  bool listening() const { return static_cast<bool>(socket_); }

 private:
  Result<void> listen();
  void on_ready();
  void settled();

  Loop& loop_;
  const Clock& clock_;
  const std::function<bool()> on_change_;
  Descriptor socket_;
  std::unique_ptr<Loop::Watch> watch_;
  BootTime next_{};         // not before
  bool forbidden_ = false;  // said once
  Agenda::Entry due_;
};

}  // namespace credsync::lifecycle
