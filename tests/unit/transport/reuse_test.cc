// Which connection a request travels on, and that it never travels twice.
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <cstdlib>
#include <filesystem>
#include <future>

#include "tests/unit/transport/transport_fixture.h"

namespace credsync::test {
namespace {

using ReuseTest = TransportTest;

TEST_F(ReuseTest, SecondRequestUsesTheKeptConnection) {
  Server server(answer_always(ok_answer("{}")), tls());
  for (int i = 0; i < 5; ++i)
    EXPECT_ANSWER(exchange(https_url(server), options()), "{}");
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
  Server other(answer_always(ok_answer("{}")), tls());
  EXPECT_ANSWER(exchange(https_url(other), fresh), "{}");
  EXPECT_ANSWER(exchange(https_url(other), options()), "{}");
  EXPECT_EQ(other.connections(), 2);
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
        while (!peer.read_request().empty())
          peer.write("HTTP/1.1 200 OK\r\nContent-Length: nonsense\r\n\r\n");
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
        EXPECT_ANSWER(exchange(https_url(server), mine, body), body);  // nobody gets another's answer
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
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
        eventually([&] { return waiting == kAtOnce; });  // so that all are open at once
        peer.write(ok_answer("{}"));
        peer.wait_for_hang_up();
      },
      tls());
  std::vector<std::thread> threads;
  for (int i = 0; i < kAtOnce; ++i) {
    threads.emplace_back([&] { EXPECT_ANSWER(exchange(https_url(server), options()), "{}"); });
  }
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_TRUE(eventually([&] { return server.scripts_ended() == kAtOnce - 8; }));
  EXPECT_EQ(server.scripts_ended(), kAtOnce - 8);
}

// The transport's own end of its connection to `port`: a descriptor of this process like any other.
int client_descriptor(std::uint16_t port) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::atoi(entry.path().filename().c_str());
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0 || peer.sin_family != AF_INET) continue;
    if (ntohs(peer.sin_port) == port) return fd;
  }
  return -1;
}

// A kept connection that looks well but takes no byte: as if it died between the look and the first write.
class DeafConnectionTest : public TransportTest {
 protected:
  void make_deaf(const Server& server) {
    const int fd = client_descriptor(server.port());
    ASSERT_GE(fd, 0);
    ASSERT_EQ(::shutdown(fd, SHUT_WR), 0);
  }
  // Answers one request a connection and then neither reads nor hangs up, so that nothing is to be seen from
  // outside.
  Server::Script once() {
    return [this](Peer& peer) {
      peer.handshake();
      peer.read_request();
      peer.write(ok_answer("{}"));
      over_.wait();
    };
  }
  void TearDown() override {
    end_.set_value();
    servers_.clear();
  }
  std::vector<std::unique_ptr<Server>> servers_;

 private:
  std::promise<void> end_;
  std::shared_future<void> over_ = end_.get_future().share();
};

TEST_F(DeafConnectionTest, IsReplacedOnceBecauseNothingWasSent) {
  for (const bool secure : {true, false}) {
    SCOPED_TRACE(secure ? "TLS" : "plain");
    servers_.push_back(std::make_unique<Server>(once(), secure ? tls() : ServerTls{}));
    const Server& seen = *servers_.back();
    const std::string url = secure ? https_url(seen) : http_url(seen);
    EXPECT_ANSWER(exchange(url, options()), "{}");
    make_deaf(seen);
    EXPECT_ANSWER(exchange(url, options()), "{}");
    EXPECT_EQ(seen.connections(), 2);
    EXPECT_EQ(seen.requests(), 2);
  }
}

// OpenSSL writes without MSG_NOSIGNAL: a caller that has not blocked SIGPIPE must live on.
TEST_F(DeafConnectionTest, RaisesNoSignal) {
  servers_.push_back(std::make_unique<Server>(once(), tls()));
  const Server& server = *servers_.back();
  std::thread([&] {
    sigset_t sigpipe;
    ::sigemptyset(&sigpipe);
    ::sigaddset(&sigpipe, SIGPIPE);
    ::pthread_sigmask(SIG_UNBLOCK, &sigpipe, nullptr);
    EXPECT_ANSWER(exchange(https_url(server), options()), "{}");
    make_deaf(server);
    EXPECT_ANSWER(exchange(https_url(server), options()), "{}");
    sigset_t mask;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    EXPECT_EQ(::sigismember(&mask, SIGPIPE), 0);  // the mask is as it was
  }).join();
  EXPECT_EQ(server.connections(), 2);
}

}  // namespace
}  // namespace credsync::test
