// What a connection asks the service for, and how the answers are written.
#include <sys/socket.h>

#include <utility>

#include "base/check.h"
#include "ipc/http/connection.h"
#include "ipc/http/render.h"
#include "ipc/http/routes.h"
#include "ipc/http/token_response.h"
#include "ipc/names.h"

namespace credsync::ipc::http {
namespace {

constexpr std::string_view kMetricsType = "application/openmetrics-text; version=1.0.0; charset=utf-8";
// The kernel's share of what a stream's client has not read; the kernel doubles it.
constexpr int kStreamSendBuffer = 16 * 1024;

// Answers that may be long: they grow with the number of accounts, providers or records.
bool is_long(Operation operation) {
  switch (operation) {
    case Operation::kListAccounts:
    case Operation::kEvents:
    case Operation::kWhoAmI:
    case Operation::kAudit:
    case Operation::kReload:
    case Operation::kProviders:
    case Operation::kProvider:
    case Operation::kDoctor:
    case Operation::kMetrics: return true;
    default: return false;
  }
}

// Whatever the service says of an account that is not there: those bytes are one and the same everywhere.
Problem of_account(const Problem& problem) {
  return problem.kind == ProblemKind::kNoSuchAccount ? no_such_account() : problem;
}

void write_login_answer(WipedBuffer& out, const Framing& framing, const LoginAnswer& answer) {
  if (const auto* status = std::get_if<AccountStatus>(&answer)) return write_json(out, framing, render(*status));
  const LoginView& view = std::get<LoginView>(answer);
  const std::string location = std::string(kLoginsPath) + "/" + view.id;
  write_response(out, framing, {201, kJsonType, {}, {}, location}, render(view));
}

void write_login(WipedBuffer& out, const Framing& framing, const LoginView& view) {
  write_json(out, framing, render(view));
}

Problem busy(std::string detail) {
  return Problem{ProblemKind::kBusy, std::move(detail), {}, kBusyRetryAfter, {}};
}

}  // namespace

void Connection::take(const Request& request) {
  hub_.spend(use_, 1);
  framing_ = Framing{request.http_1_1, request.keep_alive && !hub_.stopping(), request.method == "HEAD"};
  if (!use_.take(hub_.now(), hub_.limits().max_requests_per_second)) return refuse_for_now();
  auto understood = understand(request);
  if (Call* call = std::get_if<Call>(&understood)) return perform(std::move(*call));
  const Refusal& refusal = std::get<Refusal>(understood);
  if (refusal.no_such_path) {
    write_no_such_path(hub_.out(), framing_);
  } else {
    write_problem(hub_.out(), framing_, refusal.problem, refusal.allow);
  }
  closing_ = !framing_.keep_alive;
}

// Over the limit of requests a second.
void Connection::refuse_for_now() {
  answer(busy("too many requests of this user in a second"));
  hub_.service().refused(caller_, "too many requests a second");
  closing_ = !framing_.keep_alive;
  if (closing_) return;
  phase_ = Phase::kPostponed;
  over_limit_ = true;  // the pause begins when the client has read that
  set_timer(Timer::kPause, kPauseOverLimit);
}

void Connection::perform(Call call) {
  if (is_long(call.operation) && !hub_.take_long_answer()) return put_off(std::move(call));
  switch (call.operation) {
    case Operation::kToken:
    case Operation::kReject:
    case Operation::kRefresh:
    case Operation::kLogin:
    case Operation::kWaitLogin:
    case Operation::kAnswerLogin:
    case Operation::kSignOut:
    case Operation::kReload:
    case Operation::kDoctor: wait_for(call); break;
    case Operation::kEvents: open_stream(call); break;
    case Operation::kListAccounts: answer_list(std::move(call)); break;
    default: answer_now(call);
  }
  if (phase_ == Phase::kReading) closing_ = !framing_.keep_alive;
}

void Connection::answer(const Problem& problem) {
  write_problem(reply_buffer(), framing_, of_account(problem));
}

void Connection::answer_now(const Call& call) {
  Service& service = hub_.service();
  WipedBuffer& out = hub_.out();
  const auto json = [&](const std::string& body) { write_json(out, framing_, body); };
  const auto either = [&](const auto& reply) {
    const Problem* problem = std::get_if<Problem>(&reply);
    problem != nullptr ? write_problem(out, framing_, *problem) : json(render(std::get<0>(reply)));
  };
  switch (call.operation) {
    case Operation::kHealth: return json(render_health());
    case Operation::kWhoAmI: return either(service.who_am_i(caller_, call.pid));
    case Operation::kProviders: return json(render(service.providers(caller_)));
    case Operation::kProvider: return either(service.provider(caller_, call.name));
    case Operation::kAudit: return either(service.audit(caller_, call.since));
    case Operation::kStatus: return answer_status(call.name);
    case Operation::kCancelLogin: return answer_cancel(call.name);
    case Operation::kMetrics: return answer_metrics();
    default: CHECK(!"an operation without an answer");
  }
}

// A part a turn, for it may be megabytes.
void Connection::answer_list(Call call) {
  AccountList part = hub_.service().list(caller_, call.name);
  append_part(call.so_far, part);
  if (part.last.empty()) return write_json(hub_.out(), framing_, call.so_far);
  call.name = std::move(part.last);
  put_off(std::move(call));
}

void Connection::put_off(Call call) {
  put_off_ = std::make_unique<Call>(std::move(call));
  phase_ = Phase::kPostponed;
  hub_.postpone(*this);
}

void Connection::answer_status(std::string_view account) {
  const auto reply = hub_.service().status(caller_, account);
  if (const Problem* problem = std::get_if<Problem>(&reply)) return answer(*problem);
  write_json(hub_.out(), framing_, render(std::get<AccountStatus>(reply)));
}

void Connection::answer_cancel(std::string_view login) {
  const auto reply = hub_.service().cancel_login(caller_, login);
  if (const Problem* problem = std::get_if<Problem>(&reply)) return answer(*problem);
  write_json(hub_.out(), framing_, render(std::get<LoginView>(reply)));
}

void Connection::answer_metrics() {
  const auto reply = hub_.service().metrics(caller_);
  if (const Problem* problem = std::get_if<Problem>(&reply)) return answer(*problem);
  write_response(hub_.out(), framing_, {200, kMetricsType, {}, {}}, std::get<std::string>(reply));
}

// `changes`: the call does something, so it is refused before it begins, or not at all.
template <typename T, typename Start, typename Write>
void Connection::ask(bool changes, Start start, Write write) {
  if (changes && !may_wait()) return refuse_to_wait();
  asking_ = true;
  answered_ = false;
  auto pending = start(Reply<T>([this, write](Answer<T> reply) {
    if (const Problem* problem = std::get_if<Problem>(&reply)) {
      answer(*problem);
    } else {
      write(reply_buffer(), framing_, std::get<T>(reply));
    }
    replied();
  }));
  asking_ = false;
  if (answered_) return;
  CHECK(pending != nullptr);
  if (!changes && !may_wait()) {
    pending.reset();
    return refuse_to_wait();
  }
  pending_ = std::move(pending);
  phase_ = Phase::kWaiting;
  ++use_.waiting;
}

void Connection::wait_for(Call& call) {
  Service& service = hub_.service();
  const auto write_status = [](WipedBuffer& out, const Framing& framing, const AccountStatus& status) {
    write_json(out, framing, render(status));
  };
  switch (call.operation) {
    case Operation::kToken:
      return ask<TokenView>(
          false,
          [&](auto reply) {
            return service.token(caller_, TokenQuery{call.name, call.min_valid, call.wait}, std::move(reply));
          },
          write_token);
    case Operation::kRefresh:
      return ask<AccountStatus>(
          true, [&](auto reply) { return service.refresh(caller_, call.name, std::move(reply)); }, write_status);
    case Operation::kLogin:
      return ask<LoginAnswer>(
          true, [&](auto reply) { return service.login(caller_, call.name, std::move(call.login), std::move(reply)); },
          write_login_answer);
    case Operation::kWaitLogin:
      return ask<LoginView>(
          false, [&](auto reply) { return service.wait_login(caller_, call.name, call.wait, std::move(reply)); },
          write_login);
    case Operation::kAnswerLogin:
      return ask<LoginView>(
          true,
          [&](auto reply) {
            return service.answer_login(caller_, call.name, std::move(call.redirect_url), std::move(reply));
          },
          write_login);
    case Operation::kReject:
      return ask<RejectAnswer>(
          true,
          [&](auto reply) { return service.reject(caller_, call.name, std::move(call.rejected), std::move(reply)); },
          [](WipedBuffer& out, const Framing& framing, const RejectAnswer& a) {
            write_response(out, framing, {200, kJsonType, {}, a.retry_after}, render(a));
          });
    case Operation::kSignOut:
      return ask<SignOutAnswer>(
          true, [&](auto reply) { return service.sign_out(caller_, call.name, std::move(reply)); },
          [](WipedBuffer& out, const Framing& framing, const SignOutAnswer& a) {
            write_response(out, framing, {a.pending == 0 ? 200 : 202, kJsonType, {}, {}}, render(a));
          });
    case Operation::kReload:
      return ask<ReloadAnswer>(
          true, [&](auto reply) { return service.reload(caller_, std::move(reply)); },
          [](WipedBuffer& out, const Framing& framing, const ReloadAnswer& a) { write_json(out, framing, render(a)); });
    case Operation::kDoctor:
      return ask<std::vector<Check>>(
          true, [&](auto reply) { return service.doctor(caller_, std::move(reply)); },
          [](WipedBuffer& out, const Framing& framing, const std::vector<Check>& checks) {
            write_json(out, framing, render(checks));
          });
    default: CHECK(!"an operation that nobody waits for");
  }
}

bool Connection::may_wait() const {
  return !hub_.waitless() && use_.waiting < hub_.limits().max_waiting_per_user;
}

void Connection::refuse_to_wait() {
  if (hub_.waitless()) return answer(stopping_problem());
  answer(busy("too many requests of this user are waiting"));
  hub_.service().refused(caller_, "too many requests are waiting");
}

// The service has answered: during the call that asked, or later.
void Connection::replied() {
  if (asking_) {
    answered_ = true;
    return;
  }
  hub_.discard(std::move(pending_));  // it may be what is calling us
  end_waiting();
  closing_ = !framing_.keep_alive;
  hub_.mark(*this);
}

void Connection::end_waiting() {
  phase_ = Phase::kReading;
  --use_.waiting;
}

void Connection::open_stream(const Call& call) {
  if (hub_.waitless()) return answer(stopping_problem());
  if (use_.streams >= hub_.limits().max_streams_per_user) {
    answer(busy("too many event streams of this user are open"));
    return hub_.service().refused(caller_, "too many event streams are open");
  }
  WipedBuffer& out = hub_.out();
  const std::size_t before = out.size();
  write_stream_head(out);
  asking_ = true;
  auto reply = hub_.service().subscribe(caller_, call.name, [this](const Event& event) { on_event(event); });
  asking_ = false;
  if (const Problem* problem = std::get_if<Problem>(&reply)) {
    out.truncate(before);
    return answer(*problem);
  }
  pending_ = std::move(std::get<0>(reply));
  phase_ = Phase::kStreaming;
  ++use_.streams;
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDBUF, &kStreamSendBuffer, sizeof kStreamSendBuffer);
}

void Connection::on_event(const Event& event) {
  if (asking_) return hub_.out().append(render(event));  // the present states
  if (phase_ != Phase::kStreaming || overflowed_ || closing_) return;
  unsent_.append(render(event));
  overflowed_ = unsent_.size() - snapshot_left_ > kMostUnreadEvents;
  hub_.mark(*this);
}

}  // namespace credsync::ipc::http
