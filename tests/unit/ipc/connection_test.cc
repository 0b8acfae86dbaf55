// How one connection behaves over time: framing, order, deadlines, slow readers, and clients that leave.
#include <sys/socket.h>
#include <systemd/sd-event.h>

#include <algorithm>

#include <nlohmann/json.hpp>

#include "ipc/http/connection.h"
#include "tests/unit/ipc/http_harness.h"

namespace credsync::ipc::http {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

class ConnectionTest : public HttpTest {
 protected:
  ConnectionTest() { service_.add("a"); }
  const std::string token_ = request("GET", "/v1/accounts/a/token");
};

TEST_F(ConnectionTest, StaysForMoreRequests) {
  Client client = connect();
  for (int i = 0; i < 3; ++i) {
    send(client, token_);
    const Response response = read(client);
    EXPECT_EQ(response.status, 200);
    EXPECT_FALSE(response.headers.contains("connection"));
  }
  EXPECT_EQ(server_->counts().connections, 1U);
}

TEST_F(ConnectionTest, ClosesWhenTheClientWantsIt) {
  Client client = connect();
  send(client, request("GET", "/v1/health", {}, "Connection: Close\r\n"));
  EXPECT_EQ(read(client).headers.at("connection"), "close");
  EXPECT_TRUE(ends(client));
}

TEST_F(ConnectionTest, SpeaksHttp10) {
  Client plain = connect();
  send(plain, "GET /v1/health HTTP/1.0\r\n\r\n");
  const Response once = read(plain);
  EXPECT_EQ(once.status, 200);
  EXPECT_EQ(once.headers.at("connection"), "close");
  EXPECT_TRUE(ends(plain));

  Client kept = connect();
  for (int i = 0; i < 2; ++i) {
    send(kept, "GET /v1/health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_EQ(read(kept).headers.at("connection"), "keep-alive");
  }
}

TEST_F(ConnectionTest, IgnoresOneEmptyLineBeforeARequest) {
  Client client = connect();
  send(client, "\r\n" + token_ + "\r\n" + token_);
  EXPECT_EQ(read(client).status, 200);
  EXPECT_EQ(read(client).status, 200);
  send(client, "\r\n\r\n" + token_);
  EXPECT_EQ(read(client).status, 400);
}

TEST_F(ConnectionTest, TakesARequestByteByByte) {
  Client client = connect();
  const std::string body = R"({"access_token":"abc"})";
  const std::string chunked = request("POST", "/v1/accounts/a/reject", {}, "Transfer-Encoding: chunked\r\n") + "a\r\n" +
                              body.substr(0, 10) + "\r\n0C;x=\"y\"\r\n" + body.substr(10) + "\r\n0\r\n\r\n";
  for (const std::string& bytes : {"\r\n" + token_, request("POST", "/v1/accounts/a/reject", body), chunked}) {
    for (const char byte : bytes) {
      send(client, std::string_view(&byte, 1));
      settle();
    }
    EXPECT_EQ(read(client).status, 200);
  }
  EXPECT_EQ(service_.asked.back().secret, "abc");
  EXPECT_EQ(service_.asked.size(), 3U);
}

TEST_F(ConnectionTest, AnswersPipelinedRequestsInTheirOrder) {
  constexpr int kMany = 500;  // more than one turn answers, more than one read holds
  std::string bytes;
  for (int i = 0; i < kMany; ++i) {
    service_.add("n" + std::to_string(i));
    bytes += request("GET", "/v1/accounts/n" + std::to_string(i) + (i % 7 == 0 ? "" : "/token"));
  }
  Client client = connect();
  send(client, bytes);
  for (int i = 0; i < kMany; ++i) {
    const Response response = read(client);
    ASSERT_EQ(response.status, 200);
    ASSERT_EQ(Json::parse(response.body).at("account"), "n" + std::to_string(i));
  }
}

TEST_F(ConnectionTest, LongAnswersOfOneTakeTurnsWithOthers) {
  Client greedy = connect();
  Client modest = connect();
  std::string bytes;
  for (int i = 0; i < 20; ++i)
    bytes += request("GET", "/v1/accounts");
  send(greedy, bytes);
  send(modest, token_);
  ASSERT_TRUE(until([&] {
    modest.read_available();
    return !modest.received.empty();
  }));
  const auto lists =
      std::count_if(service_.asked.begin(), service_.asked.end(), [](const auto& a) { return a.operation == "list"; });
  EXPECT_LE(lists, 3);
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(read(greedy).status, 200);
}

TEST_F(ConnectionTest, PipelinedRequestsWaitBehindOneThatWaits) {
  service_.add("slow").waits = true;
  Client client = connect();
  send(client, request("GET", "/v1/accounts/slow/token") + token_);
  ASSERT_TRUE(until([&] { return service_.waiting() == 1; }));
  settle();
  EXPECT_EQ(service_.asked.size(), 1U);
  service_.answer_waiting();
  EXPECT_EQ(Json::parse(read(client).body).at("account"), "slow");
  EXPECT_EQ(Json::parse(read(client).body).at("account"), "a");
}

TEST_F(ConnectionTest, SaysContinueWhenTheClientWaitsForIt) {
  const std::string body = R"({"generation":3})";
  const std::string head = request("POST", "/v1/accounts/a/reject", {},
                                   "Expect: 100-continue\r\nContent-Length: " + std::to_string(body.size()) + "\r\n");
  Client client = connect();
  send(client, head);
  EXPECT_EQ(read(client).head, "HTTP/1.1 100 Continue\r\n\r\n");
  send(client, body);
  EXPECT_EQ(read(client).status, 200);

  send(client, head + body);  // it did not wait: no need
  EXPECT_EQ(read(client).status, 200);

  send(client, request("POST", "/v1/accounts/a/reject", {}, "Expect: 100-continue\r\nContent-Length: 70000\r\n"));
  EXPECT_EQ(read(client).status, 413);
}

TEST_F(ConnectionTest, ARequestHasAFixedTimeHoweverItDrips) {
  start(generous(), Timing{.request = 300ms, .answer = 60s, .linger = 50ms});
  Client client = connect();
  const auto begin = std::chrono::steady_clock::now();
  auto next = begin;
  ASSERT_TRUE(until([&] {
    if (std::chrono::steady_clock::now() >= next) {
      client.send_some("a");  // always progress, never a request
      next += milliseconds(5);
    }
    client.read_available();
    return !client.received.empty();
  }));
  const auto took = std::chrono::steady_clock::now() - begin;
  const Response response = read(client);
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(Json::parse(response.body).at("detail"), "the request was not complete in time");
  EXPECT_GE(took, milliseconds(300));
  EXPECT_LT(took, milliseconds(3000));
  EXPECT_TRUE(until([&] { return server_->counts().connections == 0; }));
}

TEST_F(ConnectionTest, TheTimeCountsFromTheFirstByteOfEachRequest) {
  start(generous(), Timing{.request = 200ms, .answer = 60s, .linger = 50ms});
  Client client = connect();
  const auto end = std::chrono::steady_clock::now() + milliseconds(500);
  while (std::chrono::steady_clock::now() < end)
    turn(milliseconds(50));  // idle: no time runs
  send(client, token_ + "GET ");
  EXPECT_EQ(read(client).status, 200);
  EXPECT_EQ(read(client).status, 400);
}

TEST_F(ConnectionTest, IdleConnectionsWakeNobody) {
  start(generous(), Timing{.request = 50ms, .answer = 50ms, .linger = 50ms});
  Client client = connect();
  send(client, token_.substr(0, 10));
  settle();
  send(client, token_.substr(10));
  EXPECT_EQ(read(client).status, 200);
  settle();
  unsigned turns = 0;
  const auto end = std::chrono::steady_clock::now() + milliseconds(300);
  while (std::chrono::steady_clock::now() < end) {
    turns += ::sd_event_run(loop_->native(), 400'000) > 0 ? 1U : 0U;
  }
  EXPECT_EQ(turns, 0U);
  EXPECT_EQ(server_->counts().connections, 1U);
}

TEST_F(ConnectionTest, ACallerThatLeavesEndsItsCall) {
  service_.account("a").waits = true;
  Client client = connect();
  send(client, token_);
  ASSERT_TRUE(until([&] { return service_.waiting() == 1; }));
  client.leave();
  EXPECT_TRUE(until([&] { return service_.waiting() == 0; }));
  EXPECT_EQ(server_->counts().connections, 0U);
  EXPECT_EQ(server_->counts().waiting, 0U);
}

TEST_F(ConnectionTest, ACallerThatLeavesWithBytesUnreadEndsItsCall) {
  service_.account("a").waits = true;
  Client client = connect();
  send(client, token_ + token_ + "junk");
  ASSERT_TRUE(until([&] { return service_.waiting() == 1; }));
  send(client, "more junk");
  settle();
  client.leave();
  EXPECT_TRUE(until([&] { return service_.waiting() == 0 && server_->counts().connections == 0; }));
}

TEST_F(ConnectionTest, AClientThatOnlyShutItsWritingSideGetsItsAnswer) {
  service_.account("a").waits = true;
  Client client = connect();
  send(client, token_);
  client.shut_writing();
  ASSERT_TRUE(until([&] { return service_.waiting() == 1; }));
  for (int i = 0; i < 20; ++i)
    turn(milliseconds(2));
  EXPECT_EQ(service_.waiting(), 1U) << "half closed is not gone";
  service_.answer_waiting();
  EXPECT_EQ(read(client).status, 200);
  EXPECT_TRUE(ends(client));
  EXPECT_TRUE(until([&] { return server_->counts().connections == 0; }));
}

TEST_F(ConnectionTest, AHalfClosedClientThatWaitsCostsNoTurns) {
  service_.account("a").waits = true;
  Client client = connect();
  send(client, token_);
  client.shut_writing();
  ASSERT_TRUE(until([&] { return service_.waiting() == 1; }));
  settle();
  EXPECT_EQ(::sd_event_run(loop_->native(), 100'000), 0);
  client.leave();
  EXPECT_TRUE(until([&] { return service_.waiting() == 0; }));
}

TEST_F(ConnectionTest, AHalfClosedClientGetsAllItAskedFor) {
  Client client = connect();
  std::string bytes;
  for (int i = 0; i < 100; ++i)
    bytes += token_;
  send(client, bytes);
  client.shut_writing();
  for (int i = 0; i < 100; ++i)
    ASSERT_EQ(read(client).status, 200);
  EXPECT_TRUE(ends(client));
}

TEST_F(ConnectionTest, ARequestCutByTheEndOfItsConnectionIsRefused) {
  Client client = connect();
  send(client, token_.substr(0, 20));
  client.shut_writing();
  EXPECT_EQ(read(client).status, 400);
  EXPECT_TRUE(ends(client));
}

TEST_F(ConnectionTest, AWaitingCallerLearnsOfARefusal) {
  service_.account("a").waits = true;
  Client client = connect();
  send(client, token_);
  ASSERT_TRUE(until([&] { return service_.waiting() == 1; }));
  service_.refuse_waiting(Problem{ProblemKind::kTimeout, "nothing came", {}, {}, {}});
  EXPECT_EQ(read(client).status, 504);
}

TEST_F(ConnectionTest, AnUnreadAnswerIsGivenUpInTheEnd) {
  start(generous(), Timing{.request = 5s, .answer = 200ms, .linger = 50ms});
  for (int i = 0; i < 2000; ++i)
    service_.add("account-" + std::to_string(i));
  Client client = connect();
  send(client, request("GET", "/v1/accounts"));
  ASSERT_TRUE(until([&] { return server_->counts().connections == 1; }));
  EXPECT_TRUE(until([&] { return server_->counts().connections == 0; }));
}

TEST_F(ConnectionTest, ALongAnswerArrivesWholeAndTheNextAfterIt) {
  for (int i = 0; i < 2000; ++i)
    service_.add("account-" + std::to_string(i));
  Client client = connect();
  send(client, request("GET", "/v1/accounts") + token_ + request("GET", "/v1/accounts"));
  EXPECT_EQ(Json::parse(read(client).body).at("accounts").size(), 2001U);
  EXPECT_EQ(Json::parse(read(client).body).at("account"), "a");
  EXPECT_EQ(Json::parse(read(client).body).at("accounts").size(), 2001U);
}

TEST_F(ConnectionTest, BetweenThePartsOfALongAnswerOthersAreAnswered) {
  constexpr std::size_t kAccounts = 400;
  service_.accounts_at_once = 1;
  for (std::size_t i = 1; i < kAccounts; ++i)
    service_.add("account-" + std::to_string(i));
  Client patient = connect(), other = connect();
  send(patient, request("GET", "/v1/accounts"));
  ASSERT_TRUE(until([&] { return !service_.asked.empty(); }));
  send(other, token_);
  EXPECT_EQ(read(other).status, 200);
  EXPECT_LT(service_.asked.size(), kAccounts / 2);
  EXPECT_EQ(Json::parse(read(patient).body).at("accounts").size(), kAccounts);
  EXPECT_EQ(service_.asked.size(), kAccounts + 1);
}

TEST_F(ConnectionTest, AnAccountThatGoesBetweenThePartsIsLeftOut) {
  service_.accounts_at_once = 1;
  for (const char* name : {"b", "c", "d"})
    service_.add(name);
  Client client = connect();
  send(client, request("GET", "/v1/accounts"));
  ASSERT_TRUE(until([&] { return service_.asked.size() == 2; }));
  service_.remove("b");  // where the next part would have begun
  service_.remove("d");
  EXPECT_EQ(Json::parse(read(client).body).at("accounts").size(), 3U);
}

TEST_F(ConnectionTest, NoMoreIsReadWhileAnswersLieUnread) {
  constexpr std::size_t kRequests = 60;
  service_.accounts_at_once = 1000;
  for (int i = 0; i < 300; ++i)
    service_.add("account-" + std::to_string(i));  // some 140 KB an answer
  Client client = connect();
  std::string bytes;
  for (std::size_t i = 0; i < kRequests; ++i)
    bytes += request("GET", "/v1/accounts");
  send(client, bytes);
  for (int i = 0; i < 100; ++i)
    turn(milliseconds(1));
  EXPECT_LT(service_.asked.size(), 10U);
  for (std::size_t i = 0; i < kRequests; ++i)
    ASSERT_EQ(read(client).status, 200);
  EXPECT_EQ(service_.asked.size(), kRequests);
}

TEST_F(ConnectionTest, ARefusedClientReadsWhyAlthoughItStillSends) {
  Client client = connect();
  send(client, "BAD\r\n\r\n");
  settle();
  for (int i = 0; i < 10; ++i) {
    EXPECT_GT(client.send_some(std::string(1000, 'x')), 0U);
    turn(milliseconds(1));
  }
  EXPECT_FALSE(client.ended);
  EXPECT_EQ(read(client).status, 400);
}

TEST_F(ConnectionTest, ARefusedClientIsNotListenedToForLong) {
  Client client = connect();
  send(client, "BAD\r\n\r\n");
  ASSERT_TRUE(until([&] {
    client.send_some(std::string(16 * 1024, 'x'));
    return client.broken;
  }));
  EXPECT_TRUE(until([&] { return server_->counts().connections == 0; }));
}

TEST_F(ConnectionTest, AClientThatSendsAndLeavesAtOnceIsStillHeard) {
  Client client = connect();
  send(client, request("POST", "/v1/accounts/a/refresh"));
  client.leave();
  EXPECT_TRUE(until([&] { return !service_.asked.empty() && server_->counts().connections == 0; }));
  EXPECT_EQ(service_.asked.back().operation, "refresh");
}

}  // namespace
}  // namespace credsync::ipc::http
