#include "ipc/dbus/link.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "ipc/dbus/polkit.h"
#include "ipc/dbus/problems.h"

namespace credsync::ipc::dbus {
namespace {

constexpr Duration kRetryAfter = 1s;

Problem stopping_problem() {
  return {ProblemKind::kUnavailable, "the daemon is stopping", {}, kRetryAfter, {}};
}

Problem late_problem() {
  return {ProblemKind::kTimeout, "there was no answer in time", {}, {}, {}};
}

std::optional<Method> method_of(const std::string& name) {
  for (const MethodEntry& entry : kMethods) {
    if (name == entry.name) return entry.method;
  }
  return std::nullopt;
}

bool is_administration(Method method) {
  return method == Method::kReload || method == Method::kSignOut;
}

}  // namespace

Link::Link(std::unique_ptr<Bus> bus, const Surroundings& around)
    : around_(around),
      bus_(std::move(bus)),
      senders_(*bus_, around.users, [this](Sender& sender, bool is_known) { known(sender, is_known); }),
      deadline_(around.loop.timer([this] { time_is_up(); })),
      sweeper_(around.loop.timer([this] { discarded_.clear(); })),
      lister_(around.loop.timer([this] { list_on(); })) {}

Link::~Link() {
  for (auto& [number, request] : requests_) {
    request.call.drop();
    if (request.waits) --request.sender->use->waiting;
  }
}

Result<void> Link::open(Handlers handlers) {
  Bus::Handlers wanted;
  wanted.on_call = [this](Call call) { take(std::move(call)); };
  wanted.on_gone = [this](const std::string& name) { gone(name); };
  wanted.on_name = std::move(handlers.on_name);
  wanted.on_lost = std::move(handlers.on_lost);
  wanted.on_sleep = std::move(handlers.on_sleep);
  wanted.on_sent = [this] { lister_->set(BootTime{}); };
  CREDSYNC_TRY(bus_->attach(around_.loop, std::move(wanted)));
  bus_->request_name(std::move(handlers.on_refused_name));
  return {};
}

// --- the way of a request -----------------------------------------------------------------------------------------

void Link::take(Call call) {
  const auto method = method_of(call.member());
  if (!method) return;  // the interface has no other
  if (stopping_) return call.fail(error_name(ProblemKind::kUnavailable), stopping_problem().detail);
  if (!call.arguments().is_within(kMaxRequest))
    return call.fail(error_name(ProblemKind::kTooLarge), "a request is at most 64 KiB");
  Sender* sender = senders_.of(call.sender());
  if (sender == nullptr || sender->unknown.size() >= kMaxUnknownRequests)
    return call.fail(error_name(ProblemKind::kBusy), "too many callers are unknown yet");
  const std::uint64_t number = ++last_number_;
  Request made{number, std::move(call), *method, around_.clock.boot(), sender, {}, nullptr};
  Request& request = requests_.emplace_hint(requests_.end(), number, std::move(made))->second;
  ++sender->requests;
  if (sender->known) {
    start(request);
  } else {
    sender->unknown.push_back(&request);
  }
  arm();
}

void Link::known(Sender& sender, bool is_known) {
  const std::vector<Request*> waiting = std::exchange(sender.unknown, {});
  for (Request* request : waiting) {
    if (is_known) {
      start(*request);
    } else {
      request->call.fail(kAccessDenied, "the bus does not say who you are");
      finish(*request);
    }
  }
}

void Link::gone(const std::string& name) {
  Sender* sender = senders_.find(name);
  if (sender == nullptr) return;
  for (auto at = requests_.begin(); at != requests_.end();) {
    Request& request = (at++)->second;
    if (request.sender != sender) continue;
    request.call.drop();
    forget(request);
  }
  senders_.forget(name);
}

void Link::start(Request& request) {
  Sender& sender = *request.sender;
  request.caller = sender.caller;
  if (!sender.use->take(request.arrived, around_.limits.max_requests_per_second))
    return refuse_as_busy(request, "too many requests of this user in a second");
  // Root needs no permission, and the session bus is its owner's alone.
  if (!is_administration(request.method) || !around_.has_polkit || request.caller.uid == 0) return perform(request);
  if (!may_wait(request)) return refuse_as_busy(request, "too many requests of this user are waiting");
  after_polkit(request);
}

void Link::after_polkit(Request& request) {
  begin_waiting(request);
  ask_polkit(*bus_, request.call.sender(), request.call.allows_interaction(), time_left(request),
             [this, number = request.number](bool allowed) {
               Request* at = find(number);
               if (at == nullptr) return;
               at->caller.manages = allowed;
               at->waits = false;
               --at->sender->use->waiting;
               perform(*at);
             });
}

void Link::perform(Request& request) {
  switch (request.method) {
    case Method::kGetAccessToken: return get_access_token(request);
    case Method::kListAccounts: return list_accounts(request);
    case Method::kGetAccount: return get_account(request);
    case Method::kRefresh: return refresh(request);
    case Method::kReject: return reject(request);
    case Method::kBeginLogin: return begin_login(request);
    case Method::kWaitLogin: return wait_login(request);
    case Method::kAnswerLogin: return answer_login(request);
    case Method::kCancelLogin: return cancel_login(request);
    case Method::kSignOut: return sign_out(request);
    case Method::kWhoAmI: return who_am_i(request);
    case Method::kReload: return reload(request);
    case Method::kSubscribe: return subscribe(request);
    case Method::kUnsubscribe: return unsubscribe(request);
  }
}

// --- its end ------------------------------------------------------------------------------------------------------

void Link::answer(Request& request, const std::function<void(Writer&)>& write) {
  request.call.reply(write);
  finish(request);
}

void Link::refuse(Request& request, const Problem& problem) {
  // Those words are one and the same, whoever found that there is no such account.
  const Problem& said = problem.kind == ProblemKind::kNoSuchAccount ? no_such_account() : problem;
  request.call.fail(error_name(said.kind), error_message(said));
  finish(request);
}

void Link::refuse_arguments(Request& request, const std::string& words) {
  request.call.fail(kInvalidArgs, words);
  finish(request);
}

void Link::refuse_as_busy(Request& request, const std::string& words) {
  around_.service.refused(request.caller, words);
  refuse(request, Problem{ProblemKind::kBusy, words, {}, kRetryAfter, {}});
}

void Link::finish(Request& request) {
  if (request.pending) {
    discarded_.push_back(std::move(request.pending));
    sweeper_->set(BootTime{});
  }
  forget(request);
}

void Link::forget(Request& request) {
  leave_lists(request);
  if (request.waits) --request.sender->use->waiting;
  --request.sender->requests;
  requests_.erase(request.number);
}

Request* Link::find(std::uint64_t number) {
  const auto at = requests_.find(number);
  return at == requests_.end() ? nullptr : &at->second;
}

bool Link::may_wait(const Request& request) const {
  return request.sender->use->waiting < around_.limits.max_waiting_per_user;
}

void Link::begin_waiting(Request& request) {
  request.waits = true;
  ++request.sender->use->waiting;
}

Duration Link::time_left(const Request& request) const {
  return std::max<Duration>(0s, request.arrived + kAnswerWithin - kLastWord - around_.clock.boot());
}

void Link::arm() {
  if (armed_ || requests_.empty()) return;
  armed_ = true;
  deadline_->set(requests_.begin()->second.arrived + kAnswerWithin);
}

void Link::time_is_up() {
  armed_ = false;
  const BootTime now = around_.clock.boot();
  while (!requests_.empty() && requests_.begin()->second.arrived + kAnswerWithin <= now) {
    Request& late = requests_.begin()->second;
    std::erase(late.sender->unknown, &late);
    late.pending.reset();
    refuse(late, late_problem());
  }
  arm();
}

void Link::stop() {
  stopping_ = true;
  while (!requests_.empty()) {
    Request& request = requests_.begin()->second;
    request.sender->unknown.clear();
    request.pending.reset();
    refuse(request, stopping_problem());
  }
}

}  // namespace credsync::ipc::dbus
