// How a session begins: room for it, a door for the browser, and what the provider says.
#include <algorithm>
#include <array>
#include <utility>

#include "base/encoding.h"
#include "base/log.h"
#include "daemon/login/session.h"
#include "daemon/login/session_words.h"
#include "ipc/names.h"

namespace credsync::login {

using account::Account;
using ipc::LoginView;
using ipc::Problem;
using ipc::ProblemKind;
using provider::Grant;

std::optional<Way> way_of(const config::Account& account, ipc::LoginMethod method) {
  const bool browser = account.grant == Grant::kAuthorizationCode || account.grant == Grant::kImplicit;
  // An issuer's metadata may name the endpoint; that there is none is known when it is asked.
  const bool may_be_there = !account.profile->endpoints.device.url.empty() || !account.profile->issuer.empty();
  const bool device =
      account.grant == Grant::kDeviceCode || (account.grant == Grant::kAuthorizationCode && may_be_there);
  switch (method) {
    case ipc::LoginMethod::kBrowser: return browser ? std::optional(Way::kBrowser) : std::nullopt;
    case ipc::LoginMethod::kDevice: return device ? std::optional(Way::kDevice) : std::nullopt;
    case ipc::LoginMethod::kAuto:
      if (browser) return Way::kBrowser;
      return account.grant == Grant::kDeviceCode ? std::optional(Way::kDevice) : std::nullopt;
    default: return std::nullopt;
  }
}

namespace {

constexpr const char* kTooMany =
    "too many sign-ins are under way, or were given up before their provider has answered; finish or cancel one, or wait";

}  // namespace

// The caller of begin(), until it is answered.
class Sessions::Begun final : public ipc::Pending {
 public:
  Begun(Sessions& sessions, std::string id) : sessions_(sessions), id_(std::move(id)) {}
  ~Begun() override {
    Session* session = sessions_.find(id_);
    if (session == nullptr || !session->begun) return;  // it was answered
    session->begun = {};
    sessions_.remove(id_, "who began it has left");
  }

 private:
  Sessions& sessions_;
  const std::string id_;
};

// What there is beside a new session of this caller for this account.
struct Sessions::Crowd {
  std::vector<std::string> replaced;  // by the new one
  std::vector<std::string> over;      // sessions of the caller that give way
  std::size_t of_this_user = 0;       // sessions, and questions that have lost theirs or will now
  std::size_t in_all = 0;
  bool taken = false;  // another user is signing in to the account
};

Sessions::Crowd Sessions::crowd_around(const ipc::Caller& caller, const Account& account) const {
  Crowd crowd;
  for (const auto& [id, session] : sessions_) {
    const bool own = session->caller.uid == caller.uid;
    const bool same_account = session->config->name == account.name();
    if (same_account && !own && !session->over()) crowd.taken = true;
    if (same_account && own) {
      crowd.replaced.push_back(id);
      continue;
    }
    ++crowd.in_all;
    if (!own) continue;
    ++crowd.of_this_user;
    if (session->over() && !asked_.contains(id)) crowd.over.push_back(id);
  }
  for (const auto& [id, user] : asked_) {
    const Session* session = find(id);
    const bool counted = session != nullptr && (user != caller.uid || session->config->name != account.name());
    if (counted) continue;
    ++crowd.in_all;
    if (user == caller.uid) ++crowd.of_this_user;
  }
  return crowd;
}

// One session an account, a bounded number a user and in all. A second one by the same user takes the first one's place;
// sessions that are over give way. Whoever gives up a session before its provider has answered has room again when that has.
std::optional<Problem> Sessions::make_room(const ipc::Caller& caller, const Account& account) {
  if (stopped_) return Problem{ProblemKind::kUnavailable, "the daemon is stopping", "", 5s, {}};
  Crowd crowd = crowd_around(caller, account);
  if (crowd.taken)
    return Problem{ProblemKind::kLoginInProgress, "another user is signing in to this account", "", 5s, {}};
  std::vector<std::string> given_up;
  while (crowd.of_this_user >= kMostSessionsOfOne && !crowd.over.empty()) {
    given_up.push_back(std::move(crowd.over.back()));
    crowd.over.pop_back();
    --crowd.of_this_user;
    --crowd.in_all;
  }
  if (crowd.of_this_user >= kMostSessionsOfOne || crowd.in_all >= kMostSessions) {
    return Problem{ProblemKind::kBusy, kTooMany, "", 30s, {}};
  }
  for (const std::string& id : crowd.replaced)
    remove(id, "a newer sign-in to this account was begun");
  for (const std::string& id : given_up)
    remove(id, "it has ended");
  return std::nullopt;
}

std::unique_ptr<ipc::Pending> Sessions::begin(const ipc::Caller& caller, Account& account, Way way,
                                              const ipc::LoginRequest& request, ipc::Reply<LoginView> reply) {
  if (auto problem = make_room(caller, account)) return reply(std::move(*problem)), nullptr;
  std::array<unsigned char, 16> id_bytes{};
  parts_.random.fill(id_bytes);
  const std::string id = encode_hex({reinterpret_cast<const char*>(id_bytes.data()), id_bytes.size()});
  auto made = std::make_unique<Session>(parts_.agenda, [this, id] { expire(id); });
  Session& session = *made;
  session.config = account.shared_config();
  session.view = first_view(*session.config);
  session.view.id = id;
  session.view.method = way == Way::kBrowser ? ipc::kLoginBrowser : ipc::kLoginDevice;
  session.caller = caller;
  session.way = way;
  session.replace_identity = request.replace_identity;
  session.until = parts_.clock.boot() + kSessionLife;
  session.view.expires_at = saturating_add(parts_.clock.wall(), kSessionLife);
  session.end.set(session.until);
  if (way == Way::kBrowser) {
    if (auto problem = open_door(session, request)) return reply(std::move(*problem)), nullptr;
  }
  session.begun = std::move(reply);
  sessions_.emplace(id, std::move(made));
  auto begun = std::make_unique<Begun>(*this, id);
  way == Way::kBrowser ? ask_authorize(session) : ask_device(session);
  return begun;
}

std::optional<Problem> Sessions::open_door(Session& session, const ipc::LoginRequest& request) {
  const config::Account& account = *session.config;
  auto planned = plan_redirect(account);
  if (!planned) return Problem{ProblemKind::kBadRequest, planned.error().message(), "", std::nullopt, {}};
  session.view.redirect_uri = planned->uri;
  if (!planned->loopback) return std::nullopt;
  if (planned->loopback->port) close_idle_door_at(*planned->loopback->port);
  CallbackDoor::Order order;
  order.loopback = *planned->loopback;
  order.user = request.browser_user.value_or(session.caller.uid);
  order.implicit = account.grant == Grant::kImplicit;
  order.subject = {provider_title(account), account.name};
  order.on_callback = [this, id = session.view.id](std::string_view parameters) { return arrived(id, parameters); };
  auto door = parts_.doors.open(std::move(order));
  if (!door) {
    const bool taken = door.error().code() == ErrorCode::kTaken;
    return Problem{ProblemKind::kUnavailable,
                   taken ? door.error().message() + " by another program, which would be given the provider's answer"
                         : door.error().message(),
                   login_command_of(account.name),
                   5s,
                   {}};
  }
  session.door = std::move(*door);
  session.view.listening = true;
  session.view.redirect_uri = loopback_uri(*planned->loopback, session.door->port());
  return std::nullopt;
}

// The page of a session that is over is not worth a sign-in that needs its port.
void Sessions::close_idle_door_at(std::uint16_t port) {
  for (const auto& [id, session] : sessions_) {
    if (session->over() && session->door && session->door->port() == port) session->door.reset();
  }
}

void Sessions::ask_authorize(Session& session) {
  const config::Account& account = *session.config;
  const bool implicit = account.grant == Grant::kImplicit;
  session.secrets = oauth::make_authorize_secrets(*account.profile, account.scopes, implicit, parts_.random);
  oauth::AuthorizeCall call;
  call.account = session.config;
  call.implicit = implicit;
  call.redirect_uri = session.view.redirect_uri;
  call.secrets = {session.secrets.state.clone(), session.secrets.nonce.clone(), session.secrets.verifier.clone()};
  asked_.emplace(session.view.id, session.caller.uid);
  parts_.server.authorize(std::move(call),
                          [this, id = session.view.id](std::variant<oauth::AuthorizeAnswer, oauth::Failure> answer) {
                            asked_.erase(id);
                            Session* begun = find(id);
                            if (begun == nullptr) return;
                            if (const auto* failure = std::get_if<oauth::Failure>(&answer))
                              return could_not_begin(id, *failure);
                            auto& ready = std::get<oauth::AuthorizeAnswer>(answer);
                            begun->profile = ready.profile ? std::move(ready.profile) : begun->config->profile;
                            oauth::CallbackExpectation& expected = begun->expected;
                            expected.profile = begun->profile.get();
                            expected.implicit = begun->config->grant == Grant::kImplicit;
                            expected.state = begun->secrets.state.clone();
                            expected.issuer = std::move(ready.issuer);
                            expected.iss_required = ready.iss_required;
                            expected.redirect_uri = begun->view.redirect_uri;
                            expected.scopes = begun->config->scopes;
                            begun->view.url = ready.url.expose();
                            if (ready.expires_in) begun->url_until = parts_.clock.boot() + *ready.expires_in;
                            announce(*begun);
                          });
}

void Sessions::ask_device(Session& session) {
  asked_.emplace(session.view.id, session.caller.uid);
  parts_.server.start_device(
      session.config, [this, id = session.view.id](std::variant<oauth::DeviceAnswer, oauth::Failure> answer) {
        Session* begun = find(id);
        const auto* failure = std::get_if<oauth::Failure>(&answer);
        if (begun == nullptr || failure != nullptr) asked_.erase(id);  // else the polls go on asking
        if (begun == nullptr) return;
        if (failure != nullptr) return could_not_begin(id, *failure);
        auto& device = std::get<oauth::DeviceAnswer>(answer);
        begun->view.user_code = device.user_code;
        begun->view.verification_uri = device.verification_uri;
        begun->view.verification_uri_complete = device.verification_uri_complete;
        begun->until = parts_.clock.boot() + device.expires_in;
        begun->view.expires_at = saturating_add(parts_.clock.wall(), device.expires_in);
        begun->end.cancel();  // the poll ends with the code
        begun->poll = parts_.polls.begin(begun->config, std::move(device), [this, id](DevicePolls::Outcome outcome) {
          asked_.erase(id);
          Session* waiting = find(id);
          if (waiting == nullptr || !waiting->poll) return;  // it was abandoned
          waiting->poll.reset();
          if (auto* why = std::get_if<NotCompleted>(&outcome)) return fail(*waiting, *why);
          if (!still_allowed(*waiting)) {
            return parts_.completion.retire(waiting->config, std::move(std::get<NewGrant>(outcome)));
          }
          CompletionOrder order;
          order.from = std::move(std::get<NewGrant>(outcome));
          complete(*waiting, std::move(order));
        });
        announce(*begun);
      });
}

void Sessions::announce(Session& session) {
  log::info("a sign-in has begun", {{"ACCOUNT", session.config->name}, {"METHOD", session.view.method}});
  ipc::Reply<LoginView> reply = std::exchange(session.begun, {});
  reply(view_of(session));
}

void Sessions::could_not_begin(const std::string& id, const oauth::Failure& failure) {
  Session& session = *find(id);
  ipc::Reply<LoginView> reply = std::exchange(session.begun, {});
  const Problem problem = not_begun(*session.config, failure);
  ended(session, "failed", failure.words);
  sessions_.erase(id);
  reply(problem);
}

}  // namespace credsync::login
