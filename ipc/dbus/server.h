// The D-Bus front door: org.credsync.CredSync1 on the system or the session bus, answered from a Service. It keeps trying
// when there is no bus, comes back when the bus does, and stands in line when another process has its name; meanwhile
// everything else goes on. Lives on the loop; loop, clock and service must outlive it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/loop.h"
#include "base/unique_function.h"
#include "ipc/dbus/bus.h"
#include "ipc/dbus/connector.h"
#include "ipc/dbus/limits.h"
#include "ipc/dbus/users.h"
#include "ipc/service.h"

namespace credsync::ipc::dbus {

class Link;

// Between attempts to reach a bus: it doubles from the first to the last.
inline constexpr Duration kFirstRetry = 1s;
inline constexpr Duration kLastRetry = 60s;

class Server {
 public:
  Server(Loop& loop, const Clock& clock, Service& service, BusKind kind, const Limits& limits,
         Duration first_retry = kFirstRetry);
  // Ends everything at once; stop() first for an orderly end.
  ~Server();

  void start();
  // Told when the machine has woken up, as logind says it on the system bus.
  void on_wake_up(std::function<void()> woken) { woken_ = std::move(woken); }
  // From now on; who is over a new limit already is not cut off.
  void set_limits(const Limits& limits) { limits_ = limits; }

  // Drains: waiting callers are told `unavailable`, the name is given back when all is sent, or `at_most` later. `done`
  // runs on the loop.
  void stop(Duration at_most, UniqueFunction<void()> done);

  BusKind kind() const { return kind_; }
  // For the doctor: what keeps callers from reaching us, in plain words; nothing when all is well.
  struct Trouble {
    std::string words, next_step;
  };
  const std::optional<Trouble>& trouble() const { return trouble_; }
  // What is held at the moment.
  struct Counts {
    std::size_t senders = 0, waiting = 0;
  };
  Counts counts() const;

 private:
  void connect();
  void connected(Result<std::unique_ptr<Bus>> opened);
  void named(bool is_ours);
  void refused_name(const Bus::Failure& failure);
  void lost(const std::string& why);
  void retry_later(Trouble trouble);
  void drain();

  Loop& loop_;
  const Clock& clock_;
  Service& service_;
  const BusKind kind_;
  const Duration first_retry_;
  Limits limits_;
  Users users_;
  std::function<void()> woken_;
  std::optional<Trouble> trouble_;
  Duration retry_after_;
  std::unique_ptr<Loop::Timer> timer_;  // of the next attempt; when stopping, of the next look
  std::unique_ptr<Link> link_;
  BootTime stop_deadline_;
  UniqueFunction<void()> stopped_;
  bool stopping_ = false;
  Connector connector_;
};

}  // namespace credsync::ipc::dbus
