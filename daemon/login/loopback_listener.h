// The loopback listener of RFC 8252: open only while a session waits, for one session, for processes of one user. It takes
// one answer; until then whatever else comes, wrong state, wrong Host, wrong path, garbage, floods, changes nothing.
//
// GET callback?…  -> the session judges it; taken: 303 to the outcome's clean path, so that no code stays in the history
//                    not taken: a page that says so; the wait goes on
// GET callback    -> (implicit) the page that hands the fragment over by POST to the same path
// GET /outcome    -> waits until the session knows how it went, then the page
//
// Loop only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "daemon/login/callback_door.h"
#include "daemon/login/loopback_connection.h"
#include "daemon/login/loopback_socket.h"

namespace credsync::login {

// A browser uses one or two, and a few that it opens ahead.
inline constexpr std::size_t kMostConnections = 16;
// Of other users: answered with a refusal, beside the user's own, so that these cannot keep him out.
inline constexpr std::size_t kMostStrangers = 8;
// Of the user: so many at once, and one in so long for ever. A page that reloads itself without end must neither keep the
// daemon busy nor use up what the answer needs when it comes.
inline constexpr unsigned kMostVisitsAtOnce = 256;
inline constexpr Duration kVisitEvery = 50ms;

class LoopbackListeners final : public CallbackDoors {
 public:
  using PeerUser = std::function<std::optional<uid_t>(int connection)>;
  // `peer_user`: see peer_user.h.
  LoopbackListeners(Loop& loop, Agenda& agenda, const Clock& clock, PeerUser peer_user);
  Result<std::unique_ptr<CallbackDoor>> open(CallbackDoor::Order order) override;

 private:
  Loop& loop_;
  Agenda& agenda_;
  const Clock& clock_;
  const PeerUser peer_user_;
};

class LoopbackListener final : public CallbackDoor, private LoopbackConnection::Owner {
 public:
  LoopbackListener(Loop& loop, Agenda& agenda, const Clock& clock, LoopbackListeners::PeerUser peer_user, Order order,
                   LoopbackSockets sockets);
  ~LoopbackListener() override;

  Result<void> start();
  std::uint16_t port() const override { return sockets_.port; }
  void show(const PageOutcome& outcome, std::function<void()> closed) override;
  std::size_t connections() const { return connections_.size(); }

 private:
  void accept_all(int listening);
  void pause();
  void admit(Descriptor socket);
  bool may_visit();
  void asked(LoopbackConnection& connection, const ipc::http::Request& request) override;
  void ended(LoopbackConnection& connection, bool answered) override;
  std::optional<LoopbackReply> reply_to(LoopbackConnection& connection, const ipc::http::Request& request);
  LoopbackReply callback(const ipc::http::Request& request, std::string_view query);
  LoopbackReply take(std::string_view parameters, bool by_script);
  bool is_our_host(std::string_view host) const;
  bool is_our_page(std::string_view origin) const;
  void clean_up();

  Loop& loop_;
  Agenda& agenda_;
  const Clock& clock_;
  const LoopbackListeners::PeerUser peer_user_;
  const Order order_;
  LoopbackSockets sockets_;
  std::vector<std::unique_ptr<Loop::Watch>> watches_;
  std::vector<std::unique_ptr<LoopbackConnection>> connections_;
  std::vector<std::unique_ptr<LoopbackConnection>> buried_;  // until the agenda's next turn: one may be what is running
  std::vector<LoopbackConnection*> held_;                    // wait for the outcome
  std::vector<LoopbackConnection*> told_;                    // are being told it
  BootTime visits_until_{};                                  // up to when the visits there were use up their share
  bool taken_ = false;
  std::optional<PageOutcome> outcome_;
  std::function<void()> closed_;
  Agenda::Entry cleaning_;
  Agenda::Entry resuming_;
  Agenda::Entry end_;
};

}  // namespace credsync::login
