// The HTTP front door: requests on Unix sockets, answered from a Service. Owns its listening sockets and
// connections, and one nested epoll set, which is the loop's only source for all of them. Lives on the loop,
// has no thread; loop and service must outlive it.
//
// A caller that misbehaves costs itself its connection and nobody else anything: see the bounds in limits.h,
// in request_reader.h and in connection.h. Errors of one connection are never errors of the server.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "base/file.h"
#include "base/loop.h"
#include "base/result.h"
#include "base/time.h"
#include "base/unique_function.h"
#include "ipc/http/limits.h"
#include "ipc/service.h"

namespace credsync::ipc::http {

// From the first byte of a request to its last. On a local socket a request is there at once; only a hand at
// a terminal needs seconds.
inline constexpr Duration kRequestDeadline = 5s;
// How long an answer may lie unread. Thousands of accounts are read in milliseconds, so whoever takes longer
// has stopped.
inline constexpr Duration kAnswerDeadline = 60s;
// How long a refused client is listened to, so that it reads the refusal instead of a broken pipe.
inline constexpr Duration kLingerDeadline = 1s;

// From a connection to its first request, where the daemon stops meanwhile. Whoever connects means to ask at once, and takes an end
// before that for a failure: that a kept connection may end between two requests is known to every client (RFC 9112, 9.3.1), but
// nobody asks again where a new one does.
inline constexpr Duration kFirstRequestPatience = 1s;

struct Timing {
  Duration request = kRequestDeadline;
  Duration answer = kAnswerDeadline;
  Duration linger = kLingerDeadline;
  Duration first_request = kFirstRequestPatience;
};

// What is held at the moment.
struct Counts {
  std::size_t connections = 0;
  std::size_t users = 0;
  std::size_t waiting = 0;
  std::size_t streams = 0;
};

class Hub;

class Server {
 public:
  static Result<std::unique_ptr<Server>> create(Loop& loop, const Clock& clock, Service& service, const Limits& limits,
                                                const Timing& timing = {});
  // Closes everything at once; stop() first for an orderly end. Not to be called from a callback of this
  // server.
  ~Server();

  // Makes a socket at `path` with `mode` and listens; see ListeningSocket::open for the errors.
  Result<void> listen(const std::string& path, mode_t mode);
  // Listens on a socket that another process made (systemd's socket activation).
  Result<void> adopt(Descriptor listening);
  // Takes no more connections; those that are there go on.
  void stop_listening();

  // From now on; who is over a new limit already is not cut off.
  void set_limits(const Limits& limits);

  // The first half of an end: waiting callers are told `unavailable` now, and whoever would have to wait is told so from
  // now on; everything else goes on. What the callers waited for can then be finished in peace.
  void end_waiting();
  // Drains: no more connections; waiting callers are told `unavailable`, streams end with a comment, idle
  // connections are closed, the others get what they were promised. No request is lost: what has reached us when its
  // connection is closed is answered, what comes later is refused by the kernel (EPIPE); who connected only now is awaited
  // (kFirstRequestPatience). Who has connected to an adopted socket and was not accepted yet is left to the next process. `done` runs on the loop when all is sent, or `at_most`
  // later.
  void stop(Duration at_most, UniqueFunction<void()> done);

  Counts counts() const;

 private:
  explicit Server(std::unique_ptr<Hub> hub);
  std::unique_ptr<Hub> hub_;
};

}  // namespace credsync::ipc::http
