// Opens a connection to a bus without holding the loop: connecting waits for the bus, and a bus that hangs would hold
// every caller of the Unix socket. One attempt at a time, on a thread of its own that ends with it. Loop only.
#pragma once

#include <functional>
#include <memory>

#include "base/loop.h"
#include "ipc/dbus/bus.h"

namespace credsync::ipc::dbus {

class Connector {
 public:
  explicit Connector(Executor& loop) : loop_(loop) {}
  // Does not wait for an attempt under way; what it brings is thrown away.
  ~Connector();

  using Then = std::function<void(Result<std::unique_ptr<Bus>>)>;
  void connect(BusKind kind, Then then);

 private:
  struct Attempt;
  Executor& loop_;
  std::shared_ptr<Attempt> attempt_;  // shared with its thread
};

}  // namespace credsync::ipc::dbus
