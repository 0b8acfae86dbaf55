// Who may change what, and what cannot be read.
#include "daemon/doctor/files.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "tests/fakes/fake_clock.h"

namespace credsync::doctor {
namespace {

class FilesTest : public testing::Test {
 protected:
  FilesTest() {
    char name[] = "/tmp/credsync-doctor-XXXXXX";
    root_ = ::mkdtemp(name);
    paths_.config = root_ + "/etc";
    paths_.state = root_ + "/state";
    paths_.runtime = root_ + "/run";
    paths_.providers = root_ + "/providers";
    for (const std::string& folder :
         {paths_.config, paths_.config + "/accounts.d", paths_.state, paths_.runtime, paths_.providers})
      std::filesystem::create_directory(folder);
    ::chmod(paths_.state.c_str(), 0700);
  }
  ~FilesTest() override { std::filesystem::remove_all(root_); }

  std::shared_ptr<const config::Account> with_secret(const std::string& text, mode_t mode) {
    const std::string path = root_ + "/secret";
    std::ofstream(path) << text;
    ::chmod(path.c_str(), mode);
    auto account = std::make_shared<config::Account>();
    account->name = "flat";
    account->client_secret.kind = config::SecretSource::Kind::kFile;
    account->client_secret.path = path;
    return account;
  }
  Check secrets(std::shared_ptr<const config::Account> account) {
    return check_secrets({std::move(account)}, clock_, clock_.boot() + 10s);
  }

  fakes::FakeClock clock_;
  std::string root_;
  config::Paths paths_;
};

TEST_F(FilesTest, FoldersOfOursAreFine) {
  EXPECT_EQ(check_folders(paths_, root_ + "/run/api.sock").result, "ok")
      << check_folders(paths_, root_ + "/run/api.sock").detail;
}

TEST_F(FilesTest, AStateThatIsOpenFails) {
  ::chmod(paths_.state.c_str(), 0750);
  const Check check = check_folders(paths_, root_ + "/run/api.sock");
  EXPECT_EQ(check.result, "failed");
  EXPECT_EQ(check.next_step, "chmod 700 " + paths_.state);
}

TEST_F(FilesTest, AFolderThatEverybodyCanWriteFails) {
  ::chmod((paths_.config + "/accounts.d").c_str(), 0777);
  const Check check = check_folders(paths_, root_ + "/run/api.sock");
  EXPECT_EQ(check.result, "failed");
  EXPECT_NE(check.detail.find("accounts.d can be written by everybody"), std::string::npos) << check.detail;
}

TEST_F(FilesTest, AFolderOfSomebodyElseFails) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a folder away";
  ASSERT_EQ(::chown(paths_.runtime.c_str(), 4711, 0), 0);
  EXPECT_NE(check_folders(paths_, root_ + "/run/api.sock").detail.find("belongs to uid 4711"), std::string::npos);
}

TEST_F(FilesTest, SecretsThatCanBeReadAreCounted) {
  EXPECT_EQ(secrets(with_secret("s3cret-canary", 0600)).result, "ok");
}

TEST_F(FilesTest, ASecretThatOthersCanReadFailsAndIsNotShown) {
  const Check check = secrets(with_secret("s3cret-canary", 0644));
  EXPECT_EQ(check.result, "failed");
  EXPECT_NE(check.detail.find("account flat"), std::string::npos);
  EXPECT_EQ(check.detail.find("s3cret"), std::string::npos);
  EXPECT_EQ(check.next_step, "ls -l " + root_ + "/secret");
}

TEST_F(FilesTest, AProgramIsNotRun) {
  auto account = std::make_shared<config::Account>();
  account->client_secret.kind = config::SecretSource::Kind::kCommand;
  account->client_secret.command = {"/bin/sh", "-c", "touch " + root_ + "/ran"};
  EXPECT_EQ(secrets(account).result, "ok");
  EXPECT_FALSE(std::filesystem::exists(root_ + "/ran"));
}

TEST_F(FilesTest, WhatThereWasNoTimeForIsSaid) {
  const Check check = check_secrets({with_secret("x", 0600)}, clock_, clock_.boot() - 1s);
  EXPECT_EQ(check.result, "warning");
}

TEST_F(FilesTest, ASocketThatIsGoneOrNotOursFails) {
  const std::string path = root_ + "/run/api.sock";
  EXPECT_EQ(check_socket(path, false).result, "failed");
  std::ofstream(path) << "x";
  EXPECT_NE(check_socket(path, false).detail.find("not a socket"), std::string::npos);
  std::filesystem::remove(path);
  const Descriptor bound(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  ASSERT_EQ(::bind(bound.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_NE(check_socket(path, false).detail.find("does not lead to this daemon"), std::string::npos)
      << "nobody listens";
}

TEST_F(FilesTest, AClockOfThePastFails) {
  clock_.set_wall(wall_from_seconds(0));
  EXPECT_EQ(check_clock(clock_).result, "failed");
  clock_.set_wall(wall_from_seconds(1'790'000'000));  // 2026-09-21, before there was a release
  EXPECT_EQ(check_clock(clock_).result, "failed");
  clock_.set_wall(wall_from_seconds(2'000'000'000));  // 2033
  EXPECT_NE(check_clock(clock_).result, "failed");
}

}  // namespace
}  // namespace credsync::doctor
