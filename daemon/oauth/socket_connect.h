// Opens a TCP connection to whichever of several addresses answers first (RFC 8305, without its own sorting:
// getaddrinfo's order is RFC 6724's). Blocking; worker threads only.
#pragma once

#include <span>

#include "daemon/oauth/address_lookup.h"
#include "daemon/oauth/socket_patience.h"

namespace credsync::oauth {

// RFC 8305, section 8: the recommended Connection Attempt Delay.
constexpr Duration kConnectStagger = 250ms;

// A connected, non-blocking socket, or kConnect with the last reason, kDeadline, or stopped. `name` is for
// words.
Outcome<Descriptor> connect_any(std::span<const Address> addresses, const std::string& name, const Patience& patience);

}  // namespace credsync::oauth
