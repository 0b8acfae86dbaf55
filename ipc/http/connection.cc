#include "ipc/http/connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/secret.h"
#include "ipc/process.h"

namespace credsync::ipc::http {
namespace {

constexpr std::uint32_t kNothing = 0;
constexpr std::uint32_t kGone = EPOLLHUP | EPOLLERR;  // both ends closed, or broken; reported whether asked for or not

bool would_block(int error) {
  return error == EAGAIN || error == EWOULDBLOCK;
}

Problem late_request() {
  return Problem{ProblemKind::kBadRequest, "the request was not complete in time", {}, {}, {}};
}

Problem cut_request() {
  return Problem{ProblemKind::kBadRequest, "the connection ended before the request was complete", {}, {}, {}};
}

Problem handed_on() {
  return Problem{ProblemKind::kNotAllowed, "another user made this connection; connect yourself", {}, {}, {}};
}

}  // namespace

Connection::Connection(Hub& hub, Descriptor socket, Caller caller, Use& use, Admission admission)
    : hub_(hub), socket_(std::move(socket)), caller_(std::move(caller)), use_(use), admission_(admission) {
  hub_.users().comes(use_);
  ++(admission_ == Admission::kTaken ? use_.connections : use_.refused);
  last_active_ = hub_.now();
}

Connection::~Connection() {
  shut();
}

void Connection::shut() {
  if (closed()) return;
  pending_.reset();
  if (phase_ == Phase::kWaiting) --use_.waiting;
  if (phase_ == Phase::kStreaming) --use_.streams;
  --(admission_ == Admission::kTaken ? use_.connections : use_.refused);
  phase_ = Phase::kClosed;
  hub_.users().leaves(use_);
  hub_.gone(use_);
  clear_timer();
  put_off_.reset();
  if (reader_) hub_.give_back(std::move(reader_));
  input_.release();
  unsent_.release();
  if (caller_.process) caller_.process->socket_closed();
  socket_.reset();
}

void Connection::start() {
  if (hub_.has_turn(use_)) receive();
  arrange();
  if (!closed() && !in_set_) watch(kNothing);
}

void Connection::refuse(const Problem& problem) {
  refuse_bytes(problem);
  settle();
}

void Connection::on_ready(std::uint32_t events) {
  if (closed() || !hub_.has_turn(use_)) return;  // what is ready is reported again in the next turn
  hub_.spend(use_, 1);
  if (phase_ == Phase::kLingering) return throw_away_input();
  if ((events & EPOLLOUT) != 0) {
    if (!transmit(unsent_)) return;
    if (unsent_.empty() && over_limit_) set_timer(Timer::kPause, kPauseOverLimit);
    if (unsent_.empty() && phase_ == Phase::kReading && (put_off_ || !input_.empty())) hub_.postpone(*this);
    if (postponed) phase_ = Phase::kPostponed;
    arrange();
  } else if ((events & EPOLLIN) != 0 && may_read()) {
    receive();
  } else if ((events & kGone) != 0) {
    hub_.close(*this);
  } else {
    watch(unsent_.empty() ? kNothing : EPOLLOUT);  // more came while it waits: not now
  }
}

void Connection::receive() {
  auto& buffer = hub_.read_buffer();
  iovec into{buffer.data(), buffer.size()};
  // Room for the sender's credentials and nothing else: descriptors that come along are dropped by the kernel.
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred))> control;
  msghdr message{};
  message.msg_iov = &into;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got == 0) return end_of_input();
  if (got < 0) {
    if (!would_block(errno) && errno != EINTR) hub_.close(*this);
    return;
  }
  last_active_ = hub_.now();
  spoken_ = true;
  const std::string_view bytes(buffer.data(), static_cast<std::size_t>(got));
  if (!is_from_caller(message)) {
    refuse_bytes(handed_on());
    input_.release();
  } else if (input_.empty()) {
    input_.append(answer_all(bytes));
  } else {
    input_.append(bytes);
    answer_input();
  }
  wipe(buffer.data(), bytes.size());
  settle();
}

// The kernel vouches for who wrote these bytes (SO_PASSCRED, unix(7)). A connection that was handed on to another user
// is good for nothing; handed on to another process of the same user it shows neither unit nor executable any more. The
// process that connected may write under another id, as setuid programs do: its real one.
bool Connection::is_from_caller(const msghdr& message) {
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_CREDENTIALS) return false;
  ucred sender{};
  std::memcpy(&sender, CMSG_DATA(header), sizeof sender);
  if (sender.pid == caller_.pid) {
    return sender.uid == caller_.uid || (caller_.process && caller_.process->alive());
  }
  if (sender.uid != caller_.uid) return false;
  if (caller_.process) caller_.process->socket_closed();
  caller_.process = unknown_process("the request was sent by another process than the one that connected");
  return true;
}

void Connection::end_of_input() {
  if (!reader_ && input_.empty()) return hub_.close(*this);
  refuse_bytes(shut_for_reading_ ? stopping_problem() : cut_request());
  unread_input_ = false;
  settle();
}

// Returns what was not used.
std::string_view Connection::answer_all(std::string_view bytes) {
  while (phase_ == Phase::kReading && !bytes.empty()) {
    if (!hub_.has_turn(use_) || hub_.out().size() >= kAnswersPerWrite) {
      phase_ = Phase::kPostponed;
      hub_.postpone(*this);
      break;
    }
    if (!reader_) reader_ = hub_.take_reader();
    bytes.remove_prefix(reader_->feed(bytes));
    if (reader_->state() == RequestReader::State::kPartial) {
      if (reader_->take_expectation()) write_continue(hub_.out());
      break;
    }
    if (reader_->state() == RequestReader::State::kRefused) {
      refuse_bytes(reader_->refusal());
      return {};
    }
    take(reader_->request());
    if (reader_) hub_.give_back(std::move(reader_));
    if (closing_) {
      unread_input_ = !bytes.empty();
      return {};
    }
  }
  return bytes;
}

void Connection::answer_input() {
  const std::size_t rest = answer_all(input_.view()).size();
  input_.consume(input_.size() - rest);
  if (input_.empty()) input_.release();
}

// What came is no request: says so, and no more is read from this client.
void Connection::refuse_bytes(const Problem& problem) {
  framing_ = Framing{true, false, false};
  write_problem(hub_.out(), framing_, problem);
  closing_ = true;
  unread_input_ = true;
  if (reader_) hub_.give_back(std::move(reader_));
}

void Connection::throw_away_input() {
  auto& buffer = hub_.read_buffer();
  const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got > 0) {
    wipe(buffer.data(), static_cast<std::size_t>(got));
    lingered_ += static_cast<std::size_t>(got);
  }
  const bool goes_on = got > 0 || (got < 0 && (would_block(errno) || errno == EINTR));
  if (!goes_on || lingered_ > kMostLingering) hub_.close(*this);
}

void Connection::on_deadline() {
  const Timer timer = std::exchange(timer_, Timer::kNone);
  if (timer == Timer::kPause) return hub_.postpone(*this);
  if (timer == Timer::kFirstRequest) return leave();
  if (timer != Timer::kRequest) return hub_.close(*this);
  refuse_bytes(late_request());
  input_.release();
  settle();
}

void Connection::deliver() {
  if (closed() || phase_ == Phase::kLingering) return;
  if (overflowed_) {
    hub_.service().refused(caller_, "events lay unread");
    return hub_.close(*this);
  }
  if ((watched_ & EPOLLOUT) == 0 && !transmit(unsent_)) return;
  if (unsent_.empty() && phase_ == Phase::kReading && !input_.empty() && !closing_) {
    phase_ = Phase::kPostponed;
    hub_.postpone(*this);
  }
  arrange();
}

void Connection::resume() {
  if (closed() || phase_ != Phase::kPostponed) return;
  phase_ = Phase::kReading;
  over_limit_ = false;
  if (!unsent_.empty()) return;  // goes on when that is sent
  if (put_off_) {
    const auto call = std::move(put_off_);
    perform(std::move(*call));
  }
  if (phase_ == Phase::kReading && !closing_) answer_input();
  settle();
}

void Connection::end_waiting_call() {
  if (phase_ != Phase::kWaiting) return;
  end_waiting();
  pending_.reset();
  framing_.keep_alive = false;
  write_problem(hub_.out(), framing_, stopping_problem());
  closing_ = true;
  settle();
}

// Between two requests. What the client has sent by now is in the socket and is answered; from here on the kernel refuses
// to take more from it, so that no request is lost in between.
void Connection::leave() {
  receive();  // without that, the rest of a long request could still come
  if (closed() || !idle() || closing_) return;
  if (!std::exchange(shut_for_reading_, true)) ::shutdown(socket_.get(), SHUT_RD);
  receive();
}

// The daemon stops. Who connected only now is about to ask; see kFirstRequestPatience.
void Connection::end_between_requests() {
  const BootTime awaited = last_active_ + hub_.timing().first_request;
  if (spoken_ || awaited <= hub_.now()) return leave();
  if (timer_ != Timer::kFirstRequest) set_timer(Timer::kFirstRequest, awaited - hub_.now());
  watch(EPOLLIN);
}

void Connection::last_word() {
  const bool owes = phase_ == Phase::kReading || phase_ == Phase::kPostponed;
  if (!owes || idle() || closing_ || !unsent_.empty()) return;
  WipedBuffer out;
  write_problem(out, Framing{true, false, false}, stopping_problem());
  [[maybe_unused]] const ssize_t put =
      ::send(socket_.get(), out.view().data(), out.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void Connection::retire() {
  switch (phase_) {
    case Phase::kReading:
      if (idle()) end_between_requests();
      return;
    case Phase::kPostponed: framing_.keep_alive = false; return;
    case Phase::kWaiting: return end_waiting_call();
    case Phase::kStreaming:
      pending_.reset();
      unsent_.append(": the daemon is stopping\n\n");
      closing_ = true;
      return deliver();
    case Phase::kLingering: return hub_.close(*this);
    case Phase::kClosed: return;
  }
}

// False when that ended the connection.
bool Connection::transmit(WipedBuffer& from) {
  while (!from.empty()) {
    const std::string_view bytes = from.view();
    const ssize_t put = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && would_block(errno)) return true;
    if (put < 0) {
      hub_.close(*this);
      return false;
    }
    const auto count = static_cast<std::size_t>(put);
    from.consume(count);
    snapshot_left_ -= std::min(snapshot_left_, count);
  }
  return true;
}

// The end of this connection's part in a turn: sends what it said, keeps what the client does not take.
void Connection::settle() {
  WipedBuffer& out = hub_.out();
  if (!closed() && !out.empty() && transmit(out)) {
    unsent_.append(out.view());
    if (phase_ == Phase::kStreaming) snapshot_left_ = unsent_.size();
  }
  out.clear();
  arrange();
}

// Sees to it that exactly what comes next is waited for.
void Connection::arrange() {
  if (closed() || phase_ == Phase::kLingering) return;
  if (!unsent_.empty()) {
    if (phase_ != Phase::kStreaming && timer_ != Timer::kAnswer) set_timer(Timer::kAnswer, hub_.timing().answer);
    return watch(EPOLLOUT);
  }
  if (unsent_.capacity() != 0) unsent_.release();
  if (closing_) return finish();
  if (hub_.stopping() && idle()) return end_between_requests();
  const bool partly_there = phase_ == Phase::kReading && (reader_ || !input_.empty());
  if (!partly_there && timer_ != Timer::kPause) clear_timer();
  if (partly_there && timer_ != Timer::kRequest) set_timer(Timer::kRequest, hub_.timing().request);
  if (phase_ == Phase::kReading) {
    watch(EPOLLIN);
  } else if ((watched_ & EPOLLOUT) != 0) {
    watch(kNothing);
  }
}

void Connection::finish() {
  if (!unread_input_) return hub_.close(*this);
  // Closing with input unread would break the client's pipe before it reads why.
  ::shutdown(socket_.get(), SHUT_WR);
  phase_ = Phase::kLingering;
  set_timer(Timer::kLinger, hub_.timing().linger);
  watch(EPOLLIN);
}

void Connection::watch(std::uint32_t events) {
  if (in_set_ && watched_ == events) return;
  const bool known = std::exchange(in_set_, true);
  watched_ = events;
  if (!hub_.watch(socket_.get(), events, *this, known)) hub_.close(*this);
}

void Connection::set_timer(Timer timer, Duration from_now) {
  timer_ = timer;
  hub_.deadlines().set(*this, hub_.now() + from_now);
}

void Connection::clear_timer() {
  if (timer_ == Timer::kNone) return;
  timer_ = Timer::kNone;
  hub_.deadlines().clear(*this);
}

}  // namespace credsync::ipc::http
