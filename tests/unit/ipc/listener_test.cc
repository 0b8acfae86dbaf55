// Where the socket is made, what is in its way, and who is at its other end.
#include "ipc/http/listener.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/peer.h"
#include "tests/unit/ipc/http_harness.h"

namespace credsync::ipc::http {
namespace {

class ListenerTest : public HttpTest {
 protected:
  mode_t mode_of(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
  }
  bool exists(const std::string& path) {
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0;
  }
};

TEST_F(ListenerTest, MakesTheSocketAndItsDirectory) {
  const std::string path = directory_ + "/api/deep/s.sock";
  const auto socket = ListeningSocket::open(path, 0666);
  ASSERT_TRUE(socket) << socket.error().message();
  EXPECT_EQ(mode_of(path), 0666U);
  EXPECT_EQ(mode_of(directory_ + "/api/deep"), 0755U);
  EXPECT_TRUE(Client(path).connected());
}

TEST_F(ListenerTest, ModeIsExactWhateverTheUmask) {
  const mode_t before = ::umask(0177);
  {
    const auto open_to_all = ListeningSocket::open(directory_ + "/all.sock", 0666);
    EXPECT_EQ(mode_of(directory_ + "/all.sock"), 0666U);
    ::umask(0);
    const auto own = ListeningSocket::open(directory_ + "/own.sock", 0600);
    EXPECT_EQ(mode_of(directory_ + "/own.sock"), 0600U);
  }
  ::umask(before);
}

TEST_F(ListenerTest, RemovesItsSocketAtTheEndAndNoOther) {
  {
    const auto socket = ListeningSocket::open(path_, 0600);
    ASSERT_TRUE(socket);
  }
  EXPECT_FALSE(exists(path_));
  {
    const auto socket = ListeningSocket::open(path_, 0600);
    ASSERT_TRUE(socket);
    ::unlink(path_.c_str());
    ASSERT_TRUE(create_file(path_, "somebody else's", 0600));
  }
  EXPECT_TRUE(exists(path_));
}

TEST_F(ListenerTest, ReplacesAStaleSocket) {
  auto first = ListeningSocket::open(path_, 0600);
  ASSERT_TRUE(first);
  const std::string kept = path_ + ".kept";
  ASSERT_EQ(::link(path_.c_str(), kept.c_str()), 0);
  { const auto gone = std::move(*first); }
  ASSERT_EQ(::rename(kept.c_str(), path_.c_str()), 0);  // as a crash would leave it
  EXPECT_FALSE(Client(path_).connected());
  const auto second = ListeningSocket::open(path_, 0600);
  ASSERT_TRUE(second) << second.error().message();
  EXPECT_TRUE(Client(path_).connected());
}

TEST_F(ListenerTest, LeavesASocketAloneThatSomebodyListensOn) {
  const auto first = ListeningSocket::open(path_, 0600);
  ASSERT_TRUE(first);
  const auto second = ListeningSocket::open(path_, 0600);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), ErrorCode::kTaken);
  EXPECT_TRUE(Client(path_).connected());
}

TEST_F(ListenerTest, LeavesOtherFilesAlone) {
  ASSERT_TRUE(create_file(path_, "precious", 0600));
  const auto socket = ListeningSocket::open(path_, 0600);
  ASSERT_FALSE(socket);
  EXPECT_EQ(socket.error().code(), ErrorCode::kInvalid);
  EXPECT_EQ(read_file(path_, 100).value(), "precious");
}

TEST_F(ListenerTest, RefusesPathsThatDoNotFit) {
  for (const std::string& path :
       {std::string(), std::string("relative.sock"), directory_ + "/" + std::string(108, 'x')}) {
    const auto socket = ListeningSocket::open(path, 0600);
    ASSERT_FALSE(socket);
    EXPECT_EQ(socket.error().code(), ErrorCode::kInvalid);
  }
}

TEST_F(ListenerTest, AdoptsAListeningSocketAndLeavesItsFile) {
  auto made = ListeningSocket::open(path_, 0666);
  ASSERT_TRUE(made);
  auto server = Server::create(*loop_, clock_, service_, generous());
  ASSERT_TRUE(server);
  server_ = std::move(*server);
  ASSERT_TRUE(server_->adopt(Descriptor(::dup(made->get()))));
  EXPECT_EQ(get("/v1/health").status, 200);
  server_.reset();
  EXPECT_TRUE(exists(path_));
}

TEST_F(ListenerTest, AdoptsNothingElse) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  EXPECT_FALSE(ListeningSocket::adopt(Descriptor(pair[0])));
  EXPECT_FALSE(ListeningSocket::adopt(Descriptor(pair[1])));
  EXPECT_FALSE(ListeningSocket::adopt(Descriptor(::socket(AF_INET, SOCK_STREAM, 0))));
  EXPECT_FALSE(ListeningSocket::adopt(Descriptor(::dup(0))));
}

TEST_F(ListenerTest, StoppingToListenLeavesConnectionsAlone) {
  Client client = connect();
  send(client, request("GET", "/v1/health"));
  EXPECT_EQ(read(client).status, 200);
  server_->stop_listening();
  EXPECT_FALSE(connect().connected());
  send(client, request("GET", "/v1/health"));
  EXPECT_EQ(read(client).status, 200);
}

TEST(PeerTest, IsWhoConnectedWithAllItsGroups) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  const Descriptor one(pair[0]), other(pair[1]);
  const auto caller = peer_of(one.get());
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->uid, ::geteuid());
  EXPECT_EQ(caller->gid, ::getegid());
  EXPECT_EQ(caller->pid, ::getpid());
  std::vector<gid_t> groups(static_cast<std::size_t>(::getgroups(0, nullptr)));
  ASSERT_EQ(::getgroups(static_cast<int>(groups.size()), groups.data()), static_cast<int>(groups.size()));
  EXPECT_EQ(caller->groups, groups);
}

TEST(PeerTest, ManyGroupsAreNotCut) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can choose its groups";
  const pid_t child = ::fork();
  if (child == 0) {
    std::vector<gid_t> groups;
    for (gid_t gid = 1000; gid < 1500; ++gid)
      groups.push_back(gid);
    int pair[2];
    const bool ready =
        ::setgroups(groups.size(), groups.data()) == 0 && ::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0;
    const auto caller = ready ? peer_of(pair[0]) : Result<Caller>(invalid("no"));
    ::_exit(caller && caller->groups == groups ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(PeerTest, AFileHasNoPeer) {
  const Descriptor file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_FALSE(peer_of(file.get()));
}

}  // namespace
}  // namespace credsync::ipc::http
