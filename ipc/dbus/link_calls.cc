// The methods: what they take, what they ask the service for, and what they give.
#include <algorithm>

#include "base/text.h"
#include "ipc/dbus/link.h"
#include "ipc/dbus/options.h"
#include "ipc/dbus/problems.h"
#include "ipc/dbus/render.h"

namespace credsync::ipc::dbus {

// `changes`: the call does something, so it is refused before it begins, or not at all. `give` answers.
template <typename T, typename Start, typename Give>
void Link::ask(Request& request, bool changes, Start start, Give give) {
  if (changes && !may_wait(request)) return refuse_as_busy(request, "too many requests of this user are waiting");
  const Caller caller = std::move(request.caller);  // the reply may end the request while the service still looks at it
  auto pending = start(caller, Reply<T>([this, number = request.number, give](Answer<T> reply) {
                         Request* at = find(number);
                         if (at == nullptr) return;
                         if (const Problem* problem = std::get_if<Problem>(&reply)) return refuse(*at, *problem);
                         give(at->call, std::get<T>(reply));
                         finish(*at);
                       }));
  if (pending == nullptr) return;  // answered already, and gone
  if (!changes && !may_wait(request)) {
    pending.reset();
    request.caller = caller;
    return refuse_as_busy(request, "too many requests of this user are waiting");
  }
  request.pending = std::move(pending);
  begin_waiting(request);
}

namespace {

constexpr auto kGiveNothing = [](Call& call, const auto&) { call.reply([](Writer&) {}); };
constexpr auto kGiveLogin = [](Call& call, const LoginView& view) {
  call.reply([&](Writer& writer) { write_login(writer, view); });
};
constexpr auto kGiveLoginAnswer = [](Call& call, const LoginAnswer& answer) {
  call.reply([&](Writer& writer) { write_login_answer(writer, answer); });
};
constexpr auto kGiveToken = [](Call& call, const TokenView& view) {
  const TokenSecrets secrets(view);
  call.reply([&](Writer& writer) { write_token(writer, view, secrets); },
             [&](Reader& reader) { return fill_token(reader, secrets); });
};

}  // namespace

// The account's name; when it cannot be one, the request is refused exactly as a missing account is.
std::optional<std::string> Link::read_account(Request& request) {
  auto account = request.call.arguments().text();
  if (account && is_account_name(*account)) return account;
  refuse(request, no_such_account());
  return std::nullopt;
}

void Link::get_access_token(Request& request) {
  Reader arguments = request.call.arguments();
  const auto account = arguments.text();
  std::vector<Option> options;
  if (!account || !arguments.options(options)) return refuse_arguments(request, "the options cannot be read");
  const auto read = read_token_options(options);
  if (!read) return refuse_arguments(request, read.error().message());
  // Last, so that a name that cannot be one is refused exactly where a missing account is.
  if (!is_account_name(*account)) return refuse(request, no_such_account());
  const TokenQuery query{*account, read->min_valid, std::min(read->wait, time_left(request))};
  ask<TokenView>(
      request, false,
      [&](const Caller& caller, auto reply) { return around_.service.token(caller, query, std::move(reply)); },
      kGiveToken);
}

// One that is whole with its first part waits for nothing, unless many come in one turn, as from a sender who has become known.
void Link::list_accounts(Request& request) {
  const auto lists = lists_of(request);
  if (lists == lists_.end() && !part_made_ && list_part(request)) return;
  if (!may_wait(request)) return refuse_as_busy(request, "too many requests of this user are waiting");
  begin_waiting(request);
  if (lists == lists_.end()) {
    lists_.push_back({request.sender->use, {&request}});
  } else {
    lists->requests.push_back(&request);
  }
}

// Makes the next part, one a turn. True: it was the last, the request is answered and gone.
bool Link::list_part(Request& request) {
  part_made_ = true;
  lister_->set(BootTime{});
  AccountList part = around_.service.list(request.caller, request.behind);
  const bool fits = request.call.compose([&](Writer& writer) {
    if (request.behind.empty()) begin_list(writer);
    for (const AccountStatus& status : part.accounts)
      write_status(writer, status);
  });
  const bool more = fits && !part.last.empty();
  if (more) {
    request.behind = std::move(part.last);
  } else {
    answer(request, [](Writer& writer) { end_list(writer); });
  }
  return !more;
}

// Users take turns. While the bus has not taken what is there, nothing is added: on_sent goes on.
void Link::list_on() {
  part_made_ = false;
  if (lists_.empty() || bus_->unsent()) return;
  lists_.splice(lists_.end(), lists_, lists_.begin());
  list_part(*lists_.back().requests.front());
}

std::list<Link::Lists>::iterator Link::lists_of(const Request& request) {
  return std::find_if(lists_.begin(), lists_.end(),
                      [&](const Lists& lists) { return lists.user == request.sender->use; });
}

void Link::leave_lists(const Request& request) {
  if (request.method != Method::kListAccounts || !request.waits) return;
  const auto lists = lists_of(request);
  lists->requests.erase(std::find(lists->requests.begin(), lists->requests.end(), &request));
  if (lists->requests.empty()) lists_.erase(lists);
}

void Link::get_account(Request& request) {
  const auto account = read_account(request);
  if (!account) return;
  const auto status = around_.service.status(request.caller, *account);
  if (const Problem* problem = std::get_if<Problem>(&status)) return refuse(request, *problem);
  answer(request, [&](Writer& writer) { write_status(writer, std::get<AccountStatus>(status)); });
}

void Link::refresh(Request& request) {
  const auto account = read_account(request);
  if (!account) return;
  ask<AccountStatus>(
      request, true,
      [&](const Caller& caller, auto reply) { return around_.service.refresh(caller, *account, std::move(reply)); },
      kGiveNothing);
}

void Link::reject(Request& request) {
  Reader arguments = request.call.arguments();
  const auto account = arguments.text();
  Rejected rejected;
  rejected.generation = arguments.u64();
  if (!account || !rejected.generation) return refuse_arguments(request, "the generation cannot be read");
  if (!is_account_name(*account)) return refuse(request, no_such_account());
  ask<RejectAnswer>(
      request, true,
      [&](const Caller& caller, auto reply) {
        return around_.service.reject(caller, *account, std::move(rejected), std::move(reply));
      },
      kGiveNothing);
}

void Link::begin_login(Request& request) {
  Reader arguments = request.call.arguments();
  const auto account = arguments.text();
  std::vector<Option> options;
  if (!account || !arguments.options(options, "secret")) return refuse_arguments(request, "the options cannot be read");
  auto login = read_login_options(options);
  if (!login) return refuse_arguments(request, login.error().message());
  if (!is_account_name(*account)) return refuse(request, no_such_account());
  ask<LoginAnswer>(
      request, true,
      [&](const Caller& caller, auto reply) {
        return around_.service.login(caller, *account, std::move(*login), std::move(reply));
      },
      kGiveLoginAnswer);
}

void Link::wait_login(Request& request) {
  Reader arguments = request.call.arguments();
  const auto id = arguments.text();
  std::vector<Option> options;
  if (!id || !arguments.options(options)) return refuse_arguments(request, "the options cannot be read");
  const auto wait = read_wait_option(options);
  if (!wait) return refuse_arguments(request, wait.error().message());
  ask<LoginView>(
      request, false,
      [&](const Caller& caller, auto reply) {
        return around_.service.wait_login(caller, *id, std::min(*wait, time_left(request)), std::move(reply));
      },
      kGiveLogin);
}

void Link::answer_login(Request& request) {
  Reader arguments = request.call.arguments();
  const auto id = arguments.text();
  auto address = arguments.secret();
  if (!id || !address) return refuse_arguments(request, "the address cannot be read");
  ask<LoginView>(
      request, true,
      [&](const Caller& caller, auto reply) {
        return around_.service.answer_login(caller, *id, std::move(*address), std::move(reply));
      },
      kGiveLogin);
}

void Link::cancel_login(Request& request) {
  const auto id = request.call.arguments().text();
  if (!id) return refuse_arguments(request, "the id cannot be read");
  const auto view = around_.service.cancel_login(request.caller, *id);
  if (const Problem* problem = std::get_if<Problem>(&view)) return refuse(request, *problem);
  answer(request, [&](Writer& writer) { write_login(writer, std::get<LoginView>(view)); });
}

void Link::sign_out(Request& request) {
  const auto account = read_account(request);
  if (!account) return;
  ask<SignOutAnswer>(
      request, true,
      [&](const Caller& caller, auto reply) { return around_.service.sign_out(caller, *account, std::move(reply)); },
      kGiveNothing);
}

void Link::who_am_i(Request& request) {
  const auto who = around_.service.who_am_i(request.caller, std::nullopt);
  if (const Problem* problem = std::get_if<Problem>(&who)) return refuse(request, *problem);
  answer(request, [&](Writer& writer) { write_who_am_i(writer, std::get<WhoAmI>(who)); });
}

void Link::reload(Request& request) {
  ask<ReloadAnswer>(
      request, true, [&](const Caller& caller, auto reply) { return around_.service.reload(caller, std::move(reply)); },
      kGiveNothing);
}

// One subscription a name; a second one changes nothing.
void Link::subscribe(Request& request) {
  Sender& sender = *request.sender;
  if (sender.subscription) return answer_nothing(request);
  if (sender.use->subscriptions >= around_.limits.max_subscriptions_per_user)
    return refuse_as_busy(request, "too many subscriptions of this user");
  subscribing_ = true;
  auto made = around_.service.subscribe(request.caller, {}, [this, name = sender.name](const Event& event) {
    if (!subscribing_) send_event(name, event);
  });
  subscribing_ = false;
  if (const Problem* problem = std::get_if<Problem>(&made)) return refuse(request, *problem);
  sender.subscription = std::move(std::get<0>(made));
  ++sender.use->subscriptions;
  answer_nothing(request);
}

void Link::unsubscribe(Request& request) {
  Sender& sender = *request.sender;
  if (sender.subscription) --sender.use->subscriptions;
  sender.subscription.reset();
  answer_nothing(request);
}

void Link::send_event(const std::string& destination, const Event& event) {
  if (event.kind == Event::Kind::kState) {
    return bus_->signal(destination, kStateChanged.name, [&](Writer& writer) {
      writer.text(event.account);
      writer.text(event.state);
    });
  }
  bus_->signal(destination, kTokenChanged.name, [&](Writer& writer) {
    writer.text(event.account);
    writer.u64(event.generation);
    writer.u64(to_usec(event.expires_at));
  });
}

}  // namespace credsync::ipc::dbus
