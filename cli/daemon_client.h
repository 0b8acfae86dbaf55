// Speaks HTTP/1.1 with the daemon over its Unix socket: one connection a request, blocking, every step under
// one deadline. A Failure says which of these it was: the daemon cannot be reached, it answered a problem
// (with the exit code of its name), or what answered made no sense.
//
// A daemon that restarts is waited for: a request is sent again, on a new connection, when the daemon said that it is
// stopping, when the connection ended before the whole request was taken, and, for requests that only read, when it ended
// without an answer. Never when the daemon may have done what would be done twice.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/secret.h"
#include "cli/event_reader.h"
#include "cli/failure.h"
#include "cli/http_response.h"

namespace credsync::cli {

using Deadline = std::chrono::steady_clock::time_point;
Deadline after(std::chrono::milliseconds span);

// One object; a list of what the admin configured (100,000 accounts are 70 MB).
inline constexpr std::size_t kMaxObject = 1024 * 1024;
inline constexpr std::size_t kMaxList = 128 * 1024 * 1024;
// What the daemon answers from memory. A request that waits for a provider adds that wait.
inline constexpr std::chrono::seconds kQuickAnswer{10};
// A refresh, sign-in or reload: the daemon bounds its own exchange with a provider well below this.
inline constexpr std::chrono::seconds kProviderAnswer{90};
// For a daemon that restarts; its start is a matter of a second or two.
inline constexpr std::chrono::seconds kRestartPatience{5};

struct Request {
  std::string_view method = "GET";
  std::string target;
  WipedString body{};  // JSON; empty sends none
  std::chrono::milliseconds timeout = kQuickAnswer;
  std::size_t max_body = kMaxObject;
  // How long the daemon may wait for a provider: sent as the parameter `wait`, less what has passed meanwhile.
  std::optional<std::chrono::seconds> wait{};
  // How long after the beginning it may be sent again.
  std::chrono::milliseconds patience = kRestartPatience;
  bool awaits_daemon = false;  // also one that is not there at the beginning
};

struct Response {
  int status = 0;
  std::string server;  // the Server header
  WipedString body{};
};

// Owns the descriptor of a connection.
class Connection {
 public:
  explicit Connection(int fd) : fd_(fd) {}
  Connection(Connection&& other) noexcept;
  Connection& operator=(Connection&& other) noexcept;
  ~Connection();
  int fd() const { return fd_; }

 private:
  int fd_;
};

// The daemon's event stream, after its header. Poll fd() for reading, then call read().
class EventStream {
 public:
  EventStream(Connection connection, std::unique_ptr<ResponseReader> response);
  int fd() const { return connection_.fd(); }
  // The events that have arrived; never blocks. A Failure: the stream is over.
  Outcome<std::vector<Event>> read();

 private:
  Connection connection_;
  std::unique_ptr<ResponseReader> response_;
  EventReader events_;
};

// A request that was sent, its answer awaited beside other things. Poll fd() for reading, then call read().
class Exchange {
 public:
  Exchange(Connection connection, std::unique_ptr<ResponseReader> response, Deadline deadline);
  int fd() const { return connection_.fd(); }
  // When to give up; nothing here does.
  Deadline deadline() const { return deadline_; }
  // Never blocks. Nothing: the answer is not whole yet. A Failure: as call() would give.
  Outcome<std::optional<Response>> read();

 private:
  Connection connection_;
  std::unique_ptr<ResponseReader> response_;
  Deadline deadline_;
};

class DaemonClient {
 public:
  explicit DaemonClient(std::string socket) : socket_(std::move(socket)) {}

  const std::string& socket() const { return socket_; }
  // A descriptor that ends waiting early once it is readable (signals); -1 for none.
  void set_interrupt(int fd) { interrupt_ = fd; }

  // A 2xx answer, or the Failure that its problem document means.
  Outcome<Response> call(const Request& request) const;
  // Sends and comes back without the answer.
  Outcome<Exchange> begin(const Request& request) const;
  Outcome<EventStream> open_events(const std::string& target) const;
  // Only connects.
  Outcome<Connection> connect(Deadline deadline) const;

 private:
  Outcome<Response> converse(const Connection& connection, const Request& request, Deadline begun,
                             Deadline deadline) const;
  Outcome<void> pause(Deadline until) const;
  Outcome<bool> send(const Connection& connection, std::string_view text, Deadline deadline) const;
  // Reads until the head (`head_only`) or the whole response is there.
  Outcome<bool> receive(const Connection& connection, ResponseReader& reader, Deadline deadline, bool head_only) const;
  Outcome<void> wait(int fd, short events, Deadline deadline) const;

  std::string socket_;
  int interrupt_ = -1;
};

// "/v1/accounts/NAME" + ending. The name was checked by the argument parser and needs no escaping.
std::string account_target(std::string_view account, std::string_view ending);
// Escapes what RFC 3986 does not allow in a query value.
std::string percent_encode(std::string_view value);

}  // namespace credsync::cli
