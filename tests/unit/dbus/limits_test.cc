// What one user may hold, that everybody is answered in the end, and that a caller who leaves leaves nothing behind.
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "ipc/dbus/limits.h"
#include "tests/unit/dbus/bus_harness.h"

namespace credsync::ipc::dbus {
namespace {

class BusLimitsTest : public BusTest {
 protected:
  BusLimitsTest() { service_.add("a"); }
};

TEST_F(BusLimitsTest, RequestsThatWaitAreCountedPerUser) {
  start({2, 16, 1'000'000});
  service_.add("slow").waits = true;
  auto client = connect();
  std::optional<Outcome> waiting[2];
  for (auto& one : waiting)
    client->call("GetAccessToken", no_options("slow"), one);
  ASSERT_TRUE(until([&] { return service_.waiting() == 2; }));
  auto other = connect();  // another connection of the same user
  const Outcome over = token(*other, "slow");
  EXPECT_EQ(over.error(), "Busy");
  ASSERT_EQ(service_.refusals.size(), 1U);
  EXPECT_EQ(service_.refusals[0].first, ::getuid());
  EXPECT_TRUE(token(*other, "a").ok()) << "what needs no wait is served";
  EXPECT_EQ(call(*other, "Refresh", [](auto* m) { ::sd_bus_message_append(m, "s", "a"); }).error(), "Busy")
      << "what changes something is refused before it begins";
  service_.answer_waiting();
  ASSERT_TRUE(until([&] { return waiting[0] && waiting[1]; }));
  EXPECT_TRUE(waiting[0]->ok() && waiting[1]->ok());
  EXPECT_EQ(token(*other, "slow").error(), "");
}

TEST_F(BusLimitsTest, ListsThatAreNotWholeAtOnceWaitAndAreCounted) {
  start({2, 16, 1'000'000});
  for (unsigned i = 0; i < 50; ++i)
    service_.add("account-" + std::to_string(i));
  service_.accounts_at_once = 1;
  auto client = connect();
  std::vector<std::optional<Outcome>> outcomes(5);
  for (auto& one : outcomes)
    client->call("ListAccounts", {}, one);
  ASSERT_TRUE(
      until([&] { return std::all_of(outcomes.begin(), outcomes.end(), [](auto& o) { return o.has_value(); }); }));
  EXPECT_EQ(std::count_if(outcomes.begin(), outcomes.end(), [](auto& o) { return o->error() == "Busy"; }), 3);
  EXPECT_EQ(std::count_if(outcomes.begin(), outcomes.end(), [](auto& o) { return o->ok(); }), 2);
  service_.accounts_at_once = 100;
  service_.add("slow").waits = true;
  std::optional<Outcome> waiting[2];
  for (auto& one : waiting)
    client->call("GetAccessToken", no_options("slow"), one);
  ASSERT_TRUE(until([&] { return service_.waiting() == 2; }));
  EXPECT_TRUE(call(*client, "ListAccounts").ok()) << "what needs no wait is served";
  service_.accounts_at_once = 1;
  EXPECT_EQ(call(*client, "ListAccounts").error(), "Busy");
  service_.answer_waiting();
  EXPECT_TRUE(call(*client, "ListAccounts").ok()) << "nothing is left of those before";
}

TEST_F(BusLimitsTest, RequestsInASecondAreCountedPerUser) {
  start({64, 16, 50});
  auto client = connect();
  std::vector<std::optional<Outcome>> outcomes(200);
  for (auto& one : outcomes)
    client->call("GetAccessToken", no_options("a"), one);
  ASSERT_TRUE(
      until([&] { return std::all_of(outcomes.begin(), outcomes.end(), [](auto& o) { return o.has_value(); }); }));
  const auto busy = std::count_if(outcomes.begin(), outcomes.end(), [](auto& o) { return o->error() == "Busy"; });
  EXPECT_GT(busy, 0);
  EXPECT_LE(busy, 150) << "a second's worth was served";
  // A new connection brings no new allowance; time does.
  auto other = connect();
  EXPECT_TRUE(until([&] { return token(*other, "a").ok(); }));
}

// A bus that others keep too busy brings calls faster than it takes answers. They wait with the bus, which has bounds, not here.
TEST_F(BusLimitsTest, WithoutRoomForAnswersNoMoreCallsAreRead) {
  constexpr std::size_t kCalls = 400;          // more than lie in a socket
  constexpr std::size_t kAnswer = 256 * 1024;  // bytes: a token, so that they are quickly made
  constexpr std::size_t kInTheSocket = 40;     // such answers; sd-bus asks for 8 MiB
  start({64, 16, 1'000'000});
  service_.account("a").token = std::string(kAnswer, 'x');
  auto client = connect();
  ASSERT_TRUE(call(*client, "WhoAmI").ok()) << "its credentials are known";
  const auto served = [&] {
    return static_cast<std::size_t>(std::count_if(service_.asked.begin(), service_.asked.end(),
                                                  [](const auto& asked) { return asked.operation == "token"; }));
  };
  std::vector<std::optional<Outcome>> outcomes(kCalls);
  for (auto& one : outcomes)
    client->call("GetAccessToken", no_options("a"), one);
  let_the_bus_bring(*client);
  bus_.pause();
  settle();
  EXPECT_GE(served(), kMostUnsent);
  EXPECT_LE(served(), kMostUnsent + kInTheSocket);
  bus_.go_on();
  ASSERT_TRUE(
      until([&] { return std::all_of(outcomes.begin(), outcomes.end(), [](auto& o) { return o.has_value(); }); }));
  EXPECT_TRUE(std::all_of(outcomes.begin(), outcomes.end(), [](auto& o) { return o->ok(); }));
}

TEST_F(BusLimitsTest, SubscriptionsAreCountedPerUserAndComeBack) {
  start({64, 2, 1'000'000});
  std::unique_ptr<BusClient> clients[3] = {connect(), connect(), connect()};
  EXPECT_TRUE(call(*clients[0], "Subscribe").ok());
  EXPECT_TRUE(call(*clients[0], "Subscribe").ok()) << "twice is once";
  EXPECT_TRUE(call(*clients[1], "Subscribe").ok());
  EXPECT_EQ(call(*clients[2], "Subscribe").error(), "Busy");
  EXPECT_EQ(service_.streams(), 2U);
  EXPECT_TRUE(call(*clients[0], "Unsubscribe").ok());
  EXPECT_TRUE(call(*clients[0], "Unsubscribe").ok());
  EXPECT_TRUE(call(*clients[2], "Subscribe").ok());
  clients[1].reset();
  ASSERT_TRUE(until([&] { return service_.streams() == 1; })) << "a subscription ends with its connection";
  EXPECT_TRUE(call(*clients[0], "Subscribe").ok());
}

TEST_F(BusLimitsTest, SignalsGoToSubscribersAlone) {
  auto subscriber = connect(), other = connect();
  ASSERT_TRUE(call(*subscriber, "Subscribe").ok());
  ASSERT_TRUE(token(*other, "a").ok());
  settle();
  EXPECT_TRUE(subscriber->signals.empty()) << "the present state is no change";
  service_.emit({Event::Kind::kToken, "a", "ok", {}, 8, wall_from_seconds(1'900'000'000)});
  service_.emit({Event::Kind::kState, "a", "retrying", {}, 8, {}});
  ASSERT_TRUE(until([&] { return subscriber->signals.size() == 2; }));
  EXPECT_EQ(subscriber->signals, (std::vector<std::string>{"TokenChanged a", "StateChanged a"}));
  settle();
  EXPECT_TRUE(other->signals.empty());
  ASSERT_TRUE(call(*subscriber, "Unsubscribe").ok());
  service_.emit({Event::Kind::kToken, "a", "ok", {}, 9, {}});
  settle();
  EXPECT_EQ(subscriber->signals.size(), 2U);
}

TEST_F(BusLimitsTest, ACallerWhoLeavesLeavesNothing) {
  service_.add("slow").waits = true;
  auto client = connect();
  std::optional<Outcome> waiting;
  client->call("GetAccessToken", no_options("slow"), waiting);
  ASSERT_TRUE(call(*client, "Subscribe").ok());
  ASSERT_TRUE(until([&] { return service_.waiting() == 1; }));
  EXPECT_EQ(server_->counts().senders, 1U);
  client.reset();
  EXPECT_TRUE(until([&] { return service_.waiting() == 0 && server_->counts().senders == 0; }));
  EXPECT_EQ(service_.streams(), 0U);
  EXPECT_EQ(server_->counts().waiting, 0U);
}

TEST_F(BusLimitsTest, CallersThatComeAndGoAreForgotten) {
  for (int i = 0; i < 50; ++i) {
    auto client = connect();
    std::optional<Outcome> ignored;
    client->call("GetAccessToken", no_options("a"), ignored);
    if (i % 2 == 0) settle();
  }
  auto last = connect();
  EXPECT_TRUE(token(*last, "a").ok());
  EXPECT_TRUE(until([&] { return server_->counts().senders == 1; }));
}

TEST_F(BusLimitsTest, ManyRequestsBeforeTheCallerIsKnownAreAllAnswered) {
  auto client = connect();
  std::vector<std::optional<Outcome>> outcomes(kMaxUnknownRequests + 50);
  for (auto& one : outcomes)
    client->call("GetAccessToken", no_options("a"), one);
  ASSERT_TRUE(
      until([&] { return std::all_of(outcomes.begin(), outcomes.end(), [](auto& o) { return o.has_value(); }); }));
  for (const auto& one : outcomes)
    EXPECT_TRUE(one->ok() || one->error() == "Busy") << one->error();
  EXPECT_TRUE(outcomes.front()->ok());
}

}  // namespace
}  // namespace credsync::ipc::dbus
