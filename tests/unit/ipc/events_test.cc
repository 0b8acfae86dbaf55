// Server-sent events: the present states first, then what changes, and an end for whoever does not read.
#include <nlohmann/json.hpp>

#include "ipc/http/connection.h"
#include "tests/unit/ipc/http_harness.h"

namespace credsync::ipc::http {
namespace {

using Json = nlohmann::json;

class EventsTest : public HttpTest {
 protected:
  EventsTest() {
    service_.add("a");
    service_.add("b");
  }

  Client subscribe(std::string_view target) {
    const std::size_t wanted = service_.streams() + 1;
    Client client = connect();
    send(client, request("GET", target));
    EXPECT_TRUE(until([&] { return service_.streams() == wanted; }));
    return client;
  }
  // The next event's name and data.
  std::pair<std::string, Json> next(Client& client) {
    std::size_t end = 0;
    if (!until([&] { return client.read_available(), (end = client.received.find("\n\n")) != std::string::npos; }))
      return {};
    const std::string event = client.received.substr(0, end);
    client.received.erase(0, end + 2);
    const std::size_t data = event.find("\ndata: ");
    return {event.substr(7, data - 7), Json::parse(event.substr(data + 7))};
  }
  ipc::Event token_event(const std::string& account) {
    return {ipc::Event::Kind::kToken,         account, "ok",
            wall_from_seconds(1'800'000'000), 8,       wall_from_seconds(1'800'003'600)};
  }
};

TEST_F(EventsTest, BeginsWithThePresentStates) {
  Client client = subscribe("/v1/events");
  const Response head = read(client);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.at("content-type"), "text/event-stream");
  EXPECT_EQ(head.headers.at("cache-control"), "no-store");
  for (const std::string name : {"a", "b"}) {
    const auto [kind, data] = next(client);
    EXPECT_EQ(kind, "state");
    EXPECT_EQ(data, (Json{{"account", name},
                          {"state", "ok"},
                          {"since", "2027-01-15T08:00:00Z"},
                          {"generation", 7},
                          {"expires_at", "2030-03-17T17:46:40Z"}}));
  }
}

TEST_F(EventsTest, TellsWhatChanges) {
  Client all = subscribe("/v1/events");
  Client one = subscribe("/v1/events?account=b");
  read(all), read(one);
  next(all), next(all), next(one);
  service_.emit(token_event("a"));
  service_.emit(token_event("b"));
  const auto [kind, data] = next(all);
  EXPECT_EQ(kind, "token");
  EXPECT_EQ(data, (Json{{"account", "a"}, {"generation", 8}, {"expires_at", "2027-01-15T09:00:00Z"}}));
  EXPECT_EQ(next(all).second.at("account"), "b");
  EXPECT_EQ(next(one).second.at("account"), "b");
}

TEST_F(EventsTest, EndsWhenTheClientLeaves) {
  Client client = subscribe("/v1/events");
  client.leave();
  EXPECT_TRUE(until([&] { return service_.streams() == 0 && server_->counts().connections == 0; }));
  EXPECT_EQ(server_->counts().streams, 0U);
}

TEST_F(EventsTest, AHalfClosedClientStillReads) {
  Client client = subscribe("/v1/events");
  client.shut_writing();
  settle();
  service_.emit(token_event("a"));
  read(client), next(client), next(client);
  EXPECT_EQ(next(client).first, "token");
}

TEST_F(EventsTest, AClientThatTalksIntoItsStreamIsNotHeardAndCostsNoTurns) {
  Client client = subscribe("/v1/events");
  send(client, request("GET", "/v1/accounts"));
  settle();
  EXPECT_EQ(service_.asked.size(), 1U);
  service_.emit(token_event("a"));
  read(client), next(client), next(client);
  EXPECT_EQ(next(client).first, "token");
}

TEST_F(EventsTest, AStreamThatIsNotReadIsClosedAndOthersGoOn) {
  Client deaf = subscribe("/v1/events");
  Client reader = subscribe("/v1/events");
  read(reader), next(reader), next(reader);
  std::size_t sent = 0;
  const std::size_t size = 64;  // an event is longer
  while (service_.streams() == 2 && sent * size < 10 * kMostUnreadEvents) {
    service_.emit(token_event("a"));
    ++sent;
    settle();
    EXPECT_EQ(next(reader).first, "token");
  }
  EXPECT_EQ(service_.streams(), 1U);
  EXPECT_GT(sent * 120, kMostUnreadEvents);
  EXPECT_TRUE(ends(deaf));
  // What lay unread is bounded: ours and the kernel's.
  EXPECT_LT(deaf.received.size(), kMostUnreadEvents + 64 * 1024);
  ASSERT_FALSE(service_.refusals.empty());
  EXPECT_EQ(service_.refusals.back().second, "events lay unread");
}

TEST_F(EventsTest, AStreamThatOverflowsWithinOneTurnIsClosedAfterIt) {
  Client deaf = subscribe("/v1/events");
  for (int i = 0; i < 5000; ++i)
    service_.emit(token_event("a"));
  EXPECT_EQ(service_.streams(), 1U) << "never while the service tells its subscribers";
  EXPECT_TRUE(until([&] { return service_.streams() == 0; }));
}

TEST_F(EventsTest, ManyPresentStatesAreNoOverflow) {
  for (int i = 0; i < 3000; ++i)
    service_.add("account-" + std::to_string(i));  // some 400 KB
  Client client = subscribe("/v1/events");
  service_.emit(token_event("a"));
  settle();
  EXPECT_EQ(service_.streams(), 1U);
  read(client);
  for (int i = 0; i < 3002; ++i)
    ASSERT_EQ(next(client).first, "state");
  EXPECT_EQ(next(client).first, "token");
}

TEST_F(EventsTest, UnknownAccountsHaveNoStream) {
  EXPECT_EQ(get("/v1/events?account=missing").status, 404);
  EXPECT_EQ(service_.streams(), 0U);
}

}  // namespace
}  // namespace credsync::ipc::http
