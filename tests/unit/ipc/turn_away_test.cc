// Who waits for a daemon that cannot start is told so.
#include "ipc/http/turn_away.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "base/file.h"

namespace credsync::ipc::http {
namespace {

class TurnAwayTest : public testing::Test {
 protected:
  TurnAwayTest() : listening_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un any{};
    any.sun_family = AF_UNIX;
    size_ = sizeof address_;
    ::bind(listening_.get(), reinterpret_cast<sockaddr*>(&any),
           sizeof any.sun_family);  // an abstract name of the kernel's
    ::getsockname(listening_.get(), reinterpret_cast<sockaddr*>(&address_), &size_);
    ::listen(listening_.get(), 64);
  }

  Descriptor connect(std::string_view said) {
    Descriptor client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address_), size_), 0);
    EXPECT_EQ(::send(client.get(), said.data(), said.size(), MSG_NOSIGNAL), static_cast<ssize_t>(said.size()));
    return client;
  }

  // All that comes until the end, and errno of the end.
  static std::string read(const Descriptor& client, int& error) {
    std::string text;
    char chunk[4096];
    ssize_t got = 0;
    while ((got = ::recv(client.get(), chunk, sizeof chunk, 0)) > 0)
      text.append(chunk, static_cast<std::size_t>(got));
    error = got < 0 ? errno : 0;
    return text;
  }

  bool somebody_waits() const {
    pollfd wait{listening_.get(), POLLIN, 0};
    return ::poll(&wait, 1, 0) == 1;
  }

  const Descriptor listening_;
  sockaddr_un address_{};
  socklen_t size_ = 0;
  const Problem problem_{ProblemKind::kUnavailable, "it cannot start", "journalctl -u credsyncd", {}, {}};
};

TEST_F(TurnAwayTest, EverybodyIsToldAndNobodyIsLeft) {
  std::vector<Descriptor> clients;
  for (int i = 0; i < 10; ++i)
    clients.push_back(connect("GET /v1/accounts HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  EXPECT_EQ(turn_away(listening_.get(), problem_), 10u);
  EXPECT_FALSE(somebody_waits());
  for (const Descriptor& client : clients) {
    int error = 0;
    const std::string text = read(client, error);
    EXPECT_EQ(error, 0) << "no reset: it may be seen before the answer";
    EXPECT_TRUE(text.starts_with("HTTP/1.1 503 ")) << text;
    EXPECT_NE(text.find("urn:credsync:error:unavailable"), text.npos);
    EXPECT_NE(text.find("journalctl -u credsyncd"), text.npos);
    EXPECT_NE(text.find("Connection: close"), text.npos);
  }
}

TEST_F(TurnAwayTest, WhoHasSaidNothingYetOrIsGoneHoldsNobody) {
  const Descriptor silent = connect("");
  connect("GET / HTTP/1.1\r\n").reset();
  const Descriptor last = connect("GET /v1/health HTTP/1.1\r\n\r\n");
  EXPECT_EQ(turn_away(listening_.get(), problem_), 3u);
  int error = 0;
  EXPECT_TRUE(read(last, error).starts_with("HTTP/1.1 503 "));
  EXPECT_TRUE(read(silent, error).starts_with("HTTP/1.1 503 "));
}

TEST_F(TurnAwayTest, WithoutAnybodyItDoesNotWait) {
  EXPECT_EQ(turn_away(listening_.get(), problem_), 0u);
}

}  // namespace
}  // namespace credsync::ipc::http
