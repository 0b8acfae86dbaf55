#include "ipc/http/turn_away.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <array>

#include "base/file.h"
#include "ipc/http/response.h"

namespace credsync::ipc::http {
namespace {

// The socket is shared with systemd and with the next daemon, so that it is not made non-blocking for this.
Descriptor accept_waiting(int listening) {
  pollfd wait{listening, POLLIN, 0};
  if (::poll(&wait, 1, 0) != 1) return {};
  return Descriptor(::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

// A connection that is closed with unread bytes ends in ECONNRESET for the other end, which may then not look at the answer.
void swallow(int connection) {
  constexpr int kMostReads = 16;  // a request with its body, at most 64 KiB; more is cut off
  std::array<char, 4096> bytes;
  for (int i = 0; i<kMostReads&& ::recv(connection, bytes.data(), bytes.size(), 0)> 0; ++i) {
  }
  ::explicit_bzero(bytes.data(), bytes.size());  // it may have brought a secret
}

}  // namespace

std::size_t turn_away(int listening, const Problem& problem) {
  WipedBuffer answer;
  write_problem(answer, Framing{true, false, false}, problem);
  std::size_t count = 0;
  while (count < kMostTurnedAway) {
    const Descriptor connection = accept_waiting(listening);
    if (!connection) break;
    swallow(connection.get());
    ::send(connection.get(), answer.view().data(), answer.size(), MSG_NOSIGNAL);
    ++count;
  }
  return count;
}

}  // namespace credsync::ipc::http
