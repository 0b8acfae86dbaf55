#include "ipc/http/door.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>

#include "base/log.h"
#include "ipc/http/response.h"

namespace credsync::ipc::http {
namespace {

Descriptor open_reserve() {
  return Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

Descriptor accept_from(int socket) {
  return Descriptor(::accept4(socket, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

bool is_the_clients(int error) {
  return error == EINTR || error == ECONNABORTED || error == EPERM;
}

}  // namespace

Door::Door(Hub& hub, ListeningSocket socket) : hub_(hub), socket_(std::move(socket)), reserve_(open_reserve()) {}

Door::~Door() {
  close();
}

void Door::close() {
  hub_.deadlines().clear(*this);
  socket_.reset();
}

void Door::on_ready(std::uint32_t) {
  take(Until::kShare);
}

void Door::take_last() {
  if (!socket_ || socket_->adopted()) return;
  socket_->refuse_new();
  take(Until::kEmpty);
}

void Door::take(Until until) {
  for (unsigned left = until == Until::kShare ? kAcceptsPerTurn : kAcceptsAtEnd; left != 0 && socket_; --left) {
    Descriptor connection = accept_from(get());
    if (connection) {
      if (!hub_.admit(std::move(connection)) && until == Until::kShare) return;  // the next one in the next turn
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return;
    if (is_the_clients(errno)) continue;
    turn_away();
    if (until == Until::kShare) return;
  }
}

// EMFILE, ENFILE and no memory: the connection stays in the backlog and would wake the loop again and again.
void Door::turn_away() {
  log::warning("a connection cannot be taken", {{"ERROR", from_errno("accept", errno).message()}});
  reserve_.reset();
  if (const Descriptor connection = accept_from(get())) {
    WipedBuffer out;
    write_problem(
        out, Framing{true, false, false},
        Problem{ProblemKind::kUnavailable, "the daemon has no descriptors left", {}, kUnavailableRetryAfter, {}});
    [[maybe_unused]] const ssize_t put =
        ::send(connection.get(), out.view().data(), out.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  reserve_ = open_reserve();
  pause();
}

void Door::pause() {
  hub_.watch(get(), 0, *this, true);
  hub_.deadlines().set(*this, hub_.now() + kAcceptPause);
}

void Door::on_deadline() {
  hub_.watch(get(), EPOLLIN, *this, true);
}

}  // namespace credsync::ipc::http
