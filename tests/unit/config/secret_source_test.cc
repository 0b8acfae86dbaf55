#include "daemon/config/secret_source.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/file.h"

namespace credsync::config {
namespace {

using Clock = std::chrono::steady_clock;

class SecretSources : public ::testing::Test {
 protected:
  SecretSources() {
    std::string pattern = (std::filesystem::temp_directory_path() / "credsync-secret-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
  }
  ~SecretSources() override { std::filesystem::remove_all(root_); }

  std::string write(const std::string& name, const std::string& text, mode_t mode) {
    const std::string path = root_ + "/" + name;
    std::ofstream(path, std::ios::binary) << text;
    EXPECT_EQ(0, ::chmod(path.c_str(), mode));
    return path;
  }
  static SecretSource file(const std::string& path) { return {SecretSource::Kind::kFile, path, {}}; }
  static SecretSource credential(const std::string& name) { return {SecretSource::Kind::kCredential, name, {}}; }
  static SecretSource shell(const std::string& script) {
    return {SecretSource::Kind::kCommand, "", {"/bin/sh", "-c", script}};
  }
  static std::string value(const SecretSource& source) {
    const auto secret = read_secret(source);
    return secret ? std::string(secret->expose()) : "error: " + secret.error().message();
  }
  static std::string trouble(const SecretSource& source) {
    const auto secret = read_secret(source);
    return secret ? "no error" : secret.error().message();
  }

  std::string root_;
};

TEST_F(SecretSources, AFileWithoutItsLastNewline) {
  EXPECT_EQ(value(file(write("a", "s3cr3t\n", 0600))), "s3cr3t");
  EXPECT_EQ(value(file(write("b", "s3cr3t", 0400))), "s3cr3t");
  EXPECT_EQ(value(file(write("c", "two\nlines\n\n", 0600))), "two\nlines\n") << "only one newline is the editor's";
  EXPECT_EQ(value(file(write("d", std::string("a\0b\n", 4), 0600))), std::string("a\0b", 3));
}

TEST_F(SecretSources, EmptyOrAbsentIsAnError) {
  EXPECT_EQ(trouble(file(write("a", "", 0600))), root_ + "/a is empty");
  EXPECT_EQ(trouble(file(write("b", "\n", 0600))), root_ + "/b is empty");
  EXPECT_EQ(trouble(file(root_ + "/nowhere")), "open " + root_ + "/nowhere: No such file or directory");
  EXPECT_EQ(trouble(SecretSource{}), "no secret is configured");
}

TEST_F(SecretSources, OthersMustNotReadIt) {
  for (const mode_t mode : {0604u, 0644u, 0606u, 0602u, 0666u}) {
    EXPECT_NE(trouble(file(write("a", "s3cr3t", mode))).find("by others"), std::string::npos) << std::oct << mode;
  }
  EXPECT_EQ(value(file(write("a", "s3cr3t", 0640))), "s3cr3t") << "the group is the daemon's own";
}

TEST_F(SecretSources, AnotherGroupMustNotReadIt) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to change the group";
  const std::string path = write("a", "s3cr3t", 0640);
  ASSERT_EQ(0, ::chown(path.c_str(), 0, 12345));
  EXPECT_NE(trouble(file(path)).find("can be read by others"), std::string::npos);
}

TEST_F(SecretSources, AnotherOwnerIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to give a file away";
  const std::string path = write("a", "s3cr3t", 0600);
  ASSERT_EQ(0, ::chown(path.c_str(), 12345, 0));
  EXPECT_NE(trouble(file(path)).find("belongs to another user"), std::string::npos);
}

TEST_F(SecretSources, OnlyRegularFilesWithoutHanging) {
  ASSERT_EQ(0, ::mkfifo((root_ + "/fifo").c_str(), 0600));
  EXPECT_EQ(trouble(file(root_ + "/fifo")), root_ + "/fifo is not a regular file");
  EXPECT_EQ(trouble(file(root_)), root_ + " is not a regular file");
  EXPECT_EQ(trouble(file("/dev/zero")), "/dev/zero is not a regular file");
}

TEST_F(SecretSources, ALinkIsJudgedByWhatItLeadsTo) {
  ASSERT_EQ(0, ::symlink(write("good", "s3cr3t\n", 0600).c_str(), (root_ + "/to-good").c_str()));
  ASSERT_EQ(0, ::symlink(write("bad", "s3cr3t\n", 0644).c_str(), (root_ + "/to-bad").c_str()));
  ASSERT_EQ(0, ::symlink("nowhere", (root_ + "/to-nothing").c_str()));
  ASSERT_EQ(0, ::symlink("round", (root_ + "/round").c_str()));
  EXPECT_EQ(value(file(root_ + "/to-good")), "s3cr3t");
  EXPECT_NE(trouble(file(root_ + "/to-bad")).find("can be read by others"), std::string::npos);
  EXPECT_NE(trouble(file(root_ + "/to-nothing")).find("No such file"), std::string::npos);
  EXPECT_NE(trouble(file(root_ + "/round")).find("symbolic links"), std::string::npos);
}

TEST_F(SecretSources, AFileHasALimit) {
  EXPECT_EQ(value(file(write("a", std::string(kMaxSecretBytes, 'x'), 0600))).size(), kMaxSecretBytes);
  EXPECT_EQ(trouble(file(write("b", std::string(kMaxSecretBytes + 1, 'x'), 0600))),
            root_ + "/b is larger than 65536 bytes");
}

TEST_F(SecretSources, ACredentialComesFromItsFolder) {
  ::unsetenv("CREDENTIALS_DIRECTORY");
  EXPECT_EQ(trouble(credential("key")), "credential key: $CREDENTIALS_DIRECTORY is not set");
  ::setenv("CREDENTIALS_DIRECTORY", root_.c_str(), 1);
  const std::string path = write("key", "s3cr3t\n", 0400);
  EXPECT_EQ(value(credential("key")), "s3cr3t");
  // As systemd 252 shows it on a tmpfs: root's, and the mask of its ACL for us looks like a right of the group.
  write("key", "s3cr3t\n", 0440);
  if (::geteuid() == 0) {
    EXPECT_EQ(::chown(path.c_str(), 0, 12345), 0);
  }
  EXPECT_EQ(value(credential("key")), "s3cr3t");
  write("key", "s3cr3t\n", 0444);
  EXPECT_NE(trouble(credential("key")).find("can be read by others"), std::string::npos);
  write("key", "s3cr3t\n", 0460);
  EXPECT_NE(trouble(credential("key")).find("can be written by others"), std::string::npos);
  EXPECT_NE(trouble(credential("other")).find("credential other: open"), std::string::npos);
  ::unsetenv("CREDENTIALS_DIRECTORY");
}

TEST_F(SecretSources, ACommandPrintsIt) {
  EXPECT_EQ(value(shell("echo s3cr3t")), "s3cr3t");
  EXPECT_EQ(value({SecretSource::Kind::kCommand, "", {"/bin/echo", "a b", "$HOME"}}), "a b $HOME")
      << "there is no shell";
  EXPECT_EQ(value(shell("echo s3cr3t; echo noise >&2")), "s3cr3t");
}

TEST_F(SecretSources, ACommandThatFailsGivesNothingAway) {
  const std::string words = trouble(shell("echo canary; echo canary >&2; exit 3"));
  EXPECT_EQ(words, "/bin/sh exited with status 3");
  EXPECT_EQ(trouble(shell("echo canary; kill -9 $$")), "/bin/sh was killed by signal 9");
  EXPECT_EQ(trouble(shell("true")), "/bin/sh printed nothing");
  EXPECT_EQ(trouble({SecretSource::Kind::kCommand, "", {"/nowhere/pass"}}),
            "run /nowhere/pass: No such file or directory");
  EXPECT_EQ(trouble({SecretSource::Kind::kCommand, "", {"/etc/passwd"}}), "run /etc/passwd: Permission denied");
  EXPECT_EQ(trouble({SecretSource::Kind::kCommand, "", {}}), "the command is empty");
}

TEST_F(SecretSources, ACommandGetsNothingOfOurs) {
  ::setenv("CREDSYNC_CANARY", "canary", 1);
  ::setenv("HOME", "/root", 1);
  EXPECT_EQ(value({SecretSource::Kind::kCommand, "", {"/usr/bin/env"}}),
            "PATH=/usr/bin:/bin\nLANG=C.UTF-8\nHOME=/root");
  ::unsetenv("CREDSYNC_CANARY");
  const int open = ::open("/dev/null", O_RDONLY);  // without close-on-exec, as a careless library leaves it
  EXPECT_EQ(value({SecretSource::Kind::kCommand, "", {"/bin/ls", "/proc/self/fd"}}), "0\n1\n2\n3") << "3 is ls's own";
  ::close(open);
  EXPECT_EQ(value(shell("readlink /proc/self/fd/0 /proc/self/fd/2; pwd")), "/dev/null\n/dev/null\n/");
}

TEST_F(SecretSources, ACommandHasNoBlockedOrIgnoredSignals) {
  sigset_t pipe_blocked, before;
  ::sigemptyset(&pipe_blocked);
  ::sigaddset(&pipe_blocked, SIGPIPE);
  ASSERT_EQ(0, ::pthread_sigmask(SIG_BLOCK, &pipe_blocked, &before));
  const auto old = ::signal(SIGUSR1, SIG_IGN);
  const auto mask = [](const std::string& name) {
    return std::stoull(value(shell("grep ^" + name + ": /proc/self/status | cut -f2")), nullptr, 16);
  };
  constexpr unsigned long long kStandard = 0x7fffffff;  // 32 and 33 are glibc's own, ignored in every spawned child
  EXPECT_EQ(mask("SigBlk"), 0u);
  EXPECT_EQ(mask("SigIgn") & kStandard, 0u);
  ::signal(SIGUSR1, old);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// Whether a process runs that holds `marker` in its arguments.
bool runs(const std::string& marker) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos || name == std::to_string(::getpid())) continue;
    std::ifstream in(entry.path() / "cmdline", std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    if (text.find(marker) != std::string::npos) return true;
  }
  return false;
}

bool gone(const std::string& marker) {
  const auto deadline = Clock::now() + std::chrono::seconds(5);
  while (runs(marker) && Clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return !runs(marker);
}

TEST_F(SecretSources, AFloodIsCutOffAtOnce) {
  const auto start = Clock::now();
  EXPECT_EQ(trouble(shell("exec cat /dev/zero")), "/bin/sh printed more than 65536 bytes");
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(5));
}

TEST_F(SecretSources, ExactlyTheLimitIsTaken) {
  EXPECT_EQ(value(shell("head -c 65536 /dev/zero | tr '\\0' x")).size(), kMaxSecretBytes);
  EXPECT_EQ(trouble(shell("head -c 65537 /dev/zero | tr '\\0' x")), "/bin/sh printed more than 65536 bytes");
}

TEST_F(SecretSources, WhatACommandLeavesBehindIsKilledAndNotWaitedFor) {
  const std::string marker = "41" + std::to_string(::getpid());
  const auto start = Clock::now();
  EXPECT_EQ(value(shell("sleep " + marker + " & echo s3cr3t")), "s3cr3t");
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(5));
  EXPECT_TRUE(gone(marker));
}

TEST_F(SecretSources, ACommandThatHangsIsKilledWithItsChildren) {
  const std::string marker = "42" + std::to_string(::getpid());
  const auto start = Clock::now();
  const auto secret =
      read_secret(shell("echo canary; exec >&-; sleep " + marker + " & sleep " + marker + "; true"), 1s);
  const auto took = Clock::now() - start;
  ASSERT_FALSE(secret.has_value());
  EXPECT_EQ(secret.error().message(), "/bin/sh did not end within 1s");
  EXPECT_EQ(secret.error().code(), ErrorCode::kTimeout);
  EXPECT_GE(took, std::chrono::seconds(1));
  EXPECT_LT(took, std::chrono::seconds(6));
  EXPECT_TRUE(gone(marker));
  EXPECT_EQ(kSecretCommandDeadline, Duration(10s)) << "what is promised to admins";
}

TEST_F(SecretSources, CommandsRunSideBySide) {
  std::vector<std::thread> threads;
  std::vector<std::string> found(16);
  for (std::size_t i = 0; i < found.size(); ++i) {
    threads.emplace_back([&, i] { found[i] = value(shell("echo " + std::to_string(i))); });
  }
  for (std::thread& thread : threads)
    thread.join();
  for (std::size_t i = 0; i < found.size(); ++i)
    EXPECT_EQ(found[i], std::to_string(i));
}

}  // namespace
}  // namespace credsync::config
