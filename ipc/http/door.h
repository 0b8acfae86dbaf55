// A listening socket in the epoll set: takes connections, some a turn, and stays calm when descriptors run
// out. Loop only.
#pragma once

#include "ipc/http/deadlines.h"
#include "ipc/http/hub.h"
#include "ipc/http/listener.h"

namespace credsync::ipc::http {

// Taken in one turn, before the connections that are there have theirs: a crowd of many users at the door makes them wait
// so long. Of one user it is its share (users.h).
inline constexpr unsigned kAcceptsPerTurn = 16;
// Those who connected before the daemon stops are all let in: more than the backlog holds.
inline constexpr unsigned kAcceptsAtEnd = 8192;
// Without descriptors there is nothing to do but wait for others to end.
inline constexpr Duration kAcceptPause = 100ms;

class Door final : public Source, public Timed {
 public:
  Door(Hub& hub, ListeningSocket socket);
  ~Door() override;

  int get() const { return socket_->get(); }
  // Listens no more.
  void close();
  void on_ready(std::uint32_t events) override;
  // The end: takes everybody who has connected to a socket of our own, for nobody else would answer them, and leaves those
  // at an adopted one to the next process.
  void take_last();
  void on_deadline() override;  // the end of a pause

 private:
  enum class Until { kShare, kEmpty };
  void take(Until until);
  void turn_away();
  void pause();

  Hub& hub_;
  std::optional<ListeningSocket> socket_;
  Descriptor reserve_;  // given up to accept one more, and tell it
};

}  // namespace credsync::ipc::http
