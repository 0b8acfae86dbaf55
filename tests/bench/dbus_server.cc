// The D-Bus front door on a service that answers at once, with one account, "bench", and a token of a signed JWT's size;
// on the bus that DBUS_SYSTEM_BUS_ADDRESS names.
#include "base/loop.h"
#include "ipc/dbus/server.h"
#include "tests/fakes/fake_service.h"

int main() {
  using namespace credsync;
  constexpr std::size_t kTokenSize = 420;  // twice in an answer, which makes about 1,200 bytes
  fakes::FakeService service;
  service.remember = false;
  service.add("bench").token = std::string(kTokenSize, 'x');
  const SystemClock clock;
  auto loop = Loop::create();
  if (!loop) return 1;
  // One caller that does nothing else is faster than a user may be.
  ipc::dbus::Server server(**loop, clock, service, ipc::dbus::BusKind::kSystem, {64, 16, 1'000'000});
  server.start();
  return (*loop)->run();
}
