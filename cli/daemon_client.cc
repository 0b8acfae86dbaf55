#include "cli/daemon_client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.h"
#include "cli/json.h"

namespace credsync::cli {
namespace {

using std::chrono::milliseconds;

// A connect on a Unix socket only blocks while the daemon's backlog is full.
constexpr std::chrono::seconds kLongestConnect{5};
constexpr std::size_t kReadSize = 16 * 1024;
constexpr std::string_view kJsonAnswers = "application/json, application/problem+json";

// Between two attempts at a daemon that is not there: as short as a person does not notice.
constexpr milliseconds kLookAgain{100};
constexpr const char* kNoAnswer = "credsyncd closed the connection without an answer";

Failure unreachable(std::string message) {
  return {ExitCode::kUnreachable, std::move(message), "credsync doctor", {}, {}};
}

Failure away(std::string message) {
  Failure failure = unreachable(std::move(message));
  failure.ask_again = kLookAgain;
  return failure;
}

milliseconds remaining(Deadline deadline) {
  return std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now());
}

std::string target_of(const Request& request, Deadline begun) {
  if (!request.wait) return request.target;
  const auto left = std::chrono::ceil<std::chrono::seconds>(begun + *request.wait - std::chrono::steady_clock::now());
  const auto wait = std::clamp<std::chrono::seconds>(left, std::chrono::seconds(0), *request.wait);
  return request.target + (request.target.find('?') == std::string::npos ? "?wait=" : "&wait=") +
         std::to_string(wait.count());
}

std::string request_text(const Request& request, Deadline begun, std::string_view accept) {
  const std::string& body = request.body.text();
  std::string text;
  constexpr std::size_t kHeaderRoom = 512;
  text.reserve(kHeaderRoom + request.target.size() + body.size());
  text.append(request.method).append(" ").append(target_of(request, begun));
  text.append(" HTTP/1.1\r\nHost: credsyncd\r\nUser-Agent: credsync/" CREDSYNC_VERSION "\r\nAccept: ").append(accept);
  text.append("\r\nConnection: close\r\n");
  if (!body.empty()) {
    text.append("Content-Type: ").append(ipc::kJsonType).append("\r\n");
  }
  if (!body.empty() || request.method == "POST") {
    text.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
  }
  return text.append("\r\n").append(body);
}

ExitCode exit_of(const Problem& problem, int status) {
  for (const ipc::ProblemName& known : ipc::kProblems) {
    if (problem.name == known.name) return known.exit_code;
  }
  // A problem this version does not know: its HTTP status says what kind it is.
  for (const ipc::ProblemName& known :
       {ipc::kNotAllowed, ipc::kNoSuchAccount, ipc::kBusy, ipc::kUnavailable, ipc::kTimeout}) {
    if (status == known.status) return known.exit_code;
  }
  return ExitCode::kFailed;
}

Failure failure_of(const ResponseReader& reader, std::string_view body) {
  const Problem problem = parse_problem(body);
  Failure failure{exit_of(problem, reader.status()), problem.detail, problem.next_step, problem.problems, {}};
  if (failure.message.empty()) failure.message = "the daemon answered HTTP status " + std::to_string(reader.status());
  const std::string_view again = reader.header("retry-after");
  const bool seconds = !again.empty() && again.find_first_not_of("0123456789") == std::string_view::npos;
  if (failure.exit == ExitCode::kTemporary && seconds && again.size() < 8) {
    failure.details.push_back("It may be worth trying again in " + std::string(again) + " s.");
    if (problem.stopping) failure.ask_again = std::chrono::seconds(std::stoi(std::string(again)));
  }
  return failure;
}

Outcome<Response> response_of(ResponseReader& reader) {
  WipedString body(reader.take_body());
  if (reader.status() < 200 || reader.status() > 299) return failure_of(reader, body.text());
  return Response{reader.status(), clean_foreign_text(reader.header("server")), std::move(body)};
}

// Reads what is there. 0: the peer closed.
Outcome<std::size_t> read_some(int fd, std::array<char, kReadSize>& bytes) {
  const ssize_t got = ::recv(fd, bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (got >= 0) return static_cast<std::size_t>(got);
  return unreachable(std::string("the connection to credsyncd broke: ") + ::strerror(errno));
}

// Without its folder the socket will not be there in a moment either.
bool has_folder(const std::string& socket) {
  const std::size_t slash = socket.rfind('/');
  return slash == std::string::npos || ::access(socket.substr(0, slash + 1).c_str(), X_OK) == 0;
}

Failure connect_failure(const std::string& socket, int error) {
  const std::string where = clean_foreign_text(socket);
  switch (error) {
    case ENOENT: {
      std::string words = "no daemon: there is no socket at " + where;
      return has_folder(socket) ? away(std::move(words)) : unreachable(std::move(words));
    }
    case ECONNREFUSED: return away("no daemon listens at " + where);
    case EACCES:
    case EPERM: return unreachable("no permission to connect to " + where);
    case EAGAIN: return unreachable("credsyncd at " + where + " does not take connections");
    default: return unreachable("cannot connect to " + where + ": " + ::strerror(error));
  }
}

void limit_connect(int fd, Deadline deadline) {
  const milliseconds span = std::clamp<milliseconds>(remaining(deadline), milliseconds(1), kLongestConnect);
  timeval limit{};
  limit.tv_sec = static_cast<time_t>(span.count() / 1000);
  limit.tv_usec = static_cast<suseconds_t>(span.count() % 1000 * 1000);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

}  // namespace

Deadline after(milliseconds span) {
  return std::chrono::steady_clock::now() + span;
}

Connection::Connection(Connection&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Connection& Connection::operator=(Connection&& other) noexcept {
  if (this != &other) std::swap(fd_, other.fd_);
  return *this;
}

Connection::~Connection() {
  if (fd_ >= 0) ::close(fd_);
}

EventStream::EventStream(Connection connection, std::unique_ptr<ResponseReader> response)
    : connection_(std::move(connection)), response_(std::move(response)) {}

Outcome<std::vector<Event>> EventStream::read() {
  std::vector<Event> events;
  while (true) {
    const std::string body = response_->take_body();
    CREDSYNC_LET(complete, events_.feed(body));
    events.insert(events.end(), std::make_move_iterator(complete.begin()), std::make_move_iterator(complete.end()));
    pollfd ready{fd(), POLLIN, 0};
    if (!events.empty() || ::poll(&ready, 1, 0) <= 0) return events;
    std::array<char, kReadSize> bytes;
    CREDSYNC_LET(got, read_some(fd(), bytes));
    if (got == 0 || response_->complete()) return unreachable("credsyncd ended the stream of events");
    CREDSYNC_TRY(response_->feed({bytes.data(), got}));
  }
}

Exchange::Exchange(Connection connection, std::unique_ptr<ResponseReader> response, Deadline deadline)
    : connection_(std::move(connection)), response_(std::move(response)), deadline_(deadline) {}

Outcome<std::optional<Response>> Exchange::read() {
  std::array<char, kReadSize> bytes;
  while (!response_->complete()) {
    pollfd ready{fd(), POLLIN, 0};
    if (::poll(&ready, 1, 0) <= 0) return std::optional<Response>();
    CREDSYNC_LET(got, read_some(fd(), bytes));
    if (got == 0) {
      CREDSYNC_TRY(response_->end());
      break;
    }
    CREDSYNC_TRY(response_->feed({bytes.data(), got}));
  }
  wipe(bytes.data(), bytes.size());
  CREDSYNC_LET(response, response_of(*response_));
  return std::optional<Response>(std::move(response));
}

Outcome<Connection> DaemonClient::connect(Deadline deadline) const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_.empty() || socket_.size() >= sizeof address.sun_path) {
    return misused("the path of the socket is empty or longer than " + std::to_string(sizeof address.sun_path - 1) +
                   " bytes");
  }
  std::copy(socket_.begin(), socket_.end(), address.sun_path);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return failed(std::string("cannot make a socket: ") + ::strerror(errno));
  Connection connection(fd);
  limit_connect(fd, deadline);
  int result = 0;
  do {
    result = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  } while (result != 0 && errno == EINTR);
  if (result != 0) return connect_failure(socket_, errno);
  return connection;
}

Outcome<void> DaemonClient::wait(int fd, short events, Deadline deadline) const {
  while (true) {
    std::array<pollfd, 2> polled{{{fd, events, 0}, {interrupt_, POLLIN, 0}}};
    const milliseconds left = remaining(deadline);
    if (left.count() <= 0) return unreachable("credsyncd at " + clean_foreign_text(socket_) + " does not answer");
    const int ready = ::poll(polled.data(), interrupt_ < 0 ? 1 : 2, static_cast<int>(left.count()));
    if (ready > 0 && polled[1].revents != 0) return failed("interrupted");
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return failed(std::string("poll: ") + ::strerror(errno));
  }
}

Outcome<void> DaemonClient::pause(Deadline until) const {
  while (true) {
    pollfd interrupt{interrupt_, POLLIN, 0};
    const milliseconds left = remaining(until);
    if (left.count() <= 0) return {};
    if (::poll(&interrupt, 1, static_cast<int>(left.count())) > 0) return failed("interrupted");
  }
}

// True: all of it. False: the daemon takes no more; it may have answered (busy, too-large) before it closed.
Outcome<bool> DaemonClient::send(const Connection& connection, std::string_view text, Deadline deadline) const {
  while (!text.empty()) {
    const ssize_t sent = ::send(connection.fd(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      text.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      CREDSYNC_TRY(wait(connection.fd(), POLLOUT, deadline));
    } else if (errno == EPIPE || errno == ECONNRESET) {
      return false;
    } else if (errno != EINTR) {
      return unreachable(std::string("the connection to credsyncd broke: ") + ::strerror(errno));
    }
  }
  return true;
}

// False: the connection ended before the first byte of an answer.
Outcome<bool> DaemonClient::receive(const Connection& connection, ResponseReader& reader, Deadline deadline,
                                    bool head_only) const {
  std::array<char, kReadSize> bytes;
  for (bool begun = false; !(head_only ? reader.has_head() : reader.complete()); begun = true) {
    CREDSYNC_TRY(wait(connection.fd(), POLLIN, deadline));
    const auto got = read_some(connection.fd(), bytes);
    if (!begun && (!got || *got == 0)) return false;
    if (!got) return got.error();
    if (*got == 0) {
      CREDSYNC_TRY(reader.end());
      break;
    }
    CREDSYNC_TRY(reader.feed({bytes.data(), *got}));
  }
  wipe(bytes.data(), bytes.size());
  return true;
}

Outcome<Response> DaemonClient::converse(const Connection& connection, const Request& request, Deadline begun,
                                         Deadline deadline) const {
  const WipedString text(request_text(request, begun, kJsonAnswers));
  CREDSYNC_LET(sent, send(connection, text.text(), deadline));
  ResponseReader reader(request.max_body);
  CREDSYNC_LET(answered, receive(connection, reader, deadline, false));
  if (answered) return response_of(reader);
  const bool repeatable = !sent || request.method == "GET";
  return repeatable ? away(kNoAnswer) : unreachable(kNoAnswer);
}

Outcome<Response> DaemonClient::call(const Request& request) const {
  const Deadline begun = after(milliseconds(0));
  const Deadline deadline = begun + request.timeout;
  bool met = false;
  while (true) {
    const auto connection = connect(deadline);
    met = met || connection;
    auto response =
        connection ? converse(*connection, request, begun, deadline) : Outcome<Response>(connection.error());
    if (response || !response.error().ask_again) return response;
    milliseconds patience = request.patience;
    if (!met && !request.awaits_daemon) patience = milliseconds(0);
    const Deadline again = after(*response.error().ask_again);
    if (again >= begun + patience) return response;
    CREDSYNC_TRY(pause(again));
  }
}

Outcome<Exchange> DaemonClient::begin(const Request& request) const {
  const Deadline begun = after(milliseconds(0));
  const Deadline deadline = begun + request.timeout;
  CREDSYNC_LET(connection, connect(deadline));
  const WipedString text(request_text(request, begun, kJsonAnswers));
  CREDSYNC_TRY(send(connection, text.text(), deadline));
  return Exchange(std::move(connection), std::make_unique<ResponseReader>(request.max_body), deadline);
}

Outcome<EventStream> DaemonClient::open_events(const std::string& target) const {
  const Deadline deadline = after(kQuickAnswer);
  Request request;
  request.target = target;
  CREDSYNC_LET(connection, connect(deadline));
  const WipedString text(request_text(request, after(milliseconds(0)), ipc::kEventStreamType));
  CREDSYNC_TRY(send(connection, text.text(), deadline));
  auto reader = std::make_unique<ResponseReader>(kMaxObject);
  CREDSYNC_LET(answered, receive(connection, *reader, deadline, true));
  if (!answered) return unreachable(kNoAnswer);
  if (reader->status() != 200) {
    CREDSYNC_TRY(receive(connection, *reader, deadline, false));
    return failure_of(*reader, reader->take_body());
  }
  if (!reader->header("content-type").starts_with(ipc::kEventStreamType)) {
    return failed("the daemon answered something else than events");
  }
  return EventStream(std::move(connection), std::move(reader));
}

std::string account_target(std::string_view account, std::string_view ending) {
  return std::string(ipc::kAccountsPath).append("/").append(account).append(ending);
}

std::string percent_encode(std::string_view value) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:";
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (kPlain.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out.append("%").append(1, kHex[byte >> 4]).append(1, kHex[byte & 15]);
    }
  }
  return out;
}

}  // namespace credsync::cli
