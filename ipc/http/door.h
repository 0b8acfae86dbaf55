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
// Those who connected before the daemon stops are let in, this many of them.
inline constexpr unsigned kAcceptsAtStop = 64;
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
  // Takes who has connected already, whoever it is.
  void take_waiting();
  void on_deadline() override;  // the end of a pause

 private:
  void take(unsigned most, bool fair);
  void turn_away();
  void pause();

  Hub& hub_;
  std::optional<ListeningSocket> socket_;
  Descriptor reserve_;  // given up to accept one more, and tell it
};

}  // namespace credsync::ipc::http
