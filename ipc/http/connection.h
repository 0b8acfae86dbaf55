// One client's connection: bytes in, requests one after the other (RFC 9112, 9.3.2: answers in the order of
// requests), bytes out. At most one request of a connection is under way; what is pipelined behind it stays
// unread.
//
// Reading   a request is expected, or partly there; a deadline runs from its first byte to its last
// Postponed a request is understood, or bytes lie ready, but others have their turn first, or this user asked too much
// Waiting   the service owes the answer; a client that closes is noticed by EPOLLHUP and its call ended. One
// that only
//           shut down its writing side (RFC 9112, 9.6) still reads, and gets its answer
// Streaming server-sent events until the client leaves, falls too far behind, or the daemon stops
// Lingering all is said; what the client still sends is thrown away for a moment, so that it can read the
// refusal
//
// Idle connections stay as long as their client likes: they cost its own count, a descriptor and no wake-ups,
// and the longest idle gives way when the process runs short. Loop only. Owned by Hub, which closes it after
// any I/O error.
#pragma once

#include <sys/socket.h>

#include <memory>
#include <optional>
#include <string_view>

#include "base/file.h"
#include "ipc/http/call.h"
#include "ipc/http/deadlines.h"
#include "ipc/http/hub.h"
#include "ipc/http/request.h"
#include "ipc/http/response.h"

namespace credsync::ipc::http {

// A connection that asked too much is told so and then not read for a moment, so that refusing costs less than answering.
inline constexpr Duration kPauseOverLimit = 250ms;
// Answers are sent when so much is written; pipelining goes on when the client has taken them.
inline constexpr std::size_t kAnswersPerWrite = 64 * 1024;
// Events that a client has not taken, beyond the present states it began with.
inline constexpr std::size_t kMostUnreadEvents = 64 * 1024;
// What a refused client may still send while it is listened to.
inline constexpr std::size_t kMostLingering = 256 * 1024;

class Connection final : public Source, public Timed {
 public:
  enum class Admission { kTaken, kRefused };

  Connection(Hub& hub, Descriptor socket, Caller caller, Use& use, Admission admission);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Reads at once what may be there already, and joins the epoll set if that did not end it.
  void start();
  // The whole conversation: this problem. For a connection over a limit.
  void refuse(const Problem& problem);
  void on_ready(std::uint32_t events) override;
  void on_deadline() override;
  // Sends what the service answered between turns.
  void deliver();
  // Goes on with what was postponed.
  void resume();
  // Tells it `unavailable` if its call waits.
  void end_waiting_call();
  // The daemon stops: see Server::stop.
  void retire();
  // Ends it if it is idle, and not before a request that has come meanwhile is answered.
  void leave();
  // Nobody waits for it any longer: says why, if there is something unanswered.
  void last_word();
  // Ends it: the socket is closed, the service's part is over, the counts are given back. Called by Hub only.
  void shut();

  bool closed() const { return phase_ == Phase::kClosed; }
  bool idle() const { return phase_ == Phase::kReading && !reader_ && input_.empty() && unsent_.empty(); }
  BootTime last_active() const { return last_active_; }

  // Hub's own notes.
  std::size_t index = 0;
  bool marked = false;
  bool postponed = false;

 private:
  enum class Phase { kReading, kPostponed, kWaiting, kStreaming, kLingering, kClosed };
  enum class Timer { kNone, kRequest, kAnswer, kLinger, kPause, kFirstRequest };

  // Bytes in.
  bool may_read() const { return phase_ == Phase::kReading && unsent_.empty() && !closing_; }
  void receive();
  bool is_from_caller(const msghdr& message);
  void end_of_input();
  std::string_view answer_all(std::string_view bytes);
  void answer_input();
  void refuse_bytes(const Problem& problem);
  void throw_away_input();

  // Requests.
  void take(const Request& request);
  void perform(Call call);
  void refuse_for_now();
  void put_off(Call call);
  void answer_now(const Call& call);
  void answer_list(Call call);
  void answer_status(std::string_view account);
  void answer_cancel(std::string_view login);
  void answer_metrics();
  void wait_for(Call& call);
  void open_stream(const Call& call);
  void answer(const Problem& problem);
  bool may_wait() const;
  void refuse_to_wait();
  template <typename T, typename Start, typename Write>
  void ask(bool changes, Start start, Write write);
  void replied();
  void on_event(const Event& event);
  void end_waiting();
  void end_between_requests();

  // Bytes out.
  WipedBuffer& reply_buffer() { return asking_ ? hub_.out() : unsent_; }
  bool transmit(WipedBuffer& from);
  void settle();
  void arrange();
  void finish();
  void watch(std::uint32_t events);
  void set_timer(Timer timer, Duration from_now);
  void clear_timer();

  Hub& hub_;
  Descriptor socket_;
  Caller caller_;  // only ever becomes less: see is_from_caller()
  Use& use_;
  const Admission admission_;
  Phase phase_ = Phase::kReading;
  Timer timer_ = Timer::kNone;
  std::uint32_t watched_ = 0;
  bool in_set_ = false;
  bool asking_ = false;    // a call of the service is on the stack
  bool answered_ = false;  // and it has answered already
  bool closing_ = false;   // after what is unsent
  bool spoken_ = false;    // something came from the client
  bool shut_for_reading_ = false;
  bool unread_input_ = false;  // the client may still be sending: linger before closing
  bool overflowed_ = false;
  bool over_limit_ = false;  // Postponed for a pause, not for the next turn
  Framing framing_;          // of the request under way
  BootTime last_active_{};
  std::unique_ptr<RequestReader> reader_;  // while a request is partly there
  std::unique_ptr<Call> put_off_;
  std::unique_ptr<Pending> pending_;  // the call that waits, or the subscription
  WipedBuffer input_;                 // read, not yet parsed
  WipedBuffer unsent_;
  std::size_t snapshot_left_ = 0;  // of unsent_: the present states at the head of a stream
  std::size_t lingered_ = 0;
};

}  // namespace credsync::ipc::http
