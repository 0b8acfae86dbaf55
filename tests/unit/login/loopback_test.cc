// The loopback listener on real sockets: one answer from one user's browser, whatever else comes.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include <chrono>

#include "daemon/login/loopback_listener.h"
#include "daemon/login/peer_user.h"
#include "tests/fakes/fake_clock.h"

namespace credsync::login {
namespace {

constexpr std::chrono::seconds kPatience{10};

// A browser, or somebody who pretends to be one: a blocking view of a non-blocking socket on the same thread as the loop.
struct Visitor {
  explicit Visitor(std::uint16_t port, int family = AF_INET) : socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (family == AF_INET) {
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(port);
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      connected = ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    } else {
      sockaddr_in6 address{};
      address.sin6_family = AF_INET6;
      address.sin6_port = htons(port);
      address.sin6_addr = in6addr_loopback;
      connected = ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    }
  }
  void say(std::string_view bytes) { (void)!::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  // Takes what has come; true once the other end has closed.
  bool listen() {
    char bytes[8192];
    for (;;) {
      const ssize_t got = ::recv(socket.get(), bytes, sizeof bytes, MSG_DONTWAIT);
      if (got > 0) heard.append(bytes, static_cast<std::size_t>(got));
      if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return closed = true;
      if (got < 0) return false;
    }
  }
  int status() const { return heard.size() > 12 ? std::atoi(heard.c_str() + 9) : 0; }
  std::string field(const std::string& name) const {
    const std::size_t at = heard.find("\r\n" + name + ": ");
    if (at == std::string::npos) return {};
    const std::size_t from = at + name.size() + 4;
    return heard.substr(from, heard.find("\r\n", from) - from);
  }

  Descriptor socket;
  bool connected = false;
  bool closed = false;
  std::string heard;
};

class LoopbackTest : public testing::Test {
 protected:
  LoopbackTest() : loop_(std::move(*Loop::create())) {}
  // Whose process the other end is, as far as the listener is told.
  std::optional<uid_t> peer_ = 1000;
  std::function<void()> on_question_ = [] {};

  void open(bool implicit = false, const std::string& host = "127.0.0.1", std::optional<std::uint16_t> port = {}) {
    listeners_ = std::make_unique<LoopbackListeners>(*loop_, agenda_, clock_, [this](int) {
      on_question_();
      return peer_;
    });
    CallbackDoor::Order order;
    order.loopback = {host, port, "/callback"};
    order.user = 1000;
    order.implicit = implicit;
    order.subject = {"Flat", "flat-me"};
    order.on_callback = [this](std::string_view parameters) {
      seen_.emplace_back(parameters);
      const bool good = parameters.find("state=good") != parameters.npos;
      return CallbackDoor::Verdict{good, good ? "" : "its state is another"};
    };
    auto door = listeners_->open(std::move(order));
    ASSERT_TRUE(door) << door.error().message();
    door_ = std::move(*door);
  }
  bool until(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      turn();
    }
    return true;
  }
  void turn() {
    agenda_.run(clock_.boot());
    constexpr std::uint64_t kAtMost = 2000;  // microseconds
    ::sd_event_run(loop_->native(), kAtMost);
  }
  std::string authority() const { return "127.0.0.1:" + std::to_string(door_->port()); }
  std::string request(const std::string& target, const std::string& host = {}, const std::string& method = "GET",
                      const std::string& more = {}, const std::string& body = {}) const {
    std::string text =
        method + " " + target + " HTTP/1.1\r\nHost: " + (host.empty() ? authority() : host) + "\r\n" + more;
    if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    return text + "\r\n" + body;
  }
  // One request on a connection of its own, and the whole answer.
  std::unique_ptr<Visitor> visit(const std::string& bytes, int family = AF_INET) {
    auto visitor = std::make_unique<Visitor>(door_->port(), family);
    visitor->say(bytes);
    until([&] { return visitor->listen(); });
    return visitor;
  }
  void show(PageKind kind = PageKind::kDone) {
    door_->show({kind, "alice", "", "credsync status flat-me"}, [this] { closed_ = true; });
  }

  fakes::FakeClock clock_;  // stands still: nobody is cut off because the machine is busy
  std::unique_ptr<Loop> loop_;
  Agenda agenda_{[](std::optional<BootTime>) {}};
  std::unique_ptr<LoopbackListeners> listeners_;
  std::unique_ptr<CallbackDoor> door_;
  std::vector<std::string> seen_;
  bool closed_ = false;
};

TEST_F(LoopbackTest, AnAnswerIsTakenAndItsAddressLeftAtOnce) {
  open();
  const auto visitor = visit(request("/callback?code=c&state=good"));
  EXPECT_EQ(visitor->status(), 303);
  EXPECT_EQ(visitor->field("Location"), "/outcome") << "no code stays in the address bar and the history";
  EXPECT_EQ(visitor->field("Cache-Control"), "no-store");
  EXPECT_EQ(visitor->field("Referrer-Policy"), "no-referrer");
  EXPECT_EQ(seen_, std::vector<std::string>{"code=c&state=good"});
}

TEST_F(LoopbackTest, TheOutcomeIsWaitedForAndThenTheDoorCloses) {
  open();
  visit(request("/callback?code=c&state=good"));
  Visitor waiting(door_->port());
  waiting.say(request("/outcome"));
  for (int i = 0; i < 20; ++i)
    turn();
  EXPECT_FALSE(waiting.listen());
  EXPECT_EQ(waiting.heard, "") << "nobody knows yet";
  show();
  ASSERT_TRUE(until([&] { return waiting.listen(); }));
  EXPECT_EQ(waiting.status(), 200);
  EXPECT_NE(waiting.heard.find("You are signed in to Flat"), std::string::npos);
  EXPECT_EQ(waiting.field("Content-Type"), "text/html; charset=utf-8");
  EXPECT_EQ(waiting.field("X-Content-Type-Options"), "nosniff");
  EXPECT_NE(waiting.field("Content-Security-Policy").find("default-src 'none'"), std::string::npos);
  EXPECT_FALSE(closed_) << "not from within a call";
  waiting.socket.reset();
  EXPECT_TRUE(until([&] { return closed_; }));
}

TEST_F(LoopbackTest, APageThatReloadsWithoutEndDoesNotUseUpTheAnswersTurn) {
  open();
  for (unsigned i = 0; i < kMostVisitsAtOnce; ++i)
    ASSERT_EQ(visit(request("/callback?state=bad&code=c"))->status(), 400) << i;
  EXPECT_EQ(visit(request("/callback?state=good&code=c"))->heard, "") << "for now there were enough";
  clock_.advance(kVisitEvery);
  EXPECT_EQ(visit(request("/callback?state=good&code=c"))->status(), 303);
  door_->show({PageKind::kDone, "", "", ""}, [] {});
  EXPECT_EQ(visit(request("/outcome"))->status(), 200) << "who brought the answer sees how it went";
}

TEST_F(LoopbackTest, AnotherUsersProcessIsNotHeard) {
  open();
  for (const std::optional<uid_t> stranger :
       {std::optional<uid_t>(1001), std::optional<uid_t>(0), std::optional<uid_t>()}) {
    peer_ = stranger;
    const auto visitor = visit(request("/callback?code=evil&state=good"));
    EXPECT_EQ(visitor->status(), 403);
    EXPECT_EQ(visitor->heard.find("flat-me"), std::string::npos) << "nor told whose it is";
  }
  EXPECT_TRUE(seen_.empty());
  peer_ = 1000;
  EXPECT_EQ(visit(request("/callback?code=c&state=good"))->status(), 303);
}

TEST_F(LoopbackTest, AnAnswerThatDoesNotFitChangesNothing) {
  open();
  for (int i = 0; i < 3; ++i) {
    const auto visitor = visit(request("/callback?code=evil&state=wrong"));
    EXPECT_EQ(visitor->status(), 400);
    EXPECT_NE(visitor->heard.find("Its state is another."), std::string::npos);
  }
  EXPECT_EQ(visit(request("/callback?code=c&state=good"))->status(), 303);
}

TEST_F(LoopbackTest, ASecondAnswerIsTooLate) {
  open();
  visit(request("/callback?code=c&state=good"));
  const auto second = visit(request("/callback?code=evil&state=good"));
  EXPECT_EQ(second->status(), 410);
  EXPECT_NE(second->heard.find("This sign-in is over"), std::string::npos);
  EXPECT_EQ(seen_.size(), 1U);
}

TEST_F(LoopbackTest, ANameThatWasReboundToUsIsRefused) {
  open();
  const std::string port = ":" + std::to_string(door_->port());
  for (const std::string& host :
       {std::string("evil.example"), "evil.example" + port, std::string("127.0.0.1"), "localhost" + port,
        "127.0.0.1" + port + ".evil.example", std::string("127.0.0.1:1")}) {
    const auto visitor = visit(request("/callback?code=c&state=good", host));
    EXPECT_NE(visitor->status(), 303) << host;
  }
  EXPECT_TRUE(seen_.empty());
  EXPECT_EQ(visit("GET /callback?state=good HTTP/1.0\r\n\r\n")->status(), 421) << "no Host at all";
}

TEST_F(LoopbackTest, LocalhostIsAnsweredWhereTheAccountSaysSo) {
  open(false, "localhost");
  EXPECT_EQ(visit(request("/callback?state=good", "localhost:" + std::to_string(door_->port())))->status(), 303);
}

TEST_F(LoopbackTest, BothLoopbackAddressesAreOurs) {
  open();
  if (!Visitor(door_->port(), AF_INET6).connected) GTEST_SKIP() << "no IPv6 here";
  const auto visitor = visit(request("/callback?state=good", "[::1]:" + std::to_string(door_->port())), AF_INET6);
  EXPECT_EQ(visitor->status(), 303);
}

TEST_F(LoopbackTest, MethodsAndPathsAreExact) {
  open();
  EXPECT_EQ(visit(request("/callback?state=good", {}, "POST", {}, "state=good"))->status(), 405);
  EXPECT_EQ(visit(request("/callback?state=good", {}, "HEAD"))->status(), 405);
  EXPECT_EQ(visit(request("/callback/?state=good"))->status(), 404);
  EXPECT_EQ(visit(request("/Callback?state=good"))->status(), 404);
  EXPECT_EQ(visit(request("//callback?state=good"))->status(), 404);
  EXPECT_EQ(visit(request("http://" + authority() + "/callback?state=good"))->status(), 404);
  EXPECT_EQ(visit(request("/favicon.ico"))->status(), 404);
  EXPECT_EQ(visit(request("/outcome"))->status(), 400) << "before there is one";
  EXPECT_TRUE(seen_.empty());
}

TEST_F(LoopbackTest, WhatIsNoRequestIsRefused) {
  open();
  EXPECT_EQ(visit("hello\r\n\r\n")->status(), 400);
  EXPECT_EQ(visit(request("/callback?" + std::string(20'000, 'a')))->status(), 413);
  EXPECT_EQ(visit(request("/callback", {}, "GET", "X: " + std::string(20'000, 'a') + "\r\n"))->status(), 413);
  EXPECT_EQ(visit("GET /callback?state=good HTTP/1.1\r\nHost: " + authority() + "\r\nHost: evil\r\n\r\n")->status(),
            400);
  EXPECT_TRUE(seen_.empty());
}

TEST_F(LoopbackTest, TheCatcherHandsTheFragmentOver) {
  open(true);
  const auto page = visit(request("/callback"));
  EXPECT_EQ(page->status(), 200);
  EXPECT_NE(page->field("Content-Security-Policy").find("script-src 'sha256-"), std::string::npos);
  EXPECT_TRUE(seen_.empty());
  const std::string body = "access_token=t&state=good";
  EXPECT_EQ(visit(request("/callback", {}, "POST", "Origin: http://evil.example\r\n", body))->status(), 403);
  EXPECT_EQ(visit(request("/callback", {}, "POST", "Origin: null\r\n", body))->status(), 403);
  EXPECT_EQ(visit(request("/callback", {}, "POST", {}, body))->status(), 403);
  const std::string ours = "Origin: http://" + authority() + "\r\n";
  EXPECT_EQ(visit(request("/callback", {}, "POST", ours, "access_token=t&state=bad"))->status(), 400);
  EXPECT_EQ(visit(request("/callback", {}, "POST", ours, body))->status(), 204);
  EXPECT_EQ(seen_.back(), body);
  EXPECT_EQ(visit(request("/callback", {}, "POST", ours, body))->status(), 410);
}

TEST_F(LoopbackTest, AnErrorInTheQueryIsTakenForImplicitToo) {
  open(true);
  EXPECT_EQ(visit(request("/callback?error=access_denied&state=good"))->status(), 303);
}

TEST_F(LoopbackTest, AFloodOfSilentConnectionsIsBounded) {
  open();
  std::vector<std::unique_ptr<Visitor>> silent;
  for (std::size_t i = 0; i < kMostConnections + 20; ++i)
    silent.push_back(std::make_unique<Visitor>(door_->port()));
  auto& listener = dynamic_cast<LoopbackListener&>(*door_);
  const auto refused = [&] {
    std::size_t count = 0;
    for (auto& visitor : silent)
      count += visitor->listen() ? 1U : 0U;
    return count;
  };
  EXPECT_TRUE(until([&] { return refused() == 20U; }));
  EXPECT_EQ(listener.connections(), kMostConnections);
  silent.clear();
  EXPECT_TRUE(until([&] { return listener.connections() == 0; }));
  EXPECT_EQ(visit(request("/callback?state=good"))->status(), 303);
}

TEST_F(LoopbackTest, StrangersCannotKeepTheUserOut) {
  open();
  peer_ = 1001;
  std::vector<std::unique_ptr<Visitor>> strangers;
  for (int i = 0; i < 60; ++i)
    strangers.push_back(std::make_unique<Visitor>(door_->port()));
  auto& listener = dynamic_cast<LoopbackListener&>(*door_);
  ASSERT_TRUE(until([&] { return listener.connections() == kMostStrangers; }));
  for (int i = 0; i < 60; ++i)
    turn();
  peer_ = 1000;
  EXPECT_EQ(visit(request("/callback?state=good"))->status(), 303);
}

// Time passes only when the test says so.
class SlowVisitorTest : public LoopbackTest {
 protected:
  void advance(Duration d) {
    clock_.advance(d);
    agenda_.run(clock_.boot());
    for (int i = 0; i < 20; ++i) {
      ::sd_event_run(loop_->native(), 0);
      agenda_.run(clock_.boot());
    }
  }
};

TEST_F(SlowVisitorTest, SlowAndSilentOnesAreCutOff) {
  open();
  auto& listener = dynamic_cast<LoopbackListener&>(*door_);
  Visitor slow(door_->port()), silent(door_->port());
  slow.say("GET /callback?x");
  advance(Duration::zero());
  ASSERT_EQ(listener.connections(), 2U);
  advance(kRequestTime - 1s);
  slow.say("=1");  // a byte now and then does not buy time
  advance(1s);
  EXPECT_TRUE(slow.listen());
  EXPECT_FALSE(silent.listen());
  EXPECT_EQ(listener.connections(), 1U);
  advance(kSilentTime);
  EXPECT_TRUE(silent.listen());
  EXPECT_EQ(listener.connections(), 0U);
}

TEST_F(SlowVisitorTest, AnOutcomeThatNobodyFetchesIsNotKeptForEver) {
  open();
  bool closed = false;
  door_->show({}, [&] { closed = true; });
  advance(kOutcomeKept - 1s);
  EXPECT_FALSE(closed);
  advance(1s);
  EXPECT_TRUE(closed);
}

TEST_F(LoopbackTest, ATakenPortIsAnError) {
  open();
  CallbackDoor::Order order;
  order.loopback = {"127.0.0.1", door_->port(), "/callback"};
  const auto second = listeners_->open(std::move(order));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), ErrorCode::kTaken);
}

TEST_F(LoopbackTest, APortIsFreeAgainAtOnce) {
  open();
  const std::uint16_t port = door_->port();
  visit(request("/callback?state=good"));
  door_.reset();
  open(false, "127.0.0.1", port);
  EXPECT_EQ(door_->port(), port);
}

TEST_F(LoopbackTest, ATurnEndsHoweverLongItTakesToKnowWhoComes) {
  open();
  unsigned asked = 0;
  on_question_ = [&] {
    ++asked;
    clock_.advance(50ms);
  };
  std::vector<std::unique_ptr<Visitor>> crowd;
  for (int i = 0; i < 6; ++i)
    crowd.push_back(std::make_unique<Visitor>(door_->port()));
  const auto one_turn = [&] {
    const unsigned before = asked;
    turn();
    return asked - before;
  };
  for (const auto end = std::chrono::steady_clock::now() + kPatience; asked < 6;) {
    ASSERT_LT(std::chrono::steady_clock::now(), end);
    EXPECT_LE(one_turn(), 1U) << "what else is due comes between";
  }
}

// --- whose process --------------------------------------------------------------------------------------------------

struct Pair {
  explicit Pair(int family)
      : listening(std::move(*open_loopback({family == AF_INET ? "127.0.0.1" : "[::1]", {}, "/"}))) {
    visitor = std::make_unique<Visitor>(listening.port, family);
    accepted = Descriptor(::accept4(listening.listening[0].get(), nullptr, nullptr, SOCK_CLOEXEC));
    socklen_t size = sizeof ours;
    ::getsockname(accepted.get(), reinterpret_cast<sockaddr*>(&ours), &size);
    size = sizeof theirs;
    ::getpeername(accepted.get(), reinterpret_cast<sockaddr*>(&theirs), &size);
  }
  LoopbackSockets listening;
  std::unique_ptr<Visitor> visitor;
  Descriptor accepted;
  sockaddr_storage ours{}, theirs{};
};

TEST(PeerUserTest, IsWhatTheKernelSaysByBothWays) {
  for (const int family : {AF_INET, AF_INET6}) {
    const Pair pair(family);
    if (!pair.visitor->connected && family == AF_INET6) GTEST_SKIP() << "no IPv6 here";
    EXPECT_EQ(PeerUsers().of(pair.accepted.get()), ::geteuid());
    EXPECT_EQ(owner_by_sock_diag(pair.ours, pair.theirs), ::geteuid());
    EXPECT_EQ(owner_by_proc(pair.ours, pair.theirs), ::geteuid());
  }
}

TEST(PeerUserTest, AClosedSocketIsNobodys) {
  Pair pair(AF_INET);
  pair.visitor->say("x");
  pair.visitor->socket.reset();  // the kernel says 0 for its owner from now on: not to be taken for root
  EXPECT_EQ(PeerUsers().of(pair.accepted.get()), std::nullopt);
}

TEST(PeerUserTest, AClosedPeerIsNotLookedForAmongEverybodysConnections) {
  unsigned by_diag = 0, by_proc = 0;
  PeerUsers users({has_sock_diag,
                   [&](const auto& ours, const auto& theirs) { return ++by_diag, owner_by_sock_diag(ours, theirs); },
                   [&](const auto&, const auto&) { return ++by_proc, std::nullopt; }});
  for (const bool by_force : {false, true}) {
    Pair pair(AF_INET);
    const linger at_once{by_force, 0};  // a reset takes our end out of the kernel's table as well
    ::setsockopt(pair.visitor->socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    pair.visitor->socket.reset();
    EXPECT_EQ(users.of(pair.accepted.get()), std::nullopt);
    EXPECT_EQ(owner_by_sock_diag(pair.ours, pair.theirs), std::nullopt);
  }
  EXPECT_GE(by_diag, 1U);
  EXPECT_EQ(by_proc, 0U) << "anybody can make that list as long as they like";
}

TEST(PeerUserTest, ThisKernelHasSockDiag) {
  EXPECT_EQ(has_sock_diag(), true);
}

TEST(PeerUserTest, TheWayIsDecidedOnceAndForGood) {
  const Pair pair(AF_INET);
  std::optional<bool> says;
  unsigned asked = 0, by_diag = 0, by_proc = 0;
  PeerUsers users({[&] { return ++asked, says; },
                   [&](const auto&, const auto&) { return ++by_diag, std::optional<uid_t>(); },
                   [&](const auto&, const auto&) { return ++by_proc, std::optional<uid_t>(7); }});
  EXPECT_EQ(users.of(pair.accepted.get()), std::nullopt) << "it could not be asked, say for want of a descriptor";
  EXPECT_EQ(by_diag + by_proc, 0U);
  says = false;
  EXPECT_EQ(users.of(pair.accepted.get()), 7U);
  says = true;
  EXPECT_EQ(users.of(pair.accepted.get()), 7U);
  EXPECT_EQ(asked, 2U);
  EXPECT_EQ(by_proc, 2U);
  EXPECT_EQ(by_diag, 0U);
}

TEST(PeerUserTest, AnotherUsersSocketIsThatUsers) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can be somebody else";
  constexpr uid_t kNobodyInParticular = 12345;
  LoopbackSockets listening = std::move(*open_loopback({"127.0.0.1", {}, "/"}));
  ASSERT_EQ(::seteuid(kNobodyInParticular), 0);
  const Visitor visitor(listening.port);
  // Asked by a process without privileges, for a socket that is not its own.
  const Descriptor accepted(::accept4(listening.listening[0].get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_EQ(::seteuid(0), 0);
  ASSERT_EQ(::seteuid(54321), 0);
  const auto owner = PeerUsers().of(accepted.get());
  ASSERT_EQ(::seteuid(0), 0);
  EXPECT_EQ(owner, kNobodyInParticular);
}

}  // namespace
}  // namespace credsync::login
