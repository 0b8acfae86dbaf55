// What comes back for a session, from a browser, by hand or from a device, and what becomes of it.
#include <utility>

#include "base/log.h"
#include "daemon/login/session.h"
#include "daemon/login/session_words.h"

namespace credsync::login {

using account::Account;
using ipc::LoginPhase;
using ipc::LoginView;
using ipc::Problem;
using ipc::ProblemKind;

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
  if (session == nullptr) return why_gone(id);
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
  if (session == nullptr) return why_gone(id);
  return view_of(*session);
}

void Sessions::complete(Session& session, CompletionOrder order) {
  session.view.phase = LoginPhase::kFinishing;
  session.end.cancel();  // exchanges end by themselves
  order.config = session.config;
  order.nonce = std::move(session.secrets.nonce);
  order.replace_identity = session.replace_identity;
  const std::string id = session.view.id;
  asked_.emplace(id, session.caller.uid);
  const Completion::Number number = parts_.completion.begin(
      std::move(order), [this, id](CompletionOutcome outcome) { completed(id, std::move(outcome)); });
  Session* going_on = find(id);  // it may have ended already
  if (going_on != nullptr && going_on->view.phase == LoginPhase::kFinishing) going_on->completion = number;
}

void Sessions::completed(const std::string& id, CompletionOutcome outcome) {
  asked_.erase(id);
  Session* session = find(id);
  if (session == nullptr || session->over()) return;  // it was abandoned
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
  const ipc::Answer<LoginView> how(std::in_place_type<LoginView>, view_of(session));
  while (Session* present = find(id)) {  // an answer may bring the next call, or the end of this session
    if (present->waiters.empty()) break;
    present->waiters.begin()->second->answer(how);
  }
}

}  // namespace credsync::login
