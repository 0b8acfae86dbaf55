// What systemd passes: one listening socket by its name, or nothing, or a clear word.
#include "daemon/lifecycle/handover.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

namespace credsync::lifecycle {
namespace {

class HandoverTest : public testing::Test {
 protected:
  HandoverTest() {
    char name[] = "/tmp/credsync-handover-XXXXXX";
    directory_ = ::mkdtemp(name);
    path_ = directory_ + "/api.sock";
  }
  ~HandoverTest() override { std::filesystem::remove_all(directory_); }

  Descriptor bound(const std::string& path, int type = SOCK_STREAM) {
    Descriptor socket(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return socket;
  }
  Descriptor listening(const std::string& path) {
    Descriptor socket = bound(path);
    EXPECT_EQ(::listen(socket.get(), 8), 0);
    const int on = 1;
    EXPECT_EQ(::setsockopt(socket.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
    return socket;
  }
  Result<std::optional<Descriptor>> choose(Descriptor socket, const std::string& name = "http") {
    std::vector<PassedSocket> passed;
    passed.push_back({std::move(socket), name});
    return choose_socket(std::move(passed), path_);
  }
  void expect_refused(const Result<std::optional<Descriptor>>& chosen, const std::string& words) {
    ASSERT_FALSE(chosen);
    EXPECT_EQ(chosen.error().code(), ErrorCode::kInvalid);
    EXPECT_NE(chosen.error().message().find(words), std::string::npos) << chosen.error().message();
  }

  std::string directory_, path_;
};

TEST_F(HandoverTest, WithoutASocketNothingIsChosen) {
  const auto chosen = choose_socket({}, path_);
  ASSERT_TRUE(chosen);
  EXPECT_FALSE(*chosen);
}

TEST_F(HandoverTest, TakesTheSocketAtThePathOfTheConfiguration) {
  Descriptor socket = listening(path_);
  const int number = socket.get();
  const auto chosen = choose(std::move(socket));
  ASSERT_TRUE(chosen) << chosen.error().message();
  EXPECT_EQ((*chosen)->get(), number);
}

TEST_F(HandoverTest, TheSameFileByAnotherNameIsFine) {
  std::filesystem::create_directory(directory_ + "/real");
  std::filesystem::create_directory_symlink(directory_ + "/real", directory_ + "/run");
  path_ = directory_ + "/run/api.sock";
  EXPECT_TRUE(choose(listening(directory_ + "/real/api.sock")));
}

TEST_F(HandoverTest, RefusesAnotherPathAndNamesBoth) {
  const std::string other = directory_ + "/other.sock";
  const auto chosen = choose(listening(other));
  expect_refused(chosen, other);
  expect_refused(chosen, path_);
}

TEST_F(HandoverTest, RefusesAnotherNameAndSaysTheRightOne) {
  expect_refused(choose(listening(path_), "credsyncd.socket"), "FileDescriptorName=http");
}

TEST_F(HandoverTest, RefusesWhatDoesNotListen) {
  expect_refused(choose(bound(path_)), "not a listening Unix stream socket");
  ::unlink(path_.c_str());
  expect_refused(choose(bound(path_, SOCK_DGRAM)), "not a listening Unix stream socket");
  Descriptor internet(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::listen(internet.get(), 8), 0);
  expect_refused(choose(std::move(internet)), "not a listening Unix stream socket");
}

TEST_F(HandoverTest, RefusesOneThatDoesNotTellWhoWrites) {
  Descriptor socket = bound(path_);
  ASSERT_EQ(::listen(socket.get(), 8), 0);
  expect_refused(choose(std::move(socket)), "PassCredentials=yes");
}

TEST_F(HandoverTest, RefusesTwo) {
  std::vector<PassedSocket> passed;
  passed.push_back({listening(path_), "http"});
  passed.push_back({listening(directory_ + "/two.sock"), "http"});
  expect_refused(choose_socket(std::move(passed), path_), "passes 2 sockets");
}

TEST_F(HandoverTest, TakesEverythingOutOfTheEnvironment) {
  ::setenv("NOTIFY_SOCKET", "/run/notify", 1);
  ::setenv("WATCHDOG_USEC", "30000000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  ::setenv("LISTEN_PID", std::to_string(::getpid() + 1).c_str(), 1);  // another's: not ours to take
  ::setenv("LISTEN_FDS", "1", 1);
  const Handover handover = take_handover();
  EXPECT_EQ(handover.notify_address, "/run/notify");
  EXPECT_EQ(handover.watchdog, Duration(30s));
  EXPECT_TRUE(handover.sockets.empty());
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS"})
    EXPECT_EQ(::getenv(name), nullptr) << name;
}

}  // namespace
}  // namespace credsync::lifecycle
