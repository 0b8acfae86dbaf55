#include "daemon/login/loopback_socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <utility>

namespace credsync::login {
namespace {

constexpr int kBacklog = 64;  // what may come while the loop is busy with one turn
// A free port of the one family may be taken in the other: so often is another one tried.
constexpr int kPortsTried = 8;

struct Bound {
  Descriptor socket;
  std::uint16_t port = 0;
};

Result<std::uint16_t> port_of(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return from_errno("ask for the listening port", errno);
  const bool v6 = address.ss_family == AF_INET6;
  return ntohs(v6 ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                  : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

Result<void> bind_to(int socket, int family, std::uint16_t port) {
  int result = 0;
  if (family == AF_INET6) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    address.sin6_port = htons(port);
    result = ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  } else {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    result = ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  if (result == 0) return {};
  if (errno == EADDRINUSE) return Error(ErrorCode::kTaken, "port " + std::to_string(port) + " is taken");
  return from_errno("listen on loopback port " + std::to_string(port), errno);
}

Result<Bound> listen_on(int family, std::uint16_t port) {
  Bound bound;
  bound.socket = Descriptor(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!bound.socket) return from_errno("make a socket", errno);
  const int one = 1;
  // A connection of an earlier sign-in that is still in TIME_WAIT does not hold the port; one that listens does.
  ::setsockopt(bound.socket.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (family == AF_INET6) ::setsockopt(bound.socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
  CREDSYNC_TRY(bind_to(bound.socket.get(), family, port));
  if (::listen(bound.socket.get(), kBacklog) != 0) {
    if (errno == EADDRINUSE) return Error(ErrorCode::kTaken, "port " + std::to_string(port) + " is taken");
    return from_errno("listen on loopback port " + std::to_string(port), errno);
  }
  auto got = port_of(bound.socket.get());
  if (!got) return got.error();
  bound.port = *got;
  return bound;
}

Result<LoopbackSockets> open_once(const Redirect::Loopback& loopback) {
  const int first = loopback.host == "[::1]" ? AF_INET6 : AF_INET;
  const int second = first == AF_INET ? AF_INET6 : AF_INET;
  auto bound = listen_on(first, loopback.port.value_or(0));
  if (!bound) return std::move(bound).error();
  LoopbackSockets sockets;
  sockets.port = bound->port;
  sockets.listening.push_back(std::move(bound->socket));
  auto other = listen_on(second, sockets.port);
  if (other) {
    sockets.listening.push_back(std::move(other->socket));
  } else if (other.error().code() == ErrorCode::kTaken && (!loopback.port || loopback.host == "localhost")) {
    // A browser that is sent to "localhost" may go to the other one. (A machine without IPv6 has no other one.)
    return std::move(other).error();
  }
  return sockets;
}

}  // namespace

Result<LoopbackSockets> open_loopback(const Redirect::Loopback& loopback) {
  auto sockets = open_once(loopback);
  for (int tried = 1; !sockets && !loopback.port && tried < kPortsTried; ++tried) {
    if (sockets.error().code() != ErrorCode::kTaken) break;
    sockets = open_once(loopback);
  }
  return sockets;
}

}  // namespace credsync::login
