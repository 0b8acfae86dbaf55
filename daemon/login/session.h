// One sign-in session's own state; see sessions.h for its life. Not for others than Sessions.
#pragma once

#include <map>

#include "daemon/login/session_words.h"
#include "daemon/login/sessions.h"

namespace credsync::login {

struct Sessions::Session {
  Session(Agenda& agenda, std::function<void()> on_end) : end(agenda, std::move(on_end)) {}

  ipc::LoginView view;  // what does not change with time
  ipc::Caller caller;
  std::shared_ptr<const config::Account> config;
  Way way = Way::kBrowser;
  bool replace_identity = false;
  ipc::Reply<ipc::LoginView> begun;  // the caller of begin() still waits for it

  // Of a browser's session.
  oauth::AuthorizeSecrets secrets;
  std::shared_ptr<const provider::Profile> profile;  // completed by discovery
  oauth::CallbackExpectation expected;
  std::unique_ptr<CallbackDoor> door;
  bool answered_at_door = false;

  std::optional<BootTime> url_until;  // of a pushed request

  std::optional<DevicePolls::Number> poll;
  std::optional<Completion::Number> completion;
  BootTime until;  // the view's expires_at on the clock that nobody can set
  Agenda::Entry end;
  std::map<std::uint64_t, Waiter*> waiters;

  bool over() const {
    return view.phase == ipc::LoginPhase::kDone || view.phase == ipc::LoginPhase::kFailed ||
           view.phase == ipc::LoginPhase::kCancelled;
  }
};

// A caller that waits for the end of a session.
class Sessions::Waiter final : public ipc::Pending {
 public:
  Waiter(Sessions& sessions, Session& session, std::uint64_t number, Duration at_most, ipc::Reply<ipc::LoginView> reply)
      : sessions_(sessions),
        id_(session.view.id),
        number_(number),
        reply_(std::move(reply)),
        timer_(sessions.parts_.agenda, [this] { time_is_up(); }) {
    session.waiters.emplace(number_, this);
    timer_.set(sessions.parts_.clock.boot() + at_most);
  }
  ~Waiter() override { leave(); }

  // The reply may destroy this.
  void answer(ipc::Answer<ipc::LoginView> with);

 private:
  void leave();
  void time_is_up();

  Sessions& sessions_;
  const std::string id_;
  const std::uint64_t number_;
  ipc::Reply<ipc::LoginView> reply_;
  Agenda::Entry timer_;
};

}  // namespace credsync::login
