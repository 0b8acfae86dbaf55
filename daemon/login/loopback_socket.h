// The listening sockets that a browser comes back to: 127.0.0.1 and [::1] on one port (RFC 8252, 7.3). Nothing else can
// listen on that port meanwhile. Loop only.
#pragma once

#include <cstdint>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "daemon/login/redirect.h"

namespace credsync::login {

struct LoopbackSockets {
  std::vector<Descriptor> listening;  // one or two
  std::uint16_t port = 0;
};

// kTaken: another process listens on the port that the redirect URI names, and would be given the answer.
Result<LoopbackSockets> open_loopback(const Redirect::Loopback& loopback);

}  // namespace credsync::login
