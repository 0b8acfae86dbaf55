// Sign-in sessions as callers meet them: decided anew at every use, and not there for anybody else.
#include <gtest/gtest.h>

#include <algorithm>

#include "daemon/handout/service.h"
#include "tests/fakes/login_world.h"

namespace credsync::handout {
namespace {

using config::Action;
using ipc::ProblemKind;
using provider::Grant;

constexpr uid_t kAlice = 1000, kBob = 1001, kRoot = 0;

// The kernel vouches for whoever has a pid.
ipc::Caller person(uid_t uid) {
  ipc::Caller caller = fakes::LoginWorld::person(uid);
  caller.pid = 42;
  return caller;
}

struct ServiceWorld : fakes::LoginWorld {
  ServiceWorld() {
    administration.config = [this]() -> const config::Config& { return config; };
    service = std::make_unique<Service>(accounts, desk, refresher, sign_in, sign_out, sessions, audit, administration,
                                        Owner{kRoot, false, {}}, clock);
  }
  config::Config config;
  Administration administration;
  Audit audit{clock, agenda};
  std::unique_ptr<Service> service;
};

class SignInSessionsTest : public testing::Test {
 protected:
  SignInSessionsTest() { add("flat", Grant::kAuthorizationCode, {kAlice, kBob, kRoot}); }
  void add(const std::string& name, Grant grant, const std::vector<uid_t>& users) {
    world.add(with_rules(name, grant, users));
  }
  std::shared_ptr<config::Account> with_rules(const std::string& name, Grant grant, const std::vector<uid_t>& users) {
    auto account = fakes::make_account(name, profile, grant);
    for (const uid_t user : users) {
      config::AllowRule rule;
      rule.label = "account." + name + ".allow";
      rule.user = user;
      rule.actions = static_cast<unsigned>(Action::kLogin) | static_cast<unsigned>(Action::kWatch);
      account->allow.push_back(rule);
    }
    return account;
  }
  // What a login is answered now; nothing while the provider is asked.
  template <typename T>
  static std::optional<ipc::Problem> problem_in(const std::optional<ipc::Answer<T>>& said) {
    const auto* problem = said ? std::get_if<ipc::Problem>(&*said) : nullptr;
    return problem != nullptr ? std::optional(*problem) : std::nullopt;
  }
  struct Said {
    std::optional<ipc::Answer<ipc::LoginAnswer>> said;
    std::unique_ptr<ipc::Pending> pending;
    std::optional<ipc::Problem> problem() const { return problem_in<ipc::LoginAnswer>(said); }
    std::optional<ipc::LoginAnswer> answer() const {
      const auto* given = said ? std::get_if<ipc::LoginAnswer>(&*said) : nullptr;
      return given != nullptr ? std::optional(*given) : std::nullopt;
    }
  };
  std::unique_ptr<Said> login(uid_t uid, const std::string& account, ipc::LoginRequest request = {}) {
    auto said = std::make_unique<Said>();
    said->pending = world.service->login(
        person(uid), account, std::move(request),
        [s = said.get()](ipc::Answer<ipc::LoginAnswer> answer) { s->said.emplace(std::move(answer)); });
    if (!world.server.authorizing.empty()) {
      world.state = std::string(world.server.authorizing.front().call.secrets.state.expose());
      oauth::AuthorizeAnswer ready;
      ready.url = Secret("https://auth.example/authorize");
      ready.profile = profile;
      world.server.answer_authorize(std::move(ready));
    }
    return said;
  }
  std::string begin(uid_t uid) {
    begun.push_back(login(uid, "flat"));
    return std::get<ipc::LoginView>(begun.back()->answer().value()).id;
  }
  std::optional<ipc::Problem> problem_of_wait(uid_t uid, const std::string& id) {
    std::optional<ipc::Answer<ipc::LoginView>> said;
    const auto pending =
        world.service->wait_login(person(uid), id, Duration::zero(),
                                  [&](ipc::Answer<ipc::LoginView> answer) { said.emplace(std::move(answer)); });
    return problem_in<ipc::LoginView>(said);
  }
  static void expect_same(const ipc::Problem& a, const ipc::Problem& b) {
    EXPECT_EQ(a.kind, b.kind);
    EXPECT_EQ(a.detail, b.detail);
    EXPECT_EQ(a.next_step, b.next_step);
  }

  std::shared_ptr<provider::Profile> profile = fakes::make_profile();
  ServiceWorld world;
  std::vector<std::unique_ptr<Said>> begun;
};

TEST_F(SignInSessionsTest, ForAnotherUserThereIsNone) {
  const std::string id = begin(kAlice);
  const ipc::Problem missing = std::get<ipc::Problem>(world.service->status(person(kBob), "none"));
  EXPECT_FALSE(problem_of_wait(kAlice, id));
  for (const uid_t other : {kBob, kRoot}) {
    expect_same(problem_of_wait(other, id).value(), missing);
    expect_same(std::get<ipc::Problem>(world.service->cancel_login(person(other), id)), missing);
    world.service->answer_login(
        person(other), id, Secret("code=x&state=" + world.state),
        [&](ipc::Answer<ipc::LoginView> answer) { expect_same(std::get<ipc::Problem>(answer), missing); });
  }
  expect_same(problem_of_wait(kAlice, std::string(32, 'a')).value(), missing);
  EXPECT_FALSE(problem_of_wait(kAlice, id)) << "nothing of that changed it";
  EXPECT_EQ(world.endpoint.calls_made, 0U);
}

TEST_F(SignInSessionsTest, WhoMayNotSignInAnyMoreHasNone) {
  const std::string id = begin(kAlice);
  world.accounts.replace_config(*world.accounts.find("flat"), with_rules("flat", Grant::kAuthorizationCode, {kBob}));
  EXPECT_EQ(problem_of_wait(kAlice, id)->kind, ProblemKind::kNoSuchAccount);
  EXPECT_TRUE(world.doors.come_back(world.good_answer()).taken);
  world.settle();
  EXPECT_EQ(world.endpoint.calls_made, 0U) << "nor does the browser's answer count";
  EXPECT_EQ(world.doors.last_shown->kind, login::PageKind::kFailed);
}

TEST_F(SignInSessionsTest, OnlyRootNamesAnotherUsersBrowser) {
  ipc::LoginRequest request;
  request.browser_user = kBob;
  EXPECT_EQ(login(kAlice, "flat", std::move(request))->problem()->kind, ProblemKind::kBadRequest);
  ipc::LoginRequest own;
  own.browser_user = kAlice;
  EXPECT_TRUE(login(kAlice, "flat", std::move(own))->answer());
  world.sessions.cancel(std::get<ipc::LoginView>(login(kAlice, "flat")->answer().value()).id);
  ipc::LoginRequest roots;
  roots.browser_user = kBob;
  EXPECT_TRUE(login(kRoot, "flat", std::move(roots))->answer());
  EXPECT_EQ(world.doors.last().order.user, kBob);
}

TEST_F(SignInSessionsTest, EachGrantIsSignedInToItsOwnWay) {
  add("machine", Grant::kClientCredentials, {kAlice});
  for (const ipc::LoginMethod wrong : {ipc::LoginMethod::kBrowser, ipc::LoginMethod::kDevice}) {
    ipc::LoginRequest request;
    request.method = wrong;
    EXPECT_EQ(login(kAlice, "machine", std::move(request))->problem()->kind, ProblemKind::kBadRequest);
  }
  const auto machine = login(kAlice, "machine");
  world.settle();
  ASSERT_FALSE(world.endpoint.calls.empty()) << "client credentials need nobody";
  while (!world.endpoint.calls.empty())  // the sign-in, and the first token that such an account fetches by itself
    world.give_tokens(fakes::make_tokens(world.clock, "access", "", 1h));
  EXPECT_TRUE(std::holds_alternative<ipc::AccountStatus>(machine->answer().value()));
  ipc::LoginRequest device;
  device.method = ipc::LoginMethod::kDevice;
  EXPECT_TRUE(login(kAlice, "flat", std::move(device))->problem()) << "its provider has no device endpoint";
  EXPECT_TRUE(login(kAlice, "none")->problem());
}

TEST_F(SignInSessionsTest, AreWrittenDown) {
  const std::string id = begin(kAlice);
  world.service->cancel_login(person(kAlice), id);
  std::vector<std::string> decisions;
  for (const ipc::AuditRecord& record : world.audit.since(std::nullopt)) {
    if (record.action == "login" && record.account == "flat") decisions.push_back(record.decision);
  }
  EXPECT_EQ(decisions, (std::vector<std::string>{"begun", "cancelled"}));
}

// Of accounts that others may see nothing is in any part, and a part may be empty that is not the last.
class ListTest : public SignInSessionsTest {
 protected:
  std::vector<std::string> names(uid_t uid) {
    std::vector<std::string> found;
    std::string behind;
    parts = 0;
    do {
      const ipc::AccountList part = world.service->list(person(uid), behind);
      for (const ipc::AccountStatus& status : part.accounts)
        found.push_back(status.account);
      behind = part.last;
      ++parts;
    } while (!behind.empty());
    return found;
  }
  unsigned parts = 0;
};

TEST_F(ListTest, AllThatMayBeSeenIsInOnePartEach) {
  std::vector<std::string> of_alice{"flat"}, of_bob{"flat"};
  for (std::size_t i = 1; i < 3 * kAccountsAtOnce; ++i) {
    const std::string name = "a" + std::to_string(10'000 + i);
    const bool alices = i < 2 * kAccountsAtOnce;
    add(name, Grant::kStatic, {alices ? kAlice : kBob});
    (alices ? of_alice : of_bob).push_back(name);
  }
  std::sort(of_alice.begin(), of_alice.end());
  std::sort(of_bob.begin(), of_bob.end());
  EXPECT_EQ(names(kAlice), of_alice);
  EXPECT_EQ(names(kBob), of_bob);
  EXPECT_EQ(parts, 3U);
  EXPECT_EQ(names(kBob + 1), std::vector<std::string>());
}

}  // namespace
}  // namespace credsync::handout
