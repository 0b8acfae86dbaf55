// A Service whose answers a test decides: accounts with a token, refusals, and calls that wait until the test
// answers them or the front door gives them up. Loop only.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ipc/service.h"

namespace credsync::fakes {

struct FakeAccount {
  std::string token = "token-of-an-account";
  std::string token_type = "Bearer";
  std::string header_name = "Authorization";
  std::string header_prefix = "Bearer ";
  std::string state = "ok";
  std::optional<WallTime> expires_at = wall_from_seconds(1'900'000'000);
  std::optional<Duration> expires_in = 3600s;
  std::vector<std::string> scope{"read", "write"};
  std::vector<std::pair<std::string, std::string>> extra;
  std::uint64_t generation = 7;
  bool min_valid_met = true;
  Secret memo;
  std::optional<ipc::Problem> problem;  // what every call for this account is answered
  bool waits = false;                   // calls wait until answer_waiting() or refuse_waiting()
  unsigned pending_revocations = 0;
  std::optional<Duration> reject_retry_after;
  std::optional<uid_t> only;                          // the only user who may know of it
  std::function<void(ipc::AccountStatus&)> decorate;  // has the last word on a status
  std::optional<ipc::LoginView> begins;               // a login begins this session instead of being finished at once
};

struct FakeLogin {
  uid_t owner = 0;
  ipc::LoginView view;
  std::optional<ipc::Problem> problem;  // what every call for this session is answered
  bool waits = false;                   // wait_login and answer_login wait until answer_waiting() or refuse_waiting()
};

class FakeService final : public ipc::Service {
 public:
  ~FakeService() override {
    for (Waiter* waiter : waiting_)
      waiter->service = nullptr;
    for (Stream* stream : streams_)
      stream->service = nullptr;
  }

  FakeAccount& add(const std::string& name) { return accounts_[name]; }
  FakeAccount& account(const std::string& name) { return accounts_.at(name); }

  std::size_t waiting() const { return waiting_.size(); }
  std::size_t streams() const { return streams_.size(); }
  void remove(const std::string& name) { accounts_.erase(name); }
  // Answers all that wait as if they had not waited. A reply may come while others still wait: none may be
  // lost.
  void answer_waiting() {
    for (auto& account : accounts_)
      account.second.waits = false;
    for (auto& login : logins)
      login.second.waits = false;
    while (!waiting_.empty())
      take_first()->answer();
  }
  void refuse_waiting(const ipc::Problem& problem) {
    while (!waiting_.empty())
      take_first()->refuse(problem);
  }
  void emit(const ipc::Event& event) {
    const std::vector<Stream*> now = streams_;
    for (Stream* stream : now) {
      if (stream->account.empty() || stream->account == event.account) stream->on_event(event);
    }
  }

  // What was asked, for tests to look at.
  struct Asked {
    std::string operation, account;
    ipc::Caller caller;
    Duration min_valid{0}, wait{0};
    std::optional<std::uint64_t> generation;
    std::string secret, username;
    ipc::LoginMethod method = ipc::LoginMethod::kAuto;
    std::optional<WallTime> since;
    std::optional<pid_t> pid;
    std::optional<uid_t> browser_user;
    bool replace_identity = false;
  };
  std::vector<Asked> asked;
  std::size_t accounts_at_once = 250;
  bool remember = true;  // benchmarks and floods do without
  std::vector<std::pair<uid_t, std::string>> refusals;
  std::map<std::string, FakeLogin, std::less<>> logins;  // by id: sessions that have begun
  std::optional<ipc::Problem> admin_problem;             // of reload, doctor, audit and metrics
  std::string metrics_text = "# TYPE credsync_up gauge\ncredsync_up 1\n# EOF\n";

  std::unique_ptr<ipc::Pending> token(const ipc::Caller& caller, const ipc::TokenQuery& query,
                                      ipc::Reply<ipc::TokenView> reply) override {
    if (remember)
      note("token", query.account, caller, [&](Asked& a) { a.min_valid = query.min_valid, a.wait = query.wait; });
    return later<ipc::TokenView>(caller, query.account, std::move(reply), [](const std::string& name, FakeAccount& a) {
      ipc::TokenView view;
      view.account = name;
      view.access_token = a.token;
      view.token_type = a.token_type;
      view.expires_at = a.expires_at;
      view.expires_in = a.expires_in;
      view.scope = &a.scope;
      view.generation = a.generation;
      view.min_valid_met = a.min_valid_met;
      view.state = a.state;
      view.header_name = a.header_name;
      view.header_prefix = a.header_prefix;
      view.extra = &a.extra;
      view.memo = &a.memo;
      return view;
    });
  }

  std::unique_ptr<ipc::Pending> refresh(const ipc::Caller& caller, std::string_view account,
                                        ipc::Reply<ipc::AccountStatus> reply) override {
    note("refresh", account, caller);
    return later<ipc::AccountStatus>(caller, account, std::move(reply), &FakeService::status_of);
  }

  std::unique_ptr<ipc::Pending> reject(const ipc::Caller& caller, std::string_view account, ipc::Rejected rejected,
                                       ipc::Reply<ipc::RejectAnswer> reply) override {
    note("reject", account, caller, [&](Asked& a) {
      a.generation = rejected.generation;
      a.secret = rejected.access_token.expose();
    });
    return later<ipc::RejectAnswer>(caller, account, std::move(reply), [](const std::string& name, FakeAccount& a) {
      return ipc::RejectAnswer{name, a.generation, a.reject_retry_after};
    });
  }

  std::unique_ptr<ipc::Pending> login(const ipc::Caller& caller, std::string_view account, ipc::LoginRequest request,
                                      ipc::Reply<ipc::LoginAnswer> reply) override {
    note("login", account, caller, [&](Asked& a) {
      a.method = request.method;
      a.secret = request.secret.expose();
      a.username = request.username;
      a.browser_user = request.browser_user;
      a.replace_identity = request.replace_identity;
    });
    return later<ipc::LoginAnswer>(
        caller, account, std::move(reply), [this, uid = caller.uid](const std::string& name, FakeAccount& a) {
          if (!a.begins) return ipc::LoginAnswer(status_of(name, a));
          logins.insert_or_assign(a.begins->id, FakeLogin{uid, *a.begins, std::nullopt, false});
          return ipc::LoginAnswer(*a.begins);
        });
  }

  std::unique_ptr<ipc::Pending> wait_login(const ipc::Caller& caller, std::string_view id, Duration wait,
                                           ipc::Reply<ipc::LoginView> reply) override {
    note("wait_login", id, caller, [&](Asked& a) { a.wait = wait; });
    return later_of_login(caller, id, std::move(reply));
  }

  std::unique_ptr<ipc::Pending> answer_login(const ipc::Caller& caller, std::string_view id, Secret redirect_url,
                                             ipc::Reply<ipc::LoginView> reply) override {
    note("answer_login", id, caller, [&](Asked& a) { a.secret = redirect_url.expose(); });
    return later_of_login(caller, id, std::move(reply));
  }

  ipc::Answer<ipc::LoginView> cancel_login(const ipc::Caller& caller, std::string_view id) override {
    note("cancel_login", id, caller);
    const auto at = logins.find(id);
    if (at == logins.end() || at->second.owner != caller.uid) return missing();
    if (at->second.problem) return *at->second.problem;
    at->second.view.phase = ipc::LoginPhase::kCancelled;
    return at->second.view;
  }

  std::unique_ptr<ipc::Pending> sign_out(const ipc::Caller& caller, std::string_view account,
                                         ipc::Reply<ipc::SignOutAnswer> reply) override {
    note("sign_out", account, caller);
    return later<ipc::SignOutAnswer>(caller, account, std::move(reply), [](const std::string& name, FakeAccount& a) {
      return ipc::SignOutAnswer{name, a.pending_revocations};
    });
  }

  ipc::Answer<ipc::AccountStatus> status(const ipc::Caller& caller, std::string_view account) override {
    note("status", account, caller);
    FakeAccount* found = find(caller, account);
    if (found == nullptr) return missing();
    if (found->problem) return *found->problem;
    return status_of(std::string(account), *found);
  }

  ipc::AccountList list(const ipc::Caller& caller, std::string_view behind) override {
    note("list", std::string(behind), caller);
    ipc::AccountList part;
    auto at = behind.empty() ? accounts_.begin() : accounts_.upper_bound(behind);
    for (std::size_t looked_at = 0; at != accounts_.end() && looked_at < accounts_at_once; ++at, ++looked_at) {
      if (may_know(caller, at->second)) part.accounts.push_back(status_of(at->first, at->second));
    }
    if (at != accounts_.end()) part.last = std::prev(at)->first;
    return part;
  }

  ipc::Answer<ipc::WhoAmI> who_am_i(const ipc::Caller& caller, std::optional<pid_t> of) override {
    note("whoami", {}, caller, [&](Asked& a) { a.pid = of; });
    if (of && admin_problem) return *admin_problem;
    ipc::WhoAmI who;
    who.caller = caller;
    who.caller.unit = "score-sync.service";
    who.exe_why = "it may not be read";
    who.user = "alice";
    for (const gid_t gid : caller.groups)
      who.groups.emplace_back(gid, "group");
    for (auto& [name, account] : accounts_) {
      who.accounts.push_back({name, {"get", "watch"}, {{"accounts.d/a.toml:7", true, "user alice"}}});
    }
    return who;
  }

  std::vector<ipc::ProviderSummary> providers(const ipc::Caller&) override {
    return {{"flat",
             "Flat",
             "https://flat.io/developers",
             "/usr/share/credsyncd/providers/flat.toml",
             {"authorization_code", "static"}}};
  }

  ipc::Answer<ipc::ProviderDetail> provider(const ipc::Caller& caller, std::string_view id) override {
    note("provider", id, caller);
    if (id != "flat") return ipc::Problem{ipc::ProblemKind::kNoSuchAccount, "there is no such provider", {}, {}, {}};
    return ipc::ProviderDetail{"flat", "Flat", {}, {{"token.url", "https://api.example/token", "flat.toml", 12, {}}}};
  }

  std::unique_ptr<ipc::Pending> reload(const ipc::Caller& caller, ipc::Reply<ipc::ReloadAnswer> reply) override {
    note("reload", {}, caller);
    admin_problem ? reply(*admin_problem) : reply(ipc::ReloadAnswer{{"a"}, {"b"}, {"c"}, {"careful"}});
    return nullptr;
  }

  std::unique_ptr<ipc::Pending> doctor(const ipc::Caller&, ipc::Reply<std::vector<ipc::Check>> reply) override {
    if (admin_problem) {
      reply(*admin_problem);
    } else {
      reply(std::vector<ipc::Check>{{"store", "ok", "the store can be written", {}},
                                    {"clock", "warning", "the clock is not synchronised", "timedatectl"}});
    }
    return nullptr;
  }

  ipc::Answer<std::vector<ipc::AuditRecord>> audit(const ipc::Caller& caller, std::optional<WallTime> since) override {
    note("audit", {}, caller, [&](Asked& a) { a.since = since; });
    if (admin_problem) return *admin_problem;
    return std::vector<ipc::AuditRecord>{
        {wall_from_seconds(1'800'000'000),
         "get",
         "allowed",
         "flat",
         7,
         1000,
         42,
         "flat.toml:9",
         {},
         "a.service",
         "/a",
         3},
        {wall_from_seconds(1'800'000'001), "refresh", "done", "flat", 8, {}, 0, {}, {}, {}, {}, 1}};
  }

  ipc::Answer<std::string> metrics(const ipc::Caller&) override {
    if (admin_problem) return *admin_problem;
    return metrics_text;
  }

  ipc::Answer<std::unique_ptr<ipc::Pending>> subscribe(const ipc::Caller& caller, std::string_view account,
                                                       std::function<void(const ipc::Event&)> on_event) override {
    note("subscribe", account, caller);
    if (!account.empty() && find(caller, account) == nullptr) return missing();
    for (auto& [name, known] : accounts_) {
      if (may_know(caller, known) && (account.empty() || account == name)) on_event(state_of(name, known));
    }
    auto stream = std::make_unique<Stream>();
    stream->service = this;
    stream->account = account;
    stream->on_event = std::move(on_event);
    streams_.push_back(stream.get());
    return std::unique_ptr<ipc::Pending>(std::move(stream));
  }

  void refused(const ipc::Caller& caller, std::string_view why) override { refusals.emplace_back(caller.uid, why); }

  static ipc::Event state_of(const std::string& name, const FakeAccount& a) {
    return {ipc::Event::Kind::kState, name, a.state, wall_from_seconds(1'800'000'000), a.generation, a.expires_at};
  }

  static ipc::AccountStatus status_of(const std::string& name, FakeAccount& a) {
    ipc::AccountStatus s;
    s.account = name;
    s.provider = "flat";
    s.grant = "client_credentials";
    s.state = a.state;
    s.since = wall_from_seconds(1'800'000'000);
    s.generation = a.generation;
    s.usable = true;
    s.expires_at = a.expires_at;
    s.expires_in = a.expires_in;
    s.scope = a.scope;
    s.actions = {"get", "watch"};
    if (a.decorate) a.decorate(s);
    return s;
  }

 private:
  struct Waiter final : ipc::Pending {
    ~Waiter() override {
      if (service != nullptr) std::erase(service->waiting_, this);
    }
    FakeService* service = nullptr;
    UniqueFunction<void()> answer;
    UniqueFunction<void(ipc::Problem)> refuse;
  };
  struct Stream final : ipc::Pending {
    ~Stream() override {
      if (service != nullptr) std::erase(service->streams_, this);
    }
    FakeService* service = nullptr;
    std::string account;
    std::function<void(const ipc::Event&)> on_event;
  };

  static ipc::Problem missing() {
    return ipc::Problem{ipc::ProblemKind::kNoSuchAccount, "no account here", {}, {}, {}};
  }
  static bool may_know(const ipc::Caller& caller, const FakeAccount& account) {
    return !account.only || *account.only == caller.uid;
  }
  FakeAccount* find(const ipc::Caller& caller, std::string_view name) {
    const auto at = accounts_.find(name);
    return at == accounts_.end() || !may_know(caller, at->second) ? nullptr : &at->second;
  }
  Waiter* take_first() {
    Waiter* first = waiting_.front();
    first->service = nullptr;
    waiting_.erase(waiting_.begin());
    return first;
  }

  void note(std::string_view operation, std::string_view account, const ipc::Caller& caller,
            const std::function<void(Asked&)>& more = {}) {
    if (!remember) return;
    Asked& a = asked.emplace_back();
    a.operation = operation;
    a.account = account;
    a.caller = caller;
    if (more) more(a);
  }

  template <typename T, typename Make>
  std::unique_ptr<ipc::Pending> later(const ipc::Caller& caller, std::string_view name, ipc::Reply<T> reply,
                                      Make make) {
    const auto at = accounts_.find(name);
    if (at == accounts_.end() || !may_know(caller, at->second)) return reply(missing()), nullptr;
    FakeAccount& account = at->second;
    if (account.problem) return reply(*account.problem), nullptr;
    if (!account.waits) return reply(make(at->first, account)), nullptr;
    auto waiter = std::make_unique<Waiter>();
    waiter->service = this;
    auto shared = std::make_shared<ipc::Reply<T>>(std::move(reply));
    waiter->answer = [shared, make, &account, key = at->first] { (*shared)(make(key, account)); };
    waiter->refuse = [shared](const ipc::Problem& problem) { (*shared)(problem); };
    waiting_.push_back(waiter.get());
    return waiter;
  }

  std::unique_ptr<ipc::Pending> later_of_login(const ipc::Caller& caller, std::string_view id,
                                               ipc::Reply<ipc::LoginView> reply) {
    const auto at = logins.find(id);
    if (at == logins.end() || at->second.owner != caller.uid) return reply(missing()), nullptr;
    FakeLogin& login = at->second;
    if (login.problem) return reply(*login.problem), nullptr;
    if (!login.waits) return reply(login.view), nullptr;
    auto waiter = std::make_unique<Waiter>();
    waiter->service = this;
    auto shared = std::make_shared<ipc::Reply<ipc::LoginView>>(std::move(reply));
    waiter->answer = [shared, &login] { (*shared)(login.view); };
    waiter->refuse = [shared](const ipc::Problem& problem) { (*shared)(problem); };
    waiting_.push_back(waiter.get());
    return waiter;
  }

  std::map<std::string, FakeAccount, std::less<>> accounts_;
  std::vector<Waiter*> waiting_;
  std::vector<Stream*> streams_;
};

}  // namespace credsync::fakes
