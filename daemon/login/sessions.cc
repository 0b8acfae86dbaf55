#include "daemon/login/sessions.h"

#include <algorithm>
#include <utility>

#include "daemon/login/session.h"
#include "daemon/login/session_words.h"

namespace credsync::login {

using account::Account;
using ipc::LoginPhase;
using ipc::LoginView;
using ipc::Problem;
using ipc::ProblemKind;

void Sessions::Waiter::answer(ipc::Answer<LoginView> with) {
  timer_.cancel();
  leave();
  ipc::Reply<LoginView> reply = std::move(reply_);
  // What is in it, and not the variant, of which g++ 14 believes that it may hold nothing once it has been moved twice.
  std::visit([&](auto& answer) { reply(std::move(answer)); }, with);
}

void Sessions::Waiter::leave() {
  if (Session* session = sessions_.find(id_)) session->waiters.erase(number_);
}

void Sessions::Waiter::time_is_up() {
  if (const Session* session = sessions_.find(id_)) answer(sessions_.view_of(*session));
}

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
  if (session == nullptr) return reply(why_gone(id)), nullptr;
  if (session->over() || at_most <= Duration::zero()) return reply(view_of(*session)), nullptr;
  if (session->waiters.size() >= kMostWaiters) {
    return reply(Problem{ProblemKind::kBusy, "too many wait for this sign-in", "", 1s, {}}), nullptr;
  }
  const std::uint64_t number = session->waiters.empty() ? 1 : session->waiters.rbegin()->first + 1;
  return std::make_unique<Waiter>(*this, *session, number, at_most, std::move(reply));
}

Problem Sessions::why_gone(std::string_view id) const {
  const auto at = std::find_if(gone_.rbegin(), gone_.rend(), [&](const Gone& gone) { return gone.id == id; });
  if (at != gone_.rend()) return login_over(at->account, at->words);
  return Problem{ProblemKind::kLoginOver, "this sign-in is over", "", std::nullopt, {}};
}

ipc::Answer<LoginView> Sessions::cancel(std::string_view id) {
  Session* session = find(id);
  if (session == nullptr) return why_gone(id);
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
  return session != nullptr ? ipc::Answer<LoginView>(view_of(*session)) : why_gone(id);
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
  const BootTime now = parts_.clock.boot();
  view.expires_in = std::max(Duration::zero(), session.until - now);
  const bool to_be_opened = view.phase == LoginPhase::kWaiting && session.url_until;
  if (to_be_opened) view.url_expires_in = std::max(Duration::zero(), *session.url_until - now);
  return view;
}

}  // namespace credsync::login
