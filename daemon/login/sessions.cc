#include "daemon/login/sessions.h"

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
using ipc::LoginPhase;
using ipc::LoginView;
using ipc::Problem;
using ipc::ProblemKind;
using provider::Grant;

std::optional<Way> way_of(const config::Account& account, ipc::LoginMethod method) {
  const bool browser = account.grant == Grant::kAuthorizationCode || account.grant == Grant::kImplicit;
  const bool device = account.grant == Grant::kDeviceCode ||
                      (account.grant == Grant::kAuthorizationCode && !account.profile->endpoints.device.url.empty());
  switch (method) {
    case ipc::LoginMethod::kBrowser: return browser ? std::optional(Way::kBrowser) : std::nullopt;
    case ipc::LoginMethod::kDevice: return device ? std::optional(Way::kDevice) : std::nullopt;
    case ipc::LoginMethod::kAuto:
      if (browser) return Way::kBrowser;
      return account.grant == Grant::kDeviceCode ? std::optional(Way::kDevice) : std::nullopt;
    default: return std::nullopt;
  }
}

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

// A caller that waits for the end of a session.
class Sessions::Waiter final : public ipc::Pending {
 public:
  Waiter(Sessions& sessions, Session& session, std::uint64_t number, Duration at_most, ipc::Reply<LoginView> reply)
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
  void answer(ipc::Answer<LoginView> with) {
    timer_.cancel();
    leave();
    ipc::Reply<LoginView> reply = std::move(reply_);
    reply(std::move(with));
  }

 private:
  void leave() {
    if (Session* session = sessions_.find(id_)) session->waiters.erase(number_);
  }
  void time_is_up() {
    if (const Session* session = sessions_.find(id_)) answer(sessions_.view_of(*session));
  }

  Sessions& sessions_;
  const std::string id_;
  const std::uint64_t number_;
  ipc::Reply<LoginView> reply_;
  Agenda::Entry timer_;
};

Sessions::Sessions(const Parts& parts) : parts_(parts) {
  parts_.accounts.watch([this](Account& account, account::What what) { account_changed(account, what); });
}
Sessions::~Sessions() = default;

void Sessions::connect(MayLogin may_login, Ended ended) {
  may_login_ = std::move(may_login);
  ended_ = std::move(ended);
}

Sessions::Session* Sessions::find(std::string_view id) const {
  const auto at = sessions_.find(id);
  return at == sessions_.end() ? nullptr : at->second.get();
}

// --- begin --------------------------------------------------------------------------------------------------------

// One session an account, a bounded number a user and in all. A second one by the same user takes the first one's place;
// sessions that are over give way.
std::optional<Problem> Sessions::make_room(const ipc::Caller& caller, const Account& account) {
  if (stopped_) return Problem{ProblemKind::kUnavailable, "the daemon is stopping", "", 5s, {}};
  std::vector<std::string> replaced, over;
  std::size_t of_this_user = 0;
  for (const auto& [id, session] : sessions_) {
    const bool own = session->caller.uid == caller.uid;
    const bool same_account = session->config->name == account.name();
    if (same_account && !own && !session->over()) {
      return Problem{ProblemKind::kLoginInProgress, "another user is signing in to this account", "", 5s, {}};
    }
    if (same_account && own) {
      replaced.push_back(id);
    } else if (own) {
      ++of_this_user;
      if (session->over()) over.push_back(id);
    }
  }
  for (const std::string& id : replaced)
    remove(id, "a newer sign-in to this account was begun");
  while (of_this_user >= kMostSessionsOfOne && !over.empty()) {
    remove(over.back(), "it has ended");
    over.pop_back();
    --of_this_user;
  }
  if (of_this_user >= kMostSessionsOfOne || sessions_.size() >= kMostSessions) {
    return Problem{ProblemKind::kBusy, "too many sign-ins are under way; finish or cancel one", "", 30s, {}};
  }
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
  parts_.server.authorize(std::move(call),
                          [this, id = session.view.id](std::variant<oauth::AuthorizeAnswer, oauth::Failure> answer) {
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
                            announce(*begun);
                          });
}

void Sessions::ask_device(Session& session) {
  parts_.server.start_device(
      session.config, [this, id = session.view.id](std::variant<oauth::DeviceAnswer, oauth::Failure> answer) {
        Session* begun = find(id);
        if (begun == nullptr) return;
        if (const auto* failure = std::get_if<oauth::Failure>(&answer)) return could_not_begin(id, *failure);
        auto& device = std::get<oauth::DeviceAnswer>(answer);
        begun->view.user_code = device.user_code;
        begun->view.verification_uri = device.verification_uri;
        begun->view.verification_uri_complete = device.verification_uri_complete;
        begun->until = parts_.clock.boot() + device.expires_in;
        begun->view.expires_at = saturating_add(parts_.clock.wall(), device.expires_in);
        begun->end.cancel();  // the poll ends with the code
        begun->poll = parts_.polls.begin(begun->config, std::move(device), [this, id](DevicePolls::Outcome outcome) {
          Session* waiting = find(id);
          if (waiting == nullptr) return;
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

// --- what comes back ----------------------------------------------------------------------------------------------

bool Sessions::still_allowed(Session& session) {
  const Account* account = parts_.accounts.find(session.config->name);
  if (account != nullptr && may_login_ && may_login_(session.caller, *account)) return true;
  fail(session, {"not_allowed", "who began this sign-in may not sign in to this account any more", false, false});
  return false;
}

CallbackDoor::Verdict Sessions::arrived(const std::string& id, std::string_view parameters) {
  Session* session = find(id);
  if (session == nullptr || session->view.phase != LoginPhase::kWaiting || session->begun)
    return {false, "This sign-in does not wait for an answer."};
  session->answered_at_door = true;
  auto verdict = judge(*session, oauth::read_callback(parameters, session->expected, parts_.clock.wall()));
  if (!verdict.taken) session->answered_at_door = false;
  return verdict;
}

CallbackDoor::Verdict Sessions::judge(Session& session, oauth::CallbackOutcome outcome) {
  if (auto* refused = std::get_if<oauth::CallbackRefused>(&outcome)) {
    if (refused->foreign) return {false, std::move(refused->words)};
    fail(session, {refused->code, refused->words, false, false});
    return {true, {}};
  }
  if (!still_allowed(session)) return {true, {}};
  CompletionOrder order;
  if (auto* code = std::get_if<oauth::CallbackCode>(&outcome)) {
    order.from =
        oauth::CodeInput{std::move(code->code), session.view.redirect_uri, std::move(session.secrets.verifier)};
    order.kept = std::move(code->kept);
  } else {
    auto& tokens = std::get<oauth::CallbackTokens>(outcome);
    order.from = NewGrant{std::move(tokens.tokens), {}, std::nullopt};
    order.kept = std::move(tokens.kept);
  }
  complete(session, std::move(order));
  return {true, {}};
}

ipc::Answer<LoginView> Sessions::answer(std::string_view id, const Secret& redirect_url) {
  Session* session = find(id);
  if (session == nullptr) return cancel(id);  // gone: says why
  if (session->way == Way::kDevice) {
    return Problem{ProblemKind::kBadRequest,
                   "a sign-in by device code is finished at the provider, not with an address",
                   "",
                   std::nullopt,
                   {}};
  }
  if (session->view.phase != LoginPhase::kWaiting) return view_of(*session);  // an answer has come already
  const auto verdict =
      judge(*session, oauth::read_pasted(redirect_url.expose(), session->expected, parts_.clock.wall()));
  if (!verdict.taken) return Problem{ProblemKind::kBadRequest, verdict.words, "", std::nullopt, {}};
  session = find(id);
  if (session == nullptr) return cancel(id);
  return view_of(*session);
}

void Sessions::complete(Session& session, CompletionOrder order) {
  session.view.phase = LoginPhase::kFinishing;
  session.end.cancel();  // exchanges end by themselves
  order.config = session.config;
  order.nonce = std::move(session.secrets.nonce);
  order.replace_identity = session.replace_identity;
  const std::string id = session.view.id;
  const Completion::Number number = parts_.completion.begin(
      std::move(order), [this, id](CompletionOutcome outcome) { completed(id, std::move(outcome)); });
  Session* going_on = find(id);  // it may have ended already
  if (going_on != nullptr && going_on->view.phase == LoginPhase::kFinishing) going_on->completion = number;
}

void Sessions::completed(const std::string& id, CompletionOutcome outcome) {
  Session* session = find(id);
  if (session == nullptr) return;
  session->completion.reset();
  if (const auto* why = std::get_if<NotCompleted>(&outcome)) return fail(*session, *why);
  auto& done = std::get<Completed>(outcome);
  session->view.phase = LoginPhase::kDone;
  session->view.generation = done.generation;
  session->view.missing = missing_of(session->view.scopes, done.granted);
  session->view.granted = std::move(done.granted);
  session->view.identity = std::move(done.identity);
  ended(*session, "done", "");
  tell(*session);
}

void Sessions::fail(Session& session, const NotCompleted& why) {
  session.view.phase = LoginPhase::kFailed;
  session.view.error_class = why.error_class;
  session.view.problem = why_failed(*session.config, why);
  log::notice("a sign-in failed",
              {{"ACCOUNT", session.config->name}, {"CLASS", why.error_class}, {"REASON", why.words}});
  ended(session, "failed", why.words);
  tell(session);
}

void Sessions::ended(Session& session, std::string_view how, const std::string& words) {
  if (ended_) ended_(session.caller, session.config->name, how, words);
}

// It is over: the browser and all who wait learn how, and it can be asked about for as long again.
void Sessions::tell(Session& session) {
  const std::string id = session.view.id;
  session.secrets = {};
  session.expected = {};
  wipe(session.view.url);
  session.view.listening = false;
  session.until = parts_.clock.boot() + kSessionLife;
  session.view.expires_at = saturating_add(parts_.clock.wall(), kSessionLife);
  session.end.set(session.until);
  if (session.door && session.answered_at_door) {
    session.door->show(page_of(session.view), [this, id] {
      if (Session* shown = find(id)) shown->door.reset();
    });
  } else {
    session.door.reset();
  }
  const LoginView view = view_of(session);
  while (Session* present = find(id)) {  // an answer may bring the next call, or the end of this session
    if (present->waiters.empty()) break;
    present->waiters.begin()->second->answer(view);
  }
}

// --- waiting, cancelling, the end ---------------------------------------------------------------------------------

std::optional<std::string> Sessions::account_of(uid_t user, std::string_view id) const {
  if (const Session* session = find(id)) {
    return session->caller.uid == user && !session->begun ? std::optional(session->config->name) : std::nullopt;
  }
  for (const Gone& gone : gone_) {
    if (gone.id == id && gone.user == user && gone.until > parts_.clock.boot()) return gone.account;
  }
  return std::nullopt;
}

std::unique_ptr<ipc::Pending> Sessions::wait(std::string_view id, Duration at_most, ipc::Reply<LoginView> reply) {
  Session* session = find(id);
  if (session == nullptr) return reply(cancel(id)), nullptr;
  if (session->over() || at_most <= Duration::zero()) return reply(view_of(*session)), nullptr;
  if (session->waiters.size() >= kMostWaiters) {
    return reply(Problem{ProblemKind::kBusy, "too many wait for this sign-in", "", 1s, {}}), nullptr;
  }
  const std::uint64_t number = session->waiters.empty() ? 1 : session->waiters.rbegin()->first + 1;
  return std::make_unique<Waiter>(*this, *session, number, at_most, std::move(reply));
}

ipc::Answer<LoginView> Sessions::cancel(std::string_view id) {
  Session* session = find(id);
  if (session == nullptr) {
    const auto at = std::find_if(gone_.rbegin(), gone_.rend(), [&](const Gone& gone) { return gone.id == id; });
    return at == gone_.rend() ? login_over("", "this sign-in is over") : login_over(at->account, at->words);
  }
  if (session->over()) return view_of(*session);
  if (session->completion && !parts_.completion.abandon(*session->completion)) {
    return view_of(*session);  // too late: it is being stored
  }
  session->completion.reset();
  if (session->poll) parts_.polls.abandon(*std::exchange(session->poll, std::nullopt));
  session->view.phase = LoginPhase::kCancelled;
  ended(*session, "cancelled", "");
  tell(*session);
  session = find(id);
  return session != nullptr ? ipc::Answer<LoginView>(view_of(*session)) : cancel(id);
}

// It goes; its user is told why for a while.
void Sessions::remove(const std::string& id, const std::string& words) {
  const Problem problem = login_over(find(id)->config->name, words);
  for (Session* present = find(id); present != nullptr && !present->waiters.empty(); present = find(id))
    present->waiters.begin()->second->answer(problem);
  const auto at = sessions_.find(id);
  if (at == sessions_.end()) return;
  const std::unique_ptr<Session> session = std::move(at->second);
  sessions_.erase(at);
  if (session->completion) parts_.completion.abandon(*session->completion);
  if (session->poll) parts_.polls.abandon(*session->poll);
  if (!session->over()) ended(*session, "over", words);
  while (!gone_.empty() && (gone_.size() >= kMostRemembered || gone_.front().until <= parts_.clock.boot()))
    gone_.pop_front();
  gone_.push_back({id, session->config->name, words, session->caller.uid, parts_.clock.boot() + kRemembered});
  if (session->begun) std::exchange(session->begun, {})(problem);
}

void Sessions::expire(const std::string& id) {
  const Session* session = find(id);
  if (session == nullptr) return;
  remove(id, session->over() ? "it has ended, and its outcome is not kept any longer"
                             : "it was not finished within " + to_text(kSessionLife) + ", so nothing has changed");
}

void Sessions::account_changed(Account& account, account::What what) {
  if (what != account::What::kRemoved && what != account::What::kConfig) return;
  std::vector<std::string> affected;
  for (const auto& [id, session] : sessions_) {
    const bool same_grant = session->config->identity == account.config().identity;
    if (session->config->name != account.name() || session->over()) continue;
    if (what == account::What::kRemoved || !same_grant) affected.push_back(id);
  }
  for (const std::string& id : affected)
    remove(id, "the account's configuration was changed");
}

void Sessions::stop() {
  stopped_ = true;
  std::vector<std::string> waiting;
  for (const auto& [id, session] : sessions_) {
    if (session->view.phase == LoginPhase::kWaiting) waiting.push_back(id);
  }
  for (const std::string& id : waiting)
    remove(id, "the daemon is stopping");
}

LoginView Sessions::view_of(const Session& session) const {
  LoginView view = session.view;
  view.expires_in = std::max(Duration::zero(), session.until - parts_.clock.boot());
  return view;
}

}  // namespace credsync::login
