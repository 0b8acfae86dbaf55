// Sign-ins that need a person: begun here, finished in a browser or on another device. Each belongs to the user who began
// it and lives 10 minutes (a device code as long as the provider says); the account's old grant is in use until the new
// one is durable. In memory only: a stop of the daemon ends them, and tells those who wait.
//
//   waiting -> finishing -> done | failed
//   waiting -> failed | cancelled | (gone: expired, replaced, the account changed, the daemon stops)
//
// Loop only.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/agenda.h"
#include "base/random.h"
#include "daemon/login/callback_door.h"
#include "daemon/login/completion.h"
#include "daemon/login/device_polls.h"
#include "daemon/oauth/authorization_server.h"
#include "daemon/oauth/callback.h"
#include "ipc/service.h"

namespace credsync::login {

inline constexpr Duration kSessionLife = 10min;        // a person who reads a consent page needs a minute
inline constexpr std::size_t kMostSessions = 256;      // with what they left behind, too
inline constexpr std::size_t kMostSessionsOfOne = 16;  // with the questions that sessions of this user left behind
inline constexpr std::size_t kMostWaiters = 8;         // at one session
inline constexpr std::size_t kMostRemembered = 1024;   // sessions that are gone, so that their users can be told why
inline constexpr Duration kRemembered = 10min;
// Threads of their own for the questions around a sign-in, for refreshes need theirs: more than one user whose provider hangs
// can hold, so that others still sign in.
inline constexpr std::size_t kWorkers = kMostSessionsOfOne + 8;

enum class Way { kBrowser, kDevice };
// How this account is signed in to with a person's help; nothing: not that way.
std::optional<Way> way_of(const config::Account& account, ipc::LoginMethod method);

class Sessions {
 public:
  struct Parts {
    account::Accounts& accounts;
    oauth::AuthorizationServer& server;
    Completion& completion;
    DevicePolls& polls;
    CallbackDoors& doors;
    Agenda& agenda;
    const Clock& clock;
    Random& random;
  };
  // Decided anew whenever something comes for a session.
  using MayLogin = std::function<bool(const ipc::Caller&, const account::Account&)>;
  using Ended = std::function<void(const ipc::Caller&, const std::string& account, std::string_view how,
                                   const std::string& words)>;

  explicit Sessions(const Parts& parts);
  ~Sessions();
  void connect(MayLogin may_login, Ended ended);

  // The reply comes when the browser can be sent or the code be shown. Dropping the Pending before gives the session up.
  std::unique_ptr<ipc::Pending> begin(const ipc::Caller& caller, account::Account& account, Way way,
                                      const ipc::LoginRequest& request, ipc::Reply<ipc::LoginView> reply);

  // The account of a session, also of one that is gone; nothing for ids that are not this user's.
  std::optional<std::string> account_of(uid_t user, std::string_view id) const;
  // For these the id must be known by account_of().
  std::unique_ptr<ipc::Pending> wait(std::string_view id, Duration at_most, ipc::Reply<ipc::LoginView> reply);
  ipc::Answer<ipc::LoginView> answer(std::string_view id, const Secret& redirect_url);
  ipc::Answer<ipc::LoginView> cancel(std::string_view id);

  // All that wait end. What is being stored goes on.
  void stop();
  std::size_t size() const { return sessions_.size(); }

 private:
  struct Session;
  class Begun;
  class Waiter;
  using Map = std::map<std::string, std::unique_ptr<Session>, std::less<>>;
  struct Gone {
    std::string id, account, words;
    uid_t user = 0;
    BootTime until;
  };

  struct Crowd;
  Crowd crowd_around(const ipc::Caller& caller, const account::Account& account) const;
  std::optional<ipc::Problem> make_room(const ipc::Caller& caller, const account::Account& account);
  std::optional<ipc::Problem> open_door(Session& session, const ipc::LoginRequest& request);
  void ask_authorize(Session& session);
  void ask_device(Session& session);
  void announce(Session& session);
  void could_not_begin(const std::string& id, const oauth::Failure& failure);
  CallbackDoor::Verdict arrived(const std::string& id, std::string_view parameters);
  CallbackDoor::Verdict judge(Session& session, oauth::CallbackOutcome outcome);
  bool still_allowed(Session& session);
  void complete(Session& session, CompletionOrder order);
  void completed(const std::string& id, CompletionOutcome outcome);
  void fail(Session& session, const NotCompleted& why);
  void ended(Session& session, std::string_view how, const std::string& words);
  void tell(Session& session);
  void remove(const std::string& id, const std::string& words);
  void expire(const std::string& id);
  ipc::Problem why_gone(std::string_view id) const;
  void close_idle_door_at(std::uint16_t port);
  void account_changed(account::Account& account, account::What what);
  ipc::LoginView view_of(const Session& session) const;
  Session* find(std::string_view id) const;

  const Parts parts_;
  MayLogin may_login_;
  Ended ended_;
  Map sessions_;
  std::deque<Gone> gone_;
  // By session: whose question is with a provider. One at a time each; it stays until its answer comes or its deadline has
  // passed, also where the session has gone, for until then it holds a thread or a place in a queue.
  std::map<std::string, uid_t, std::less<>> asked_;
  bool stopped_ = false;
};

}  // namespace credsync::login
