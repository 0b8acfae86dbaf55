// Where the browser is to come back to (RFC 8252, 7.3; RFC 6749, 3.1.2): what an account and its profile say, and what
// that means for a listener of ours. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "daemon/config/config.h"

namespace credsync::login {

struct Redirect {
  // Of a listener on this machine; unset: the address lies elsewhere, the person pastes it.
  struct Loopback {
    std::string host;                   // as it stands in the address: "127.0.0.1", "[::1]" or "localhost"
    std::optional<std::uint16_t> port;  // unset: any that is free
    std::string path;                   // "/callback", without a query
  };
  std::optional<Loopback> loopback;
  std::string uri;  // exact; empty until the port is known
};

// Errors say what the account must name: a provider that compares the whole address needs one with its port.
Result<Redirect> plan_redirect(const config::Account& account);

// "http://127.0.0.1:4711/callback"
std::string loopback_uri(const Redirect::Loopback& loopback, std::uint16_t port);

}  // namespace credsync::login
