// A bus that is not there, goes away, comes back, or gives our name to another; and an orderly end.
#include <systemd/sd-bus.h>

#include "ipc/dbus/limits.h"
#include "tests/fakes/fake_clock.h"
#include "tests/unit/dbus/bus_harness.h"

namespace credsync::ipc::dbus {
namespace {

class BusLifeTest : public BusTest {
 protected:
  BusLifeTest() { service_.add("a"); }
  void stop(Duration at_most = 10s) {
    server_->stop(at_most, [this] { stopped_ = true; });
  }
  bool stopped_ = false;
};

TEST_F(BusLifeTest, WaitsForABusThatIsNotThere) {
  bus_.stop();
  start();
  ASSERT_TRUE(until([&] { return server_->trouble()->words.find("connect to the system bus") == 0; }));
  bus_.start();
  auto client = connect();
  EXPECT_TRUE(token(*client, "a").ok());
}

TEST_F(BusLifeTest, ComesBackWithTheBusAndNothingIsRemembered) {
  service_.add("slow").waits = true;
  {
    auto client = connect();
    std::optional<Outcome> waiting;
    client->call("GetAccessToken", no_options("slow"), waiting);
    ASSERT_TRUE(call(*client, "Subscribe").ok());
    ASSERT_TRUE(until([&] { return service_.waiting() == 1; }));
    bus_.stop();
    ASSERT_TRUE(until([&] { return server_->trouble().has_value(); }));
    EXPECT_NE(server_->trouble()->words.find("has ended"), std::string::npos);
    EXPECT_EQ(service_.waiting(), 0U) << "nobody can be answered any more";
    EXPECT_EQ(service_.streams(), 0U);
  }
  for (int round = 0; round < 3; ++round) {
    bus_.start();
    auto client = connect();
    EXPECT_TRUE(token(*client, "a").ok());
    bus_.stop();
    ASSERT_TRUE(until([&] { return server_->trouble().has_value(); }));
  }
}

void say_sleep(BusClient& who, bool begins) {
  ASSERT_GE(::sd_bus_emit_signal(who.bus(), "/org/freedesktop/login1", "org.freedesktop.login1.Manager",
                                 "PrepareForSleep", "b", begins ? 1 : 0),
            0);
}

TEST_F(BusLifeTest, HearsFromLogindThatTheMachineHasWokenUp) {
  unsigned woken = 0;
  start();
  server_->on_wake_up([&] { ++woken; });
  ASSERT_TRUE(on_the_bus());
  BusClient logind(*loop_, bus_.address());
  BusClient impostor(*loop_, bus_.address());
  ASSERT_GE(::sd_bus_request_name(logind.bus(), "org.freedesktop.login1", 0), 0);
  say_sleep(impostor, false);
  say_sleep(logind, true);
  settle();
  EXPECT_EQ(woken, 0U) << "neither an impostor nor going to sleep";
  say_sleep(logind, false);
  EXPECT_TRUE(until([&] { return woken == 1; }));
  bus_.stop();
  ASSERT_TRUE(until([&] { return server_->trouble().has_value(); }));
  bus_.start();
  ASSERT_TRUE(on_the_bus());
  BusClient next(*loop_, bus_.address());
  ASSERT_GE(::sd_bus_request_name(next.bus(), "org.freedesktop.login1", 0), 0);
  say_sleep(next, false);
  EXPECT_TRUE(until([&] { return woken == 2; })) << "also after the bus came back";
}

TEST_F(BusLifeTest, StandsInLineForItsName) {
  BusClient other(*loop_, bus_.address());
  ASSERT_GE(::sd_bus_request_name(other.bus(), "org.credsync.CredSync1", 0), 0);
  start();
  ASSERT_TRUE(until([&] { return server_->trouble()->words.find("another process has the name") == 0; }));
  EXPECT_EQ(server_->trouble()->next_step, "busctl status org.credsync.CredSync1");
  ASSERT_GE(::sd_bus_release_name(other.bus(), "org.credsync.CredSync1"), 0);
  auto client = connect();
  EXPECT_TRUE(token(*client, "a").ok());
}

TEST_F(BusLifeTest, SaysThatThePolicyIsMissing) {
  bus_.stop();
  bus_.allow_names = false;
  bus_.start();
  start();
  ASSERT_TRUE(until([&] { return server_->trouble()->words.find("the bus refuses the name") == 0; }));
  EXPECT_NE(server_->trouble()->next_step.find("org.credsync.CredSync1.conf"), std::string::npos);
  bus_.stop();
  bus_.allow_names = true;
  bus_.start();
  EXPECT_TRUE(on_the_bus()) << server_->trouble()->words;
}

TEST_F(BusLifeTest, AnswersEverybodyWhenItStops) {
  service_.add("slow").waits = true;
  auto client = connect();
  std::vector<std::optional<Outcome>> waiting(20);
  for (auto& one : waiting)
    client->call("GetAccessToken", no_options("slow"), one);
  ASSERT_TRUE(until([&] { return service_.waiting() == 20; }));
  auto stranger = connect();  // its credentials are not known yet when the stop begins
  std::optional<Outcome> unknown;
  stranger->call("GetAccessToken", no_options("a"), unknown);
  stop();
  EXPECT_FALSE(stopped_) << "never within the call";
  EXPECT_EQ(service_.waiting(), 0U) << "what was asked for them has ended";
  service_.answer_waiting();
  ASSERT_TRUE(
      until([&] { return std::all_of(waiting.begin(), waiting.end(), [](auto& o) { return o.has_value(); }); }));
  for (const auto& one : waiting)
    EXPECT_EQ(one->error(), "Unavailable");
  ASSERT_TRUE(until([&] { return stopped_ && unknown; }));
  EXPECT_FALSE(unknown->ok());
}

// After a suspend the deadlines of the door and of the service are over at once, in either order.
class BusDeadlineTest : public BusTest {
 protected:
  BusDeadlineTest() {
    // The machine started longer ago: a timer is due at once, and what is late by now this clock decides.
    clock_of_door_.advance(BootTime(Duration(1s)) - clock_of_door_.boot());
    server_ = std::make_unique<Server>(*loop_, clock_of_door_, service_, BusKind::kSystem, generous(), Duration(20ms));
    server_->start();
  }
  ~BusDeadlineTest() override { server_.reset(); }
  fakes::FakeClock clock_of_door_;
};

TEST_F(BusDeadlineTest, WhatWasAskedForALateRequestHasEnded) {
  service_.add("slow").waits = true;
  auto client = connect();
  std::vector<std::optional<Outcome>> waiting(3);
  for (auto& one : waiting)
    client->call("GetAccessToken", no_options("slow"), one);
  ASSERT_TRUE(until([&] { return service_.waiting() == waiting.size(); }));
  clock_of_door_.advance(kAnswerWithin);
  ASSERT_TRUE(until([&] { return server_->counts().waiting == 0; }));
  EXPECT_EQ(service_.waiting(), 0U);
  service_.answer_waiting();
  ASSERT_TRUE(
      until([&] { return std::all_of(waiting.begin(), waiting.end(), [](auto& o) { return o.has_value(); }); }));
  for (const auto& one : waiting)
    EXPECT_EQ(one->error(), "Timeout");
}

TEST_F(BusLifeTest, StopsAtOnceWithoutABus) {
  bus_.stop();
  start();
  stop();
  EXPECT_TRUE(until([&] { return stopped_; }, std::chrono::seconds(2)));
}

TEST_F(BusLifeTest, CanBeDestroyedWhileItConnects) {
  for (int round = 0; round < 20; ++round) {
    start();
    server_.reset();
  }
  settle();
}

}  // namespace
}  // namespace credsync::ipc::dbus
