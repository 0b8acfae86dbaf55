// An orderly end: everybody who was promised something gets it, and the daemon is told when that is done.
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "tests/unit/ipc/http_harness.h"

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
  EXPECT_EQ(response.headers.at("retry-after"), "5");
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
