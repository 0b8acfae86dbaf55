// The HTTP front door on a service that answers at once, with one account, "bench", and a token of a signed
// JWT's size.
//   bench_http_server SOCKET
#include <cstdio>

#include "base/loop.h"
#include "ipc/http/server.h"
#include "tests/fakes/fake_service.h"

int main(int argc, char** argv) {
  using namespace credsync;
  if (argc != 2) return 2;
  constexpr std::size_t kTokenSize = 420;  // twice in an answer, which makes about 1,200 bytes
  fakes::FakeService service;
  service.remember = false;
  service.add("bench").token = std::string(kTokenSize, 'x');
  const SystemClock clock;
  auto loop = Loop::create();
  if (!loop) return 1;
  auto server = ipc::http::Server::create(**loop, clock, service, ipc::http::Limits::per_user(4096));
  if (!server) return 1;
  if (const auto listening = (*server)->listen(argv[1], 0600); !listening) {
    std::fprintf(stderr, "%s\n", listening.error().message().c_str());
    return 1;
  }
  std::puts("ready");
  std::fflush(stdout);
  return (*loop)->run();
}
