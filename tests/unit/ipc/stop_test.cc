// An orderly end: everybody who was promised something gets it, and the daemon is told when that is done.
#include <dlfcn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>

#include "ipc/http/listener.h"
#include "tests/unit/ipc/http_harness.h"

namespace {

// What happens between the server's last look at a connection and what it does next. Once.
std::function<void()> after_nothing_came;

}  // namespace

// In the place of the C library's, for the whole program.
extern "C" ssize_t recvmsg(int socket, msghdr* message, int flags) {
  using Receive = ssize_t (*)(int, msghdr*, int);
  static const auto real = reinterpret_cast<Receive>(::dlsym(RTLD_NEXT, "recvmsg"));
  const ssize_t got = real(socket, message, flags);
  if (got >= 0 || errno != EAGAIN || !after_nothing_came) return got;
  std::exchange(after_nothing_came, {})();
  errno = EAGAIN;
  return got;
}

namespace credsync::ipc::http {
namespace {

using Json = nlohmann::json;

class StopTest : public HttpTest {
 protected:
  StopTest() { service_.add("a"); }
  void stop(Duration at_most = 10s) {
    server_->stop(at_most, [this] { stopped_ = true; });
  }
  const std::string token_ = request("GET", "/v1/accounts/a/token");
  bool stopped_ = false;
};

TEST_F(StopTest, IsDoneAtOnceWhenNobodyIsThere) {
  start();
  stop();
  EXPECT_FALSE(stopped_) << "never within the call";
  EXPECT_TRUE(until([&] { return stopped_; }));
  EXPECT_FALSE(connect().connected());
  struct stat status {};
  EXPECT_NE(::stat(path_.c_str(), &status), 0) << "the socket is gone";
}

TEST_F(StopTest, ClosesIdleConnections) {
  Client client = connect();
  send(client, token_);
  EXPECT_EQ(read(client).status, 200);
  stop();
  EXPECT_TRUE(ends(client));
  EXPECT_TRUE(until([&] { return stopped_; }));
}

TEST_F(StopTest, TellsThoseWhoWait) {
  service_.account("a").waits = true;
  Client client = connect();
  send(client, token_ + token_);
  ASSERT_TRUE(until([&] { return service_.waiting() == 1; }));
  stop();
  const Response response = read(client);
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(Json::parse(response.body).at("type"), "urn:credsync:error:unavailable");
  EXPECT_TRUE(Json::parse(response.body).at("stopping").get<bool>());
  EXPECT_EQ(response.headers.at("retry-after"), "1");
  EXPECT_EQ(response.headers.at("connection"), "close");
  EXPECT_TRUE(ends(client));
  EXPECT_TRUE(until([&] { return stopped_; }));
  EXPECT_EQ(service_.waiting(), 0U);
}

TEST_F(StopTest, AnswersWhatHasComeAlready) {
  Client client = connect();
  send(client, token_);
  EXPECT_EQ(read(client).status, 200);
  client.send_some(token_);
  stop();
  const Response response = read(client);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.at("connection"), "close");
  EXPECT_TRUE(until([&] { return stopped_; }));
}

TEST_F(StopTest, AnswersWhoHasConnectedAlready) {
  start();
  Client client = connect();
  client.send_some(token_);
  stop();
  EXPECT_EQ(read(client).status, 200);
  EXPECT_TRUE(until([&] { return stopped_; }));
}

// A machine under load has many who connected and did not come to their first request yet.
TEST_F(StopTest, WhoConnectedOnlyNowIsAnsweredAndThenClosed) {
  start();
  Client client = connect();
  settle();
  ASSERT_EQ(server_->counts().connections, 1U);
  stop();
  settle();
  EXPECT_FALSE(stopped_);
  send(client, token_.substr(0, 20));
  settle();
  send(client, token_.substr(20));
  const Response response = read(client);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.at("connection"), "close");
  EXPECT_TRUE(ends(client));
  EXPECT_TRUE(until([&] { return stopped_; }));
}

TEST_F(StopTest, WhoConnectedAndStaysSilentIsNotAwaitedForLong) {
  Timing timing;
  timing.first_request = 50ms;
  start(generous(), timing);
  Client client = connect();
  settle();
  stop();
  EXPECT_TRUE(ends(client));
  ASSERT_TRUE(until([&] { return stopped_; }, std::chrono::milliseconds(5000)))
      << "long before the whole end is forced";
  EXPECT_EQ(client.send_some(token_), 0U) << "what would not be answered is refused";
}

TEST_F(StopTest, ASilentConnectionThatIsNotNewIsClosedAtOnce) {
  Timing timing;
  timing.first_request = 1ms;
  start(generous(), timing);
  Client client = connect();
  settle();
  const auto connected = clock_.boot();
  until([&] { return clock_.boot() > connected + timing.first_request; });
  stop();
  EXPECT_TRUE(ends(client));
  EXPECT_TRUE(until([&] { return stopped_; }));
}

TEST_F(StopTest, ARequestThatIsPartlyThereMayBeFinished) {
  Client client = connect();
  send(client, token_.substr(0, 20));
  settle();
  stop();
  settle();
  EXPECT_FALSE(stopped_);
  send(client, token_.substr(20));
  EXPECT_EQ(read(client).status, 200);
  EXPECT_TRUE(until([&] { return stopped_; }));
}

TEST_F(StopTest, ARequestThatWouldWaitIsToldInstead) {
  service_.account("a").waits = true;
  Client client = connect();
  send(client, token_.substr(0, 20));
  settle();
  stop();
  send(client, token_.substr(20));
  EXPECT_EQ(read(client).status, 503);
  EXPECT_TRUE(until([&] { return stopped_; }));
}

TEST_F(StopTest, EndsStreamsWithAComment) {
  Client client = connect();
  send(client, request("GET", "/v1/events"));
  ASSERT_TRUE(until([&] { return service_.streams() == 1; }));
  stop();
  EXPECT_TRUE(ends(client));
  EXPECT_TRUE(client.received.ends_with("\n\n: the daemon is stopping\n\n"));
  EXPECT_TRUE(until([&] { return stopped_; }));
  EXPECT_EQ(service_.streams(), 0U);
}

TEST_F(StopTest, WaitsForAnAnswerThatIsBeingRead) {
  for (int i = 0; i < 2000; ++i)
    service_.add("account-" + std::to_string(i));
  Client client = connect();
  send(client, request("GET", "/v1/accounts"));
  settle();
  stop();
  settle();
  EXPECT_FALSE(stopped_);
  EXPECT_EQ(Json::parse(read(client).body).at("accounts").size(), 2001U);
  EXPECT_TRUE(until([&] { return stopped_; }));
}

TEST_F(StopTest, DoesNotWaitForeverForWhoeverDoesNotRead) {
  for (int i = 0; i < 2000; ++i)
    service_.add("account-" + std::to_string(i));
  Client client = connect();
  send(client, request("GET", "/v1/accounts"));
  settle();
  stop(100ms);
  EXPECT_TRUE(until([&] { return stopped_; }, std::chrono::milliseconds(3000)));
  EXPECT_EQ(server_->counts().connections, 0U);
}

TEST_F(StopTest, WhatComesAfterTheEndOfAnIdleConnectionIsRefusedByTheKernel) {
  Client client = connect();
  send(client, token_);
  EXPECT_EQ(read(client).status, 200);
  stop();
  ASSERT_TRUE(until([&] { return stopped_; }));
  EXPECT_EQ(client.send_some(token_), 0U);
  EXPECT_TRUE(client.broken);
}

TEST_F(StopTest, ARequestThatComesBetweenTheLastLookAndTheEndIsAnswered) {
  Client client = connect();
  send(client, token_);
  EXPECT_EQ(read(client).status, 200);
  settle();
  std::size_t sent = 0;
  after_nothing_came = [&] { sent = client.send_some(token_); };
  stop();
  const Response response = read(client);
  EXPECT_EQ(sent, token_.size()) << "the kernel took it";
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.at("connection"), "close");
  EXPECT_TRUE(until([&] { return stopped_; }));
}

// A caller that keeps its connection, as a thread of its own. Counts requests that were taken whole and not answered.
class Keeper {
 public:
  Keeper(const std::string& path, std::string request) : path_(path), request_(std::move(request)) {
    thread_ = std::thread([this] { run(); });
  }
  ~Keeper() { thread_.join(); }

  std::atomic<unsigned> answered{0};
  std::atomic<unsigned> lost{0};

 private:
  void run() {
    const Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return;
    std::string received;
    while (true) {
      const ssize_t put = ::send(socket.get(), request_.data(), request_.size(), MSG_NOSIGNAL);
      if (put != static_cast<ssize_t>(request_.size())) return;  // the end, before this request
      while (true) {
        if (const auto response = take_response(received)) {
          ++answered;
          if (response->headers.contains("connection")) return;  // the end, after this answer
          break;
        }
        char buffer[4096];
        const ssize_t got = ::recv(socket.get(), buffer, sizeof buffer, 0);
        if (got <= 0) {
          ++lost;
          return;
        }
        received.append(buffer, static_cast<std::size_t>(got));
      }
    }
  }

  const std::string path_, request_;
  std::thread thread_;
};

TEST_F(StopTest, NoRequestOfAKeptConnectionIsLost) {
  constexpr int kRounds = 20;
  constexpr int kKeepers = 24;
  for (int round = 0; round < kRounds; ++round) {
    stopped_ = false;
    start();
    std::vector<std::unique_ptr<Keeper>> keepers;
    for (int i = 0; i < kKeepers; ++i)
      keepers.push_back(std::make_unique<Keeper>(path_, token_));
    ASSERT_TRUE(until(
        [&] { return std::all_of(keepers.begin(), keepers.end(), [](const auto& k) { return k->answered > 3; }); }));
    stop();
    ASSERT_TRUE(until([&] { return stopped_; }));
    server_.reset();
    for (const auto& keeper : keepers)
      EXPECT_EQ(keeper->lost, 0U) << "in round " << round;
    keepers.clear();
  }
}

TEST_F(StopTest, EverybodyWhoConnectedToASocketOfOursIsAnswered) {
  Limits many = generous();
  many.max_connections_per_user = 1000;
  start(many);
  std::vector<Client> clients;
  for (int i = 0; i < 300; ++i) {
    clients.emplace_back(path_);
    ASSERT_TRUE(clients.back().connected());
    clients.back().send_some(token_);
  }
  stop();
  for (Client& client : clients)
    EXPECT_EQ(read(client).status, 200);
  EXPECT_TRUE(until([&] { return stopped_; }));
}

TEST_F(StopTest, WhoConnectedToAnAdoptedSocketWaitsForTheNextProcess) {
  auto listening = ListeningSocket::open(path_, 0666);
  ASSERT_TRUE(listening);
  const auto adopt = [&] {
    auto server = Server::create(*loop_, clock_, service_, generous());
    ASSERT_TRUE(server);
    server_ = std::move(*server);
    ASSERT_TRUE(server_->adopt(Descriptor(::dup(listening->get()))));
  };
  adopt();
  Client before(path_);
  before.send_some(token_);
  EXPECT_EQ(read(before).status, 200);
  stop();
  ASSERT_TRUE(until([&] { return stopped_; }));
  Client meanwhile(path_);
  ASSERT_TRUE(meanwhile.connected());
  meanwhile.send_some(token_);
  server_.reset();
  Client after(path_);
  ASSERT_TRUE(after.connected()) << "the socket goes on listening";
  after.send_some(token_);
  meanwhile.read_available();
  EXPECT_FALSE(meanwhile.ended);
  EXPECT_TRUE(meanwhile.received.empty());
  adopt();
  EXPECT_EQ(read(meanwhile).status, 200);
  EXPECT_EQ(read(after).status, 200);
}

// systemd holds the socket, too, so that closing ours says nothing to the kernel: whoever connects while others are still being
// answered must not reach the door that is gone, nor keep the loop busy.
TEST_F(StopTest, WhoConnectsToAnAdoptedSocketDuringTheDrainIsLeftAlone) {
  constexpr int kTurns = 1000;  // far more than there is to do
  auto listening = ListeningSocket::open(path_, 0666);
  ASSERT_TRUE(listening);
  auto server = Server::create(*loop_, clock_, service_, generous());
  ASSERT_TRUE(server);
  server_ = std::move(*server);
  ASSERT_TRUE(server_->adopt(Descriptor(::dup(listening->get()))));
  Client slow(path_);
  slow.send_some(token_.substr(0, 10));
  settle();
  stop();
  settle();
  Client late(path_);
  ASSERT_TRUE(late.connected());
  late.send_some(token_);
  int turns = 0;
  while (turns<kTurns&& ::sd_event_run(loop_->native(), 0)> 0)
    ++turns;
  EXPECT_LT(turns, kTurns) << "the loop never rests";
  EXPECT_FALSE(stopped_);
  slow.send_some(token_.substr(10));
  EXPECT_EQ(read(slow).status, 200);
  EXPECT_TRUE(until([&] { return stopped_; }));
  late.read_available();
  EXPECT_FALSE(late.ended);
  EXPECT_TRUE(late.received.empty());
}

TEST_F(StopTest, ACrowdAtAnAdoptedSocketIsSharedWithTheNextProcess) {
  constexpr std::size_t kCrowd = 200;  // more than one turn lets in
  Limits many = generous();
  many.max_connections_per_user = 1000;
  auto listening = ListeningSocket::open(path_, 0666);
  ASSERT_TRUE(listening);
  const auto adopt = [&] {
    auto server = Server::create(*loop_, clock_, service_, many);
    ASSERT_TRUE(server);
    server_ = std::move(*server);
    ASSERT_TRUE(server_->adopt(Descriptor(::dup(listening->get()))));
  };
  adopt();
  std::vector<Client> clients;
  for (std::size_t i = 0; i < kCrowd; ++i) {
    clients.emplace_back(path_);
    ASSERT_TRUE(clients.back().connected());
    clients.back().send_some(token_);
  }
  stop();
  ASSERT_TRUE(until([&] { return stopped_; }));
  server_.reset();
  std::size_t left = 0;
  for (Client& client : clients) {
    client.read_available();
    left += client.received.empty() ? 1U : 0U;
    EXPECT_EQ(client.received.empty(), !client.ended) << "answered and closed, or left alone";
  }
  EXPECT_GT(left, 0U);
  adopt();
  for (Client& client : clients)
    EXPECT_EQ(read(client).status, 200);
}

TEST_F(StopTest, TheEndOfWaitingKeepsTheDoorOpen) {
  service_.account("a").waits = true;
  service_.add("b");
  Client waiting = connect();
  send(waiting, token_);
  Client stream = connect();
  send(stream, request("GET", "/v1/events"));
  ASSERT_TRUE(until([&] { return service_.waiting() == 1 && service_.streams() == 1; }));
  server_->end_waiting();
  EXPECT_EQ(read(waiting).status, 503);
  EXPECT_EQ(get("/v1/accounts/a/token").status, 503) << "nobody begins to wait";
  EXPECT_EQ(get("/v1/accounts/b/token").status, 200) << "what is there is given";
  EXPECT_EQ(service_.streams(), 1U);
  EXPECT_FALSE(stopped_);
}

TEST_F(StopTest, ARequestThatIsNeverWholeIsToldWhyItEnds) {
  Client client = connect();
  send(client, token_.substr(0, 20));
  settle();
  stop(100ms);
  ASSERT_TRUE(until([&] { return stopped_; }, std::chrono::milliseconds(3000)));
  EXPECT_EQ(read(client).status, 503);
}

TEST_F(StopTest, TheEndWithoutAStopClosesEverything) {
  service_.account("a").waits = true;
  Client waiting = connect();
  send(waiting, token_);
  Client stream = connect();
  send(stream, request("GET", "/v1/events"));
  ASSERT_TRUE(until([&] { return service_.waiting() == 1 && service_.streams() == 1; }));
  server_.reset();
  EXPECT_EQ(service_.waiting(), 0U);
  EXPECT_EQ(service_.streams(), 0U);
  EXPECT_TRUE(ends(waiting));
}

}  // namespace
}  // namespace credsync::ipc::http
