// What the connections of one server share: the nested epoll set, buffers, counts, deadlines, and the end of
// each turn. A turn is one call from the loop; between turns nothing is half done. Owned by Server; loop
// only.
//
// Answers and events that the service gives between turns are only written down and sent in the next turn
// (wake()), so that nothing here ever runs inside a loop of the service over its waiting callers.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/loop.h"
#include "base/result.h"
#include "ipc/http/deadlines.h"
#include "ipc/http/limits.h"
#include "ipc/http/listener.h"
#include "ipc/http/request_reader.h"
#include "ipc/http/server.h"
#include "ipc/http/users.h"
#include "ipc/http/wiped_buffer.h"

namespace credsync::ipc::http {

class Connection;
class Door;

// One read. What it holds is parsed in one go, so it bounds a turn of one connection too.
inline constexpr std::size_t kReadSize = 16 * 1024;

// A descriptor in the nested epoll set.
class Source {
 public:
  virtual ~Source() = default;
  virtual void on_ready(std::uint32_t events) = 0;
};

class Hub final : private Timed {
 public:
  static Result<std::unique_ptr<Hub>> create(Loop& loop, const Clock& clock, Service& service, const Timing& timing);
  ~Hub() override;

  Result<void> add(ListeningSocket socket);
  void stop_listening();
  void set_limits(const Limits& limits);
  void end_waiting();  // both take effect in the next turn
  void stop(Duration at_most, UniqueFunction<void()> done);
  Counts counts() const;

  // For connections.
  Service& service() { return service_; }
  bool has_turn(const Use& use) const {
    return use.has_turn(turn_, users_.present() > 1 ? kShareAmongMany : kShareAlone);
  }
  void spend(Use& use, unsigned cost) const { use.spend(turn_, cost); }
  void gone(Use& use) { users_.forget_if_gone(use, now_, limits_.max_requests_per_second); }
  const Limits& limits() const { return limits_; }
  const Timing& timing() const { return timing_; }
  Users& users() { return users_; }
  Deadlines& deadlines() { return deadlines_; }
  BootTime now() const { return now_; }  // when this turn began
  bool stopping() const { return stopping_; }
  bool waitless() const { return waitless_; }  // nobody may begin to wait
  std::array<char, kReadSize>& read_buffer() { return read_buffer_; }
  // What the current connection has to say; empty between connections.
  WipedBuffer& out() { return out_; }
  std::unique_ptr<RequestReader> take_reader();
  void give_back(std::unique_ptr<RequestReader> reader);
  // Has the epoll set report `events` (level-triggered) of a descriptor; `known`: it is in the set already.
  bool watch(int descriptor, std::uint32_t events, Source& source, bool known);
  // Has something to send: deliver() is called at the end of this turn, or in the next one.
  void mark(Connection& connection);
  // Has requests left: resume() is called in the next turn, after others had theirs.
  void postpone(Connection& connection);
  // One long answer a turn, so that no cached token waits for more than one.
  bool take_long_answer() { return std::exchange(long_answer_free_, false); }
  // Destroys it at the end of the turn: a reply may be running inside it.
  void discard(std::unique_ptr<Pending> pending) { discarded_.push_back(std::move(pending)); }
  void close(Connection& connection);

  // For doors. False: who connects has had its share of this turn, so others come first.
  bool admit(Descriptor socket);

 private:
  Hub(Loop& loop, const Clock& clock, Service& service, const Timing& timing);
  Result<void> start();
  void on_poll();
  void on_due();
  void begin_turn();
  void end_turn();
  void wake();
  void run_postponed();
  void deliver_marked();
  void bury();
  bool make_room();
  void take(Descriptor socket, Caller caller);
  void tell_waiters();
  void retire_all();
  void finish_stopping();
  void on_deadline() override;  // of stop()

  Loop& loop_;
  const Clock& clock_;
  Service& service_;
  const Timing timing_;
  Limits limits_;
  Users users_;
  Deadlines deadlines_;
  Descriptor epoll_;
  Descriptor bell_;  // an eventfd that makes the next turn come
  std::unique_ptr<Loop::Watch> watch_;
  std::vector<std::unique_ptr<Door>> doors_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> buried_;  // until the turn ends: the epoll set may have named them
  std::vector<std::unique_ptr<Door>> closed_doors_;
  std::vector<std::unique_ptr<Pending>> discarded_;
  std::vector<std::unique_ptr<RequestReader>> readers_;
  std::vector<Connection*> marked_;
  std::deque<Connection*> postponed_;
  std::array<char, kReadSize> read_buffer_;
  WipedBuffer out_;
  BootTime now_{};
  std::uint64_t turn_ = 0;
  bool in_turn_ = false;
  bool rung_ = false;
  bool long_answer_free_ = true;
  bool waitless_ = false;
  bool waiters_to_tell_ = false;
  bool stopping_ = false;
  bool retired_ = false;  // every connection was told of the stop
  UniqueFunction<void()> stopped_;
};

}  // namespace credsync::ipc::http
