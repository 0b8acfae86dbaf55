// Every exchange ends by its deadline, whatever the other end does, and says rightly whether the request had
// left.
#include <unistd.h>

#include <future>
#include <optional>
#include <set>

#include "tests/fakes/thread_state.h"
#include "tests/unit/transport/transport_fixture.h"

namespace credsync::test {
namespace {

using fakes::is_asleep;

class DeadlineTest : public TransportTest {
 protected:
  // Runs a hurried exchange; it must take its deadline and not much more.
  ExchangeOutcome timed(const std::string& url, Transport& transport, const std::string& body = "a=b") {
    const auto start = std::chrono::steady_clock::now();
    auto outcome = transport.exchange(post(url, body), hurried());
    const auto took = std::chrono::steady_clock::now() - start;
    EXPECT_GE(took, kShort - 5ms);
    EXPECT_LT(took, kShort + 3s);  // generous: the machine may be busy, but a hang is a hang
    return outcome;
  }
  ExchangeOutcome timed(const std::string& url, const std::string& body = "a=b") {
    return timed(url, transport_, body);
  }
};

TEST_F(DeadlineTest, ConnectThatGetsNoAnswer) {
  const BlackHole hole;
  const auto outcome = timed("https://provider.test:" + std::to_string(hole.port()) + "/");
  EXPECT_FAULT(outcome, TransportFault::kDeadline, false);
}

TEST_F(DeadlineTest, StalledHandshake) {
  Server server([](Peer& peer) { peer.wait_for_hang_up(); }, tls());
  EXPECT_FAULT(timed(https_url(server)), TransportFault::kDeadline, false);
  EXPECT_EQ(server.requests(), 0);
}

TEST_F(DeadlineTest, NoAnswerToTheRequest) {
  Server server(
      [](Peer& peer) {
        peer.handshake();
        peer.read_request();
        peer.wait_for_hang_up();
      },
      tls());
  EXPECT_FAULT(timed(https_url(server)), TransportFault::kDeadline, true);
  EXPECT_EQ(server.requests(), 1);
}

TEST_F(DeadlineTest, RequestThatIsNotRead) {
  Server server(
      [](Peer& peer) {
        peer.handshake();
        peer.read_head();
        peer.wait_without_reading();
      },
      tls());
  // More than the socket buffers of both ends hold.
  EXPECT_FAULT(timed(https_url(server), std::string(16 * 1024 * 1024, 'x')), TransportFault::kDeadline, true);
  EXPECT_EQ(server.requests(), 0);
}

TEST_F(DeadlineTest, AnswerThatCameWhileNobodyLookedIsTaken) {
  const pid_t client = ::gettid();
  Server server(
      [&](Peer& peer) {
        peer.handshake();
        peer.read_request();
        EXPECT_TRUE(eventually([&] { return is_asleep(client); }));
        clock_.step(1h);  // the daemon is frozen
        peer.write(ok_answer("new token"));
      },
      tls());
  EXPECT_ANSWER(exchange(https_url(server), options()), "new token");
}

// The other end sends again what a sleeping machine did not take.
TEST_F(DeadlineTest, RestOfAnAnswerIsWaitedForAfterASleep) {
  const pid_t client = ::gettid();
  const std::string answer = ok_answer("new token");
  Server server(
      [&](Peer& peer) {
        peer.handshake();
        peer.read_request();
        EXPECT_TRUE(eventually([&] { return is_asleep(client); })) << "it has noted that all is sent";
        clock_.step(1h);
        peer.write(answer.substr(0, 20));
        EXPECT_TRUE(eventually([&] { return is_asleep(client); }));
        peer.write(answer.substr(20));
      },
      tls());
  EXPECT_ANSWER(exchange(https_url(server), options()), "new token");
}

TEST_F(DeadlineTest, NothingIsSentAfterASleepThatOutlastsTheDeadline) {
  const pid_t client = ::gettid();
  Server server(
      [&](Peer& peer) {
        EXPECT_TRUE(eventually([&] { return is_asleep(client); }));
        clock_.step(1h);
        peer.handshake();
        peer.read_request();
      },
      tls());
  EXPECT_FAULT(exchange(https_url(server), options()), TransportFault::kDeadline, false);
  EXPECT_TRUE(eventually([&] { return server.scripts_ended() == 1; }));
  EXPECT_EQ(server.requests(), 0);
}

TEST_F(DeadlineTest, RequestWhoseTimeIsOverIsNotSent) {
  const pid_t client = ::gettid();
  Server server(
      [&](Peer& peer) {
        EXPECT_TRUE(eventually([&] { return is_asleep(client); }));
        clock_.step(2s);
        peer.handshake();
        peer.read_request();
      },
      tls());
  ExchangeOptions mine = options();
  mine.send_before = clock_.boot() + 1s;
  EXPECT_FAULT(exchange(https_url(server), mine), TransportFault::kTooLate, false);
  EXPECT_TRUE(eventually([&] { return server.scripts_ended() == 1; }));
  EXPECT_EQ(server.requests(), 0);
}

TEST_F(DeadlineTest, RequestThatWasSentInTimeMayWaitForItsAnswer) {
  Server server(
      [&](Peer& peer) {
        peer.handshake();
        peer.read_request();
        clock_.step(1min);
        peer.write(ok_answer("new token"));
      },
      tls());
  ExchangeOptions mine = options();
  mine.send_before = clock_.boot() + 30s;
  EXPECT_ANSWER(exchange(https_url(server), mine), "new token");
}

// Drips one byte whenever the client has taken the last one: there is always more, but never enough.
class DrippingTest : public DeadlineTest {
 protected:
  static Server::Script drip(std::string before, std::string drop) {
    return [before, drop](Peer& peer) {
      peer.handshake();
      peer.read_request();
      if (!peer.write(before)) return;
      while (peer.write(drop))
        std::this_thread::sleep_for(5ms);  // the pace of the attack, not a wait for anything
    };
  }
};

TEST_F(DrippingTest, Body) {
  Server server(drip("HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", "x"), tls());
  EXPECT_FAULT(timed(https_url(server)), TransportFault::kDeadline, true);
}

TEST_F(DrippingTest, ChunkedBody) {
  Server server(drip("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"), tls());
  EXPECT_FAULT(timed(https_url(server)), TransportFault::kDeadline, true);
}

TEST_F(DrippingTest, Headers) {
  Server server(drip("HTTP/1.1 200 OK\r\nX-Long: ", "x"), tls());
  EXPECT_FAULT(timed(https_url(server)), TransportFault::kDeadline, true);
}

TEST_F(DrippingTest, HundredContinue) {
  Server server(drip("", "HTTP/1.1 100 Continue\r\n\r\n"), tls());
  EXPECT_FAULT(timed(https_url(server)), TransportFault::kDeadline, true);
}

TEST_F(DrippingTest, PlainLoopback) {
  Server server(drip("HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", "x"));
  EXPECT_FAULT(timed(http_url(server)), TransportFault::kDeadline, true);
}

// A resolver that hangs until it is let go.
class LookupTest : public DeadlineTest {
 protected:
  ~LookupTest() override { let_go(); }
  void let_go() {
    if (!gone_) release_.set_value();
    gone_ = true;
  }
  oauth::Resolve hanging() {
    return [released = released_](const std::string& host, std::uint16_t port) {
      released.wait();
      return loopback_only(host, port);
    };
  }

 private:
  std::promise<void> release_;
  std::shared_future<void> released_ = release_.get_future().share();
  bool gone_ = false;
};

TEST_F(LookupTest, HangingLookupEndsAtTheDeadline) {
  Transport transport(clock_, hanging(), {});
  EXPECT_FAULT(timed("https://provider.test/", transport), TransportFault::kDeadline, false);
}

TEST_F(LookupTest, TooManyHangingLookupsFailAtOnceAndRecover) {
  Server server(answer_always(ok_answer("back")), tls());
  Transport transport(clock_, hanging(), {});
  std::vector<std::thread> waiting;
  for (int i = 0; i < oauth::kMaxAbandonedLookups; ++i) {
    waiting.emplace_back([&, url = "https://dead-" + std::to_string(i) + ".test/"] {
      EXPECT_FAULT(timed(url, transport), TransportFault::kDeadline, false);
    });
  }
  for (std::thread& thread : waiting)
    thread.join();
  // On a busy machine a deadline may pass before its look-up has begun: then one more is left behind here.
  std::optional<TransportFault> fault;
  for (int i = 0; i < oauth::kMaxAbandonedLookups && fault != TransportFault::kResolve; ++i) {
    const auto outcome = transport.exchange(post(https_url(server)), hurried());
    ASSERT_NE(error_of(outcome), nullptr);
    fault = error_of(outcome)->fault;
  }
  EXPECT_EQ(fault, TransportFault::kResolve);
  let_go();
  EXPECT_TRUE(eventually(
      [&] { return std::holds_alternative<HttpResponse>(transport.exchange(post(https_url(server)), options())); }));
}

TEST_F(LookupTest, OneNameThatHangsFailsNoOther) {
  Server server(answer_always(ok_answer("alive")), tls());
  Transport transport(clock_,
                      [hang = hanging()](const std::string& host, std::uint16_t port) {
                        return host == "dead.test" ? hang(host, port) : loopback_only(host, port);
                      },
                      {});
  std::vector<std::thread> waiting;
  for (int i = 0; i < 16; ++i) {
    waiting.emplace_back(
        [&] { EXPECT_FAULT(timed("https://dead.test/", transport), TransportFault::kDeadline, false); });
  }
  for (std::thread& thread : waiting)
    thread.join();
  EXPECT_ANSWER(transport.exchange(post(https_url(server)), options()), "alive");
}

TEST_F(LookupTest, LookupThatHangsIsSharedAndTriedAgainAFewTimes) {
  std::atomic<int> begun{0};
  Transport transport(clock_,
                      [&begun, hang = hanging()](const std::string& host, std::uint16_t port) {
                        ++begun;
                        return hang(host, port);
                      },
                      {});
  ExchangeOptions brief = options();
  brief.deadline = 100ms;
  const auto look = [&] { return transport.exchange(post("https://dead.test/"), brief); };
  EXPECT_FAULT(look(), TransportFault::kDeadline, false);
  EXPECT_FAULT(look(), TransportFault::kDeadline, false);
  EXPECT_TRUE(eventually([&] { return begun == 1; }));
  for (int i = 0; i < 2 * oauth::kMaxLookupsOfOne; ++i) {
    clock_.step(oauth::kLookupShared);
    EXPECT_FAULT(look(), TransportFault::kDeadline, false);
  }
  EXPECT_TRUE(eventually([&] { return begun == oauth::kMaxLookupsOfOne; }));
}

TEST_F(LookupTest, TransportMayGoBeforeItsHangingLookup) {
  auto transport = std::make_unique<Transport>(clock_, hanging(), oauth::Proxy{});
  EXPECT_FAULT(timed("https://provider.test/", *transport), TransportFault::kDeadline, false);
  transport.reset();
  let_go();
}

TEST_F(LookupTest, FailedLookupSaysSo) {
  Transport transport(clock_,
                      [](const std::string& host, std::uint16_t) -> Result<std::vector<oauth::Address>> {
                        return unavailable("look up " + host + ": no such host");
                      },
                      {});
  const auto outcome = transport.exchange(post("https://provider.test/"), options());
  EXPECT_FAULT(outcome, TransportFault::kResolve, false);
  EXPECT_NE(error_of(outcome)->words.find("no such host"), std::string::npos);
}

// Connecting.
class ConnectTest : public TransportTest {
 protected:
  static oauth::Resolve leads_to(std::vector<oauth::Address> addresses) {
    return [addresses](const std::string&, std::uint16_t) { return addresses; };
  }
  static oauth::Address loopback(std::uint16_t port) { return *oauth::literal_address("127.0.0.1", port); }
  static std::uint16_t closed_port() {
    return Server([](Peer&) {}).port();
  }
};

TEST_F(ConnectTest, RefusedIsNotSent) {
  EXPECT_FAULT(exchange("https://provider.test:" + std::to_string(closed_port()) + "/", options()),
               TransportFault::kConnect, false);
}

TEST_F(ConnectTest, BlackHoleFirstDoesNotHoldUpTheSecondAddress) {
  const BlackHole hole;
  Server server(answer_always(ok_answer("second")), tls());
  Transport transport(clock_, leads_to({loopback(hole.port()), loopback(server.port())}), {});
  const auto start = std::chrono::steady_clock::now();
  EXPECT_ANSWER(transport.exchange(post(https_url(server)), options()), "second");
  EXPECT_GE(std::chrono::steady_clock::now() - start, 240ms);  // the first has its head start
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
}

TEST_F(ConnectTest, RefusedFirstGoesOnAtOnce) {
  Server server(answer_always(ok_answer("second")), tls());
  Transport transport(clock_, leads_to({loopback(closed_port()), loopback(server.port())}), {});
  EXPECT_ANSWER(transport.exchange(post(https_url(server)), options()), "second");
}

TEST_F(ConnectTest, FirstAddressIsPreferred) {
  Server first(answer_always(ok_answer("first")), tls());
  Server second(answer_always(ok_answer("second")), tls());
  Transport transport(clock_, leads_to({loopback(first.port()), loopback(second.port())}), {});
  EXPECT_ANSWER(transport.exchange(post("https://provider.test/"), options()), "first");
  EXPECT_EQ(second.connections(), 0);
}

TEST_F(ConnectTest, AllRefusedSaysWhy) {
  Transport transport(clock_, leads_to({loopback(closed_port()), loopback(closed_port())}), {});
  const auto outcome = transport.exchange(post("https://provider.test/"), options());
  EXPECT_FAULT(outcome, TransportFault::kConnect, false);
  EXPECT_NE(error_of(outcome)->words.find("refused"), std::string::npos) << error_of(outcome)->words;
}

// Every look at this clock takes a while, so deadlines of every length end an exchange at every one of its
// steps.
class TickingClock final : public Clock {
 public:
  WallTime wall() const override { return system_.wall(); }
  BootTime boot() const override { return system_.boot() + 1s * ++looks_; }

 private:
  SystemClock system_;
  mutable std::atomic<int> looks_{0};
};

class EveryStepTest : public TransportTest {};

TEST_F(EveryStepTest, SentMeansThatTheServerGotIt) {
  bool finished = false;
  std::set<bool> sent_seen;
  for (int steps = 1; steps < 100 && !finished; ++steps) {
    SCOPED_TRACE(steps);
    const TickingClock clock;
    Server server(
        [](Peer& peer) {
          peer.handshake();
          if (!peer.read_request().empty()) peer.write(ok_answer("{}"));
        },
        tls());
    Transport transport(clock, loopback_only, {});
    ExchangeOptions mine = options();
    mine.deadline = 1s * steps;
    const auto outcome = transport.exchange(post(https_url(server)), mine);
    finished = std::holds_alternative<HttpResponse>(outcome);
    const bool sent = finished || std::get<TransportError>(outcome).sent;
    sent_seen.insert(sent);
    EXPECT_TRUE(eventually([&] { return server.scripts_ended() == server.connections(); }));
    EXPECT_EQ(server.requests(), sent ? 1 : 0);
  }
  EXPECT_TRUE(finished);
  EXPECT_EQ(sent_seen.size(), 2u);
}

// Stopping.
class StopTest : public TransportTest {};

TEST_F(StopTest, EndsWhatHasNotSent) {
  std::promise<void> hello;
  Server server(
      [&](Peer& peer) {
        peer.read_some();
        hello.set_value();
        peer.wait_for_hang_up();
      },
      tls());
  std::promise<pid_t> thread;
  auto stalled = std::async(std::launch::async, [&] {
    thread.set_value(::gettid());
    return exchange(https_url(server), options());
  });
  hello.get_future().wait();
  ASSERT_TRUE(eventually([waiting = thread.get_future().get()] { return is_asleep(waiting); }));
  const auto start = std::chrono::steady_clock::now();
  transport_.stop_new();
  EXPECT_FAULT(stalled.get(), TransportFault::kConnect, false);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);  // not at its own deadline of 20 s
  const auto after = exchange(https_url(server), options());
  EXPECT_FAULT(after, TransportFault::kConnect, false);
  EXPECT_EQ(error_of(after)->words, "shutting down");
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(StopTest, LetsWhatHasSentFinish) {
  std::promise<void> received;
  std::promise<void> stopped;
  Server server(
      [&](Peer& peer) {
        peer.handshake();
        peer.read_request();
        received.set_value();
        stopped.get_future().wait();
        peer.write(ok_answer("new token"));
      },
      tls());
  auto running = std::async(std::launch::async, [&] { return exchange(https_url(server), options()); });
  received.get_future().wait();
  transport_.stop_new();
  stopped.set_value();
  EXPECT_ANSWER(running.get(), "new token");
}

}  // namespace
}  // namespace credsync::test
