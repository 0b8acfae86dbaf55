// Which connection a request travels on, and that it never travels twice.
#include <signal.h>

#include <future>

#include "tests/unit/transport/transport_fixture.h"

namespace credsync::test {
namespace {

using ReuseTest = TransportTest;

TEST_F(ReuseTest, SecondRequestUsesTheKeptConnection) {
  Server server(answer_always(ok_answer("{}")), tls());
  for (int i = 0; i < 5; ++i) EXPECT_ANSWER(exchange(https_url(server), options()), "{}");
  EXPECT_EQ(server.requests(), 5);
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(ReuseTest, FreshConnectionIsReallyNewAndNotKept) {
  Server server(answer_always(ok_answer("{}")), tls());
  ExchangeOptions fresh = options();
  fresh.fresh_connection = true;
  EXPECT_ANSWER(exchange(https_url(server), options()), "{}");
  EXPECT_ANSWER(exchange(https_url(server), fresh), "{}");
  EXPECT_ANSWER(exchange(https_url(server), fresh), "{}");
  EXPECT_EQ(server.connections(), 3);
  EXPECT_ANSWER(exchange(https_url(server), options()), "{}");
  EXPECT_EQ(server.connections(), 3);
}

// The trap in Poco: a kept connection that dies is opened again and the request sent once more.
TEST_F(ReuseTest, ResetOnAKeptConnectionIsNotRepaired) {
  for (const bool secure : {true, false}) {
    SCOPED_TRACE(secure ? "TLS" : "plain");
    Server server(
        [](Peer& peer) {
          peer.handshake();
          peer.read_request();
          peer.write(ok_answer("{}"));
          peer.read_request();
          peer.reset();
        },
        secure ? tls() : ServerTls{});
    const std::string url = secure ? https_url(server) : http_url(server);
    EXPECT_ANSWER(exchange(url, options()), "{}");
    EXPECT_FAULT(exchange(url, options()), TransportFault::kReset, true);
    EXPECT_EQ(server.requests(), 2);
    EXPECT_EQ(server.connections(), 1);
  }
}

TEST_F(ReuseTest, ClosedOnAKeptConnectionWithoutAnAnswerIsNotRepaired) {
  Server server(
      [](Peer& peer) {
        peer.handshake();
        peer.read_request();
        peer.write(ok_answer("{}"));
        peer.read_request();
        peer.close();
      },
      tls());
  EXPECT_ANSWER(exchange(https_url(server), options()), "{}");
  EXPECT_FAULT(exchange(https_url(server), options()), TransportFault::kReset, true);
  EXPECT_EQ(server.requests(), 2);
  EXPECT_EQ(server.connections(), 1);
}

// What became of an idle connection is seen before it is used, so the request goes out once, on a new one.
TEST_F(ReuseTest, ConnectionThatEndedWhileIdleIsReplaced) {
  using End = void (*)(Peer&);
  const End ends[] = {[](Peer& peer) { peer.close(); }, [](Peer& peer) { peer.reset(); },
                      [](Peer& peer) { peer.close_without_notify(); },
                      [](Peer& peer) { peer.write("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"); }};
  for (const bool secure : {true, false}) {
    for (const End end : ends) {
      std::atomic<bool> first = true;
      std::promise<void> answered;
      std::atomic<bool> ended = false;
      Server server(
          [&](Peer& peer) {
            const bool spoil = first.exchange(false);
            peer.handshake();
            peer.read_request();
            peer.write(ok_answer("{}"));
            if (spoil) {
              answered.get_future().wait();
              end(peer);
              ended = true;
            }
            peer.wait_for_hang_up();
          },
          secure ? tls() : ServerTls{});
      const std::string url = secure ? https_url(server) : http_url(server);
      EXPECT_ANSWER(exchange(url, options()), "{}");
      answered.set_value();
      ASSERT_TRUE(eventually([&] { return ended.load(); }));
      EXPECT_ANSWER(exchange(url, options()), "{}");
      EXPECT_EQ(server.requests(), 2);
      EXPECT_EQ(server.connections(), 2);
    }
  }
}

TEST_F(ReuseTest, AnswersThatEndTheConnectionAreNotReused) {
  const std::string answers[] = {
      "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
      "HTTP/1.1 200 OK\r\nconnection: foo , Close\r\nContent-Length: 2\r\n\r\n{}",
      "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"};
  for (const std::string& answer : answers) {
    SCOPED_TRACE(answer);
    Server server(answer_always(answer), tls());
    EXPECT_ANSWER(exchange(https_url(server), options()), "{}");
    EXPECT_ANSWER(exchange(https_url(server), options()), "{}");
    EXPECT_EQ(server.connections(), 2);
  }
}

TEST_F(ReuseTest, IdleConnectionGrowsOld) {
  Server server(answer_always(ok_answer("{}")), tls());
  EXPECT_ANSWER(exchange(https_url(server), options()), "{}");
  clock_.step(14s);
  EXPECT_ANSWER(exchange(https_url(server), options()), "{}");
  EXPECT_EQ(server.connections(), 1);
  clock_.step(16s);
  EXPECT_ANSWER(exchange(https_url(server), options()), "{}");
  EXPECT_EQ(server.connections(), 2);
}

TEST_F(ReuseTest, OriginsDoNotShareConnections) {
  const Identity both = make_identity({.alt_names = "DNS:provider.test,DNS:sister.test"}, &authority());
  Server server(answer_always(ok_answer("{}")), {.identity = &both});
  EXPECT_ANSWER(exchange(https_url(server), options()), "{}");
  EXPECT_ANSWER(exchange("https://sister.test:" + std::to_string(server.port()) + "/", options()), "{}");
  EXPECT_EQ(server.connections(), 2);
}

TEST_F(ReuseTest, CutAnswerEndsTheConnection) {
  Server server(
      [](Peer& peer) {
        peer.handshake();
        while (!peer.read_request().empty()) peer.write("HTTP/1.1 200 OK\r\nContent-Length: nonsense\r\n\r\n");
      },
      tls());
  EXPECT_FAULT(exchange(https_url(server), options()), TransportFault::kProtocol, true);
  EXPECT_FAULT(exchange(https_url(server), options()), TransportFault::kProtocol, true);
  EXPECT_EQ(server.connections(), 2);
}

TEST_F(ReuseTest, ManyThreadsShareOneTransport) {
  constexpr int kThreads = 32;
  constexpr int kEach = 20;
  Server server(
      [](Peer& peer) {
        if (!peer.handshake()) return;
        while (true) {
          const std::string request = peer.read_request();
          if (request.empty()) return;
          peer.write(ok_answer(request.substr(request.find("\r\n\r\n") + 4)));
        }
      },
      tls());
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        ExchangeOptions mine = options();
        mine.fresh_connection = i % 4 == 0;
        const std::string body = "thread=" + std::to_string(t) + "&round=" + std::to_string(i);
        EXPECT_ANSWER(exchange(https_url(server), mine, body), body);   // nobody gets another's answer
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(server.requests(), kThreads * kEach);
  EXPECT_LT(server.connections(), kThreads * kEach);
}

TEST_F(ReuseTest, KeptConnectionsAreBounded) {
  constexpr int kAtOnce = 12;
  std::atomic<int> waiting = 0;
  Server server(
      [&](Peer& peer) {
        peer.handshake();
        peer.read_request();
        ++waiting;
        eventually([&] { return waiting == kAtOnce; });   // so that all are open at once
        peer.write(ok_answer("{}"));
        peer.wait_for_hang_up();
      },
      tls());
  std::vector<std::thread> threads;
  for (int i = 0; i < kAtOnce; ++i) {
    threads.emplace_back([&] { EXPECT_ANSWER(exchange(https_url(server), options()), "{}"); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(eventually([&] { return server.scripts_ended() == kAtOnce - 8; }));
  EXPECT_EQ(server.scripts_ended(), kAtOnce - 8);
}

// OpenSSL writes without MSG_NOSIGNAL: a caller that has not blocked SIGPIPE must live on.
TEST_F(ReuseTest, WritingToAClosedConnectionRaisesNoSignal) {
  Server server(
      [](Peer& peer) {
        peer.handshake();
        peer.reset();
      },
      tls());
  std::thread([&] {
    sigset_t sigpipe;
    ::sigemptyset(&sigpipe);
    ::sigaddset(&sigpipe, SIGPIPE);
    ::pthread_sigmask(SIG_UNBLOCK, &sigpipe, nullptr);
    for (int i = 0; i < 20; ++i) {
      const auto outcome = exchange(https_url(server), options(), std::string(8 * 1024 * 1024, 'x'));
      ASSERT_NE(error_of(outcome), nullptr);
    }
    sigset_t pending;
    ::sigpending(&pending);
    EXPECT_EQ(::sigismember(&pending, SIGPIPE), 0);
    ::pthread_sigmask(SIG_SETMASK, nullptr, &pending);
    EXPECT_EQ(::sigismember(&pending, SIGPIPE), 0);   // the mask is as it was
  }).join();
}

}  // namespace
}  // namespace credsync::test
