// A connection that is written to by another process than the one that made it.
#include <grp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "ipc/process.h"
#include "tests/unit/ipc/http_harness.h"

namespace credsync::ipc::http {
namespace {

class SendersTest : public HttpTest {
 protected:
  SendersTest() { service_.add("a"); }

  // Sends `bytes` from a child process of `uid`.
  static void send_as(uid_t uid, Client& client, std::string_view bytes) {
    const pid_t child = ::fork();
    if (child == 0) {
      if (uid != ::geteuid() && (::setgroups(0, nullptr) != 0 || ::setresuid(uid, uid, uid) != 0)) ::_exit(1);
      ::_exit(client.send_some(bytes) == bytes.size() ? 0 : 2);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_EQ(status, 0);
  }
  const std::string token_ = request("GET", "/v1/accounts/a/token");
};

TEST_F(SendersTest, TheProcessThatConnectedIsTheOneThatAsks) {
  Client client = connect();
  send(client, token_);
  EXPECT_EQ(read(client).status, 200);
  ASSERT_EQ(service_.asked.size(), 1U);
  EXPECT_EQ(service_.asked[0].caller.pid, ::getpid());
  EXPECT_TRUE(service_.asked[0].caller.process->exe());
}

TEST_F(SendersTest, AnotherProcessOfTheUserHasNeitherUnitNorExecutable) {
  Client client = connect();
  send_as(::geteuid(), client, token_);
  EXPECT_EQ(read(client).status, 200);
  send(client, token_);  // it does not come back with the first process
  EXPECT_EQ(read(client).status, 200);
  ASSERT_EQ(service_.asked.size(), 2U);
  for (const auto& asked : service_.asked) {
    EXPECT_FALSE(asked.caller.process->exe());
    EXPECT_FALSE(asked.caller.process->unit());
  }
}

TEST_F(SendersTest, AnotherUserIsRefusedAndTheConnectionClosed) {
  if (::geteuid() != 0) GTEST_SKIP() << "NOT TESTED: only root can be two users";
  constexpr uid_t kOther = 54321;
  for (const std::size_t cut : {std::size_t{0}, std::size_t{1}, token_.size() / 2, token_.size() - 1}) {
    Client client = connect();
    send(client, token_.substr(0, cut));
    settle();
    send_as(kOther, client, token_.substr(cut));
    const Response response = read(client);
    EXPECT_EQ(response.status, 403) << cut;
    EXPECT_TRUE(ends(client));
  }
  EXPECT_TRUE(service_.asked.empty());
}

TEST_F(SendersTest, WhatAnotherUserSendsBehindAWholeRequestIsNotAnswered) {
  if (::geteuid() != 0) GTEST_SKIP() << "NOT TESTED: only root can be two users";
  Client client = connect();
  send(client, token_);
  send_as(54321, client, token_ + token_);
  EXPECT_EQ(read(client).status, 200);
  EXPECT_EQ(read(client).status, 403);
  EXPECT_TRUE(ends(client));
  EXPECT_EQ(service_.asked.size(), 1U);
}

TEST_F(SendersTest, DescriptorsThatComeAlongAreNotTaken) {
  Client client = connect();
  std::string bytes = token_;
  iovec data{bytes.data(), bytes.size()};
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &pipe_ends[1], sizeof(int));
  ASSERT_EQ(::sendmsg(client.fd(), &message, 0), static_cast<ssize_t>(bytes.size()));
  ::close(pipe_ends[1]);
  EXPECT_EQ(read(client).status, 200);
  char byte = 0;
  EXPECT_EQ(::read(pipe_ends[0], &byte, 1), 0) << "the other end is closed: nobody took it";
  ::close(pipe_ends[0]);
}

}  // namespace
}  // namespace credsync::ipc::http
