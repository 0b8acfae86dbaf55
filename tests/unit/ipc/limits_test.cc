// What one user may hold, and that nobody else notices who is over it.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "ipc/http/connection.h"
#include "ipc/http/users.h"
#include "tests/unit/ipc/http_harness.h"

namespace credsync::ipc::http {
namespace {

using Json = nlohmann::json;

class LimitsTest : public HttpTest {
 protected:
  LimitsTest() { service_.add("a"); }

  void expect_busy(const Response& response, int status = 429, std::string_view type = "busy") {
    EXPECT_EQ(response.status, status);
    ASSERT_TRUE(response.headers.contains("retry-after"));
    EXPECT_EQ(Json::parse(response.body).at("type"), "urn:credsync:error:" + std::string(type));
  }
  const std::string token_ = request("GET", "/v1/accounts/a/token");
};

TEST_F(LimitsTest, AConnectionOverTheLimitIsToldAndClosed) {
  start(Limits{2, 64, 16, 4096});
  std::vector<Client> held;
  for (int i = 0; i < 2; ++i) {
    send(held.emplace_back(connect()), token_);
    EXPECT_EQ(read(held.back()).status, 200);
  }
  Client third = connect();
  expect_busy(read(third));  // at once: no request is needed
  EXPECT_TRUE(ends(third));
  ASSERT_EQ(service_.refusals.size(), 1U);
  EXPECT_EQ(service_.refusals[0], std::pair(::geteuid(), std::string("too many connections")));

  third.leave();
  held.pop_back();
  ASSERT_TRUE(until([&] { return server_->counts().connections == 1; }));
  EXPECT_EQ(ask(token_).status, 200);
}

TEST_F(LimitsTest, AClientOverTheLimitThatSendsFirstReadsWhyToo) {
  start(Limits{1, 64, 16, 4096});
  Client held = connect();
  send(held, token_);
  EXPECT_EQ(read(held).status, 200);
  Client over = connect();
  EXPECT_EQ(over.send_some(token_), token_.size());
  expect_busy(read(over));
}

TEST_F(LimitsTest, AFloodOfRefusedConnectionsHoldsNothing) {
  start(Limits{1, 64, 16, 4096});
  Client held = connect();
  send(held, token_);
  EXPECT_EQ(read(held).status, 200);
  std::vector<Client> flood;
  for (int i = 0; i < 500; ++i)
    flood.push_back(connect());
  settle();
  EXPECT_LE(server_->counts().connections, 1U + 8U);
  send(held, token_);
  EXPECT_EQ(read(held).status, 200);
}

TEST_F(LimitsTest, NewLimitsHoldFromNowOn) {
  start(Limits{1, 64, 16, 4096});
  Client first = connect();
  send(first, token_);
  EXPECT_EQ(read(first).status, 200);
  server_->set_limits(Limits{2, 64, 16, 4096});
  Client second = connect();
  send(second, token_);
  EXPECT_EQ(read(second).status, 200);
  server_->set_limits(Limits{1, 64, 16, 4096});
  send(second, token_);
  EXPECT_EQ(read(second).status, 200) << "who is over a new limit stays";
  Client third = connect();
  expect_busy(read(third));
}

TEST_F(LimitsTest, WaitingRequestsAreLimited) {
  start(Limits{64, 2, 16, 4096});
  service_.add("slow").waits = true;
  std::vector<Client> waiting;
  for (int i = 0; i < 2; ++i)
    send(waiting.emplace_back(connect()), request("GET", "/v1/accounts/slow/token"));
  ASSERT_TRUE(until([&] { return server_->counts().waiting == 2; }));
  Client over = connect();
  for (const auto& [method, path] :
       {std::pair("GET", "/v1/accounts/slow/token"), std::pair("POST", "/v1/accounts/slow/refresh")}) {
    send(over, request(method, path));
    expect_busy(read(over));
  }
  EXPECT_EQ(service_.asked.back().operation, "token") << "a refresh that may not wait is not begun";
  EXPECT_EQ(service_.waiting(), 2U);
  send(over, token_);
  EXPECT_EQ(read(over).status, 200) << "what needs no wait is answered";
  service_.answer_waiting();
  for (Client& client : waiting)
    EXPECT_EQ(read(client).status, 200);
  EXPECT_EQ(server_->counts().waiting, 0U);
}

TEST_F(LimitsTest, StreamsAreLimited) {
  start(Limits{64, 64, 1, 4096});
  Client stream = connect();
  send(stream, request("GET", "/v1/events"));
  ASSERT_TRUE(until([&] { return service_.streams() == 1; }));
  expect_busy(get("/v1/events"));
  stream.leave();
  ASSERT_TRUE(until([&] { return service_.streams() == 0; }));
  Client next = connect();
  send(next, request("GET", "/v1/events"));
  EXPECT_TRUE(until([&] { return service_.streams() == 1; }));
}

TEST_F(LimitsTest, TheLongestIdleGivesWayWhenAllPlacesAreTaken) {
  start(Limits{64, 64, 16, 3});
  std::vector<Client> clients;
  for (int i = 0; i < 3; ++i) {
    send(clients.emplace_back(connect()), token_);
    EXPECT_EQ(read(clients.back()).status, 200);
  }
  send(clients[0], token_);
  EXPECT_EQ(read(clients[0]).status, 200);
  EXPECT_EQ(ask(token_).status, 200);
  EXPECT_TRUE(ends(clients[1]));
  clients[2].read_available();
  EXPECT_FALSE(clients[2].ended);
}

// A request may be on its way while its connection is chosen: whichever is looked at first.
TEST_F(LimitsTest, WhoGivesWayIsAnsweredFirst) {
  start(Limits{64, 64, 16, 1});
  for (int round = 0; round < 20; ++round) {
    Client first = connect();
    send(first, token_);
    EXPECT_EQ(read(first).status, 200);
    Client second = connect();  // the loop does not run before the request is there, too
    first.send_some(token_);
    EXPECT_EQ(read(first).status, 200) << round;
    EXPECT_TRUE(ends(first)) << round;
    send(second, token_);
    EXPECT_EQ(read(second).status, 200) << round;
    second.leave();
    ASSERT_TRUE(until([&] { return server_->counts().connections == 0; }));
  }
}

TEST_F(LimitsTest, WhoWaitsForAnAnswerDoesNotGiveWay) {
  start(Limits{64, 64, 16, 2});
  service_.add("slow").waits = true;
  Client first = connect();
  send(first, token_);
  EXPECT_EQ(read(first).status, 200);
  Client next = connect();
  send(next, token_);
  EXPECT_EQ(read(next).status, 200);
  Client third = connect();
  first.send_some(request("GET", "/v1/accounts/slow/token"));
  send(third, token_);
  EXPECT_EQ(read(third).status, 200);
  EXPECT_TRUE(ends(next)) << "idle, if not so long";
  first.read_available();
  EXPECT_FALSE(first.ended);
}

TEST_F(LimitsTest, WithoutAnIdleConnectionNewOnesAreTurnedAway) {
  start(Limits{64, 64, 16, 2});
  service_.account("a").waits = true;
  std::vector<Client> clients;
  for (int i = 0; i < 2; ++i)
    send(clients.emplace_back(connect()), token_);
  ASSERT_TRUE(until([&] { return service_.waiting() == 2; }));
  Client over = connect();
  expect_busy(read(over), 503, "unavailable");
}

// Descriptors of the process run out at the n-th that is opened from now on.
class DescriptorShortage {
 public:
  explicit DescriptorShortage(int spare) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const Descriptor next(::dup(0));
    rlimit now = before_;
    now.rlim_cur = static_cast<rlim_t>(next.get() + spare);
    ::setrlimit(RLIMIT_NOFILE, &now);
  }
  ~DescriptorShortage() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(LimitsTest, WithoutDescriptorsClientsAreToldAndTheLoopStaysCalm) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP()
      << "UndefinedBehaviorSanitizer looks at an object's type through a pipe, for which there are no descriptors";
#endif
  start();
  Client first = connect();
  send(first, token_);
  EXPECT_EQ(read(first).status, 200);
  std::vector<Client> clients;
  for (int i = 0; i < 10; ++i)
    clients.push_back(connect());
  int refused = 0;
  {
    const DescriptorShortage shortage(4);
    unsigned turns = 0;
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(350);
    for (; std::chrono::steady_clock::now() < end; ++turns)
      turn(std::chrono::milliseconds(50));
    EXPECT_LT(turns, 100U);
    send(first, token_);
    EXPECT_EQ(read(first).status, 200);
  }
  ASSERT_TRUE(until([&] { return server_->counts().connections + 3 >= 8; }));
  for (Client& client : clients) {
    client.send_some(token_);
    const Response response = read(client);
    EXPECT_TRUE(response.status == 200 || response.status == 503 || response.status == 0) << response.status;
    refused += response.status == 503 ? 1 : 0;
  }
  EXPECT_GT(refused, 0);
  EXPECT_EQ(ask(token_).status, 200);
}

TEST_F(LimitsTest, TwoThousandConnectionsAtOnce) {
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  rlimit more = before;
  more.rlim_cur = before.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &more);
  constexpr std::size_t kMany = 2000;
  if (more.rlim_cur < 3 * kMany) GTEST_SKIP() << "this needs " << 3 * kMany << " descriptors";
  start(Limits{kMany, kMany, 16, 4096});
  service_.add("slow").waits = true;
  std::vector<Client> clients;
  for (std::size_t i = 0; i < kMany; ++i) {
    send(clients.emplace_back(connect()), request("GET", "/v1/accounts/slow/token"));
  }
  ASSERT_TRUE(until([&] { return server_->counts().waiting == kMany; }));
  service_.answer_waiting();
  for (Client& client : clients)
    ASSERT_EQ(read(client).status, 200);
  for (Client& client : clients)
    send(client, token_);
  for (Client& client : clients)
    ASSERT_EQ(read(client).status, 200);
  clients.clear();
  EXPECT_TRUE(until([&] { return server_->counts().connections == 0; }));
  EXPECT_EQ(server_->counts().users, 0U);
  ::setrlimit(RLIMIT_NOFILE, &before);
}

TEST_F(LimitsTest, RequestsASecondAreLimitedAndWhoGoesOnIsLetRest) {
  Limits limits{64, 64, 16, 4096};
  limits.max_requests_per_second = 5;
  start(limits);
  Client client = connect();  // counts as well
  std::string many;
  for (int i = 0; i < 20; ++i)
    many += token_;
  send(client, many);
  int given = 0, refused = 0;
  for (int i = 0; i < 20; ++i) {
    const Response response = read(client);
    if (response.status == 200) {
      ++given;
    } else {
      expect_busy(response);
      ++refused;
    }
    EXPECT_TRUE(i != 5 || refused > 0) << "no more at once than a second's worth";
  }
  EXPECT_GE(given, 4);
  EXPECT_EQ(given + refused, 20) << "every one is answered, the late ones after a rest";
  EXPECT_FALSE(service_.refusals.empty());
  EXPECT_LE(service_.asked.size(), static_cast<std::size_t>(given)) << "what is refused is not asked";
}

TEST_F(LimitsTest, ANewConnectionBringsNoNewRequests) {
  Limits limits{64, 64, 16, 4096};
  limits.max_requests_per_second = 4;
  start(limits);
  int given = 0;
  for (int i = 0; i < 40; ++i) {
    Client client = connect();
    client.send_some(token_);
    given += read(client).status == 200 ? 1 : 0;
  }
  EXPECT_GE(given, 1);
  EXPECT_LT(given, 40);
  EXPECT_EQ(server_->counts().users, 0U + (server_->counts().connections > 0 ? 1U : 0U));
}

TEST(UseTest, RequestsComeBackWithTimeUpToASecondsWorth) {
  Use use;
  BootTime now(Duration(1000s));
  for (int i = 0; i < 10; ++i)
    EXPECT_TRUE(use.take(now, 10));
  EXPECT_FALSE(use.take(now, 10));
  EXPECT_FALSE(use.has_rested(now, 10));
  now += 100ms;
  EXPECT_TRUE(use.take(now, 10));
  EXPECT_FALSE(use.take(now, 10));
  now += 1h;
  EXPECT_TRUE(use.has_rested(now, 10));
  int taken = 0;
  while (use.take(now, 10))
    ++taken;
  EXPECT_EQ(taken, 10);
  EXPECT_TRUE(use.take(now, 0)) << "no limit";
}

TEST(UseTest, AUserHasAShareOfEachTurn) {
  Use use;
  for (unsigned i = 0; i < kShareAmongMany; ++i) {
    EXPECT_TRUE(use.has_turn(1, kShareAmongMany));
    use.spend(1, 1);
  }
  EXPECT_FALSE(use.has_turn(1, kShareAmongMany));
  EXPECT_TRUE(use.has_turn(1, kShareAlone));
  EXPECT_TRUE(use.has_turn(2, kShareAmongMany));
}

TEST(UseTest, UsersThatHaveAConnectionAreCounted) {
  Users users;
  Use& use = users.of(7);
  users.comes(use), ++use.connections;
  users.comes(use), ++use.connections;
  EXPECT_EQ(users.present(), 1U);
  --use.connections, users.leaves(use);
  EXPECT_EQ(users.present(), 1U);
  --use.connections, users.leaves(use);
  EXPECT_EQ(users.present(), 0U);
}

// Another user, in a child process: connects `count` times, waits for the end of `gate`, leaves.
pid_t crowd(const std::string& path, std::size_t count, uid_t uid, int ready, const int (&gate)[2]) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  ::close(gate[1]);
  if (::setgid(uid) != 0 || ::setuid(uid) != 0) ::_exit(1);
  std::vector<Client> clients;
  for (std::size_t i = 0; i < count; ++i)
    clients.emplace_back(path);
  const char byte = 'r';
  if (::write(ready, &byte, 1) != 1) ::_exit(2);
  char go = 0;
  [[maybe_unused]] const ssize_t got = ::read(gate[0], &go, 1);
  ::_exit(0);
}

TEST_F(LimitsTest, OneUserOverItsLimitIsNotNoticedByAnother) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can be two users";
  start(Limits{4, 64, 16, 4096});
  int ready[2], gate[2];
  ASSERT_EQ(::pipe2(ready, O_NONBLOCK), 0);
  ASSERT_EQ(::pipe(gate), 0);
  constexpr uid_t kOther = 54321;
  const pid_t child = crowd(path_, 100, kOther, ready[1], gate);
  ASSERT_GT(child, 0);
  char byte = 0;
  ASSERT_TRUE(until([&] { return ::read(ready[0], &byte, 1) == 1; }));
  settle();
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(ask(token_).status, 200);
  EXPECT_EQ(server_->counts().users, 2U);
  for (const auto& [uid, why] : service_.refusals)
    EXPECT_EQ(uid, kOther);
  EXPECT_EQ(service_.refusals.size(), 96U);
  ::close(gate[1]);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(until([&] { return server_->counts().connections == 0; }));
  for (const int fd : {ready[0], ready[1], gate[0]})
    ::close(fd);
}

}  // namespace
}  // namespace credsync::ipc::http
