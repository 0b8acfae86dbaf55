// Who a caller is, from what a broker says of it: with the process that newer ones hand over, and without.
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <csignal>

#include "base/file.h"
#include "ipc/dbus/message.h"
#include "ipc/dbus/senders.h"
#include "ipc/process.h"
#include "tests/unit/dbus/bus_harness.h"

namespace credsync::ipc::dbus {
namespace {

constexpr uid_t kUser = 4711;

Descriptor pidfd_of(pid_t pid) {
  return Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

class BusCredentialsTest : public BusTest {
 protected:
  BusCredentialsTest() : client_(connect()) {}

  // The caller of an answer of GetConnectionCredentials with this process; the descriptor only where there is one.
  std::optional<Caller> caller(pid_t pid, const Descriptor& process, const char* descriptor_key = "ProcessFD") {
    sd_bus_message* message = nullptr;
    EXPECT_GE(::sd_bus_message_new_signal(client_->bus(), &message, "/a", "a.b", "C"), 0);
    EXPECT_GE(::sd_bus_message_open_container(message, 'a', "{sv}"), 0);
    EXPECT_GE(::sd_bus_message_append(message, "{sv}", "UnixUserID", "u", kUser), 0);
    EXPECT_GE(::sd_bus_message_append(message, "{sv}", "ProcessID", "u", static_cast<unsigned>(pid)), 0);
    EXPECT_GE(::sd_bus_message_append(message, "{sv}", "UnixGroupIDs", "au", 2, 50U, 60U), 0);
    if (process) {
      EXPECT_GE(::sd_bus_message_append(message, "{sv}", descriptor_key, "h", process.get()), 0);
    }
    EXPECT_GE(::sd_bus_message_close_container(message), 0);
    EXPECT_GE(::sd_bus_message_seal(message, 1, 0), 0);
    EXPECT_GE(::sd_bus_message_rewind(message, 1), 0);
    Reader body(message);
    auto read = read_credentials(body);
    ::sd_bus_message_unref(message);
    return read;
  }

  std::unique_ptr<BusClient> client_;
};

TEST_F(BusCredentialsTest, TheProcessThatIsHandedOverIsLookedAt) {
  const auto read = caller(::getpid(), pidfd_of(::getpid()));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->uid, kUser);
  EXPECT_EQ(read->pid, ::getpid());
  EXPECT_EQ(read->groups, (std::vector<gid_t>{50, 60}));
  const auto self = PinnedProcess::open(::getpid(), std::nullopt);
  ASSERT_TRUE(self);
  const auto exe = read->process->exe();
  ASSERT_TRUE(exe) << exe.error().message();
  EXPECT_EQ(*exe, (*self)->exe().value_or(""));
  EXPECT_TRUE(read->process->alive());
}

TEST_F(BusCredentialsTest, TheDescriptorCountsAndNotTheIdBesideIt) {
  const pid_t child = ::fork();
  if (child == 0) {
    while (true)
      ::pause();
  }
  const auto read = caller(::getpid(), pidfd_of(child));
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->process->alive());
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(read->process->alive());
  EXPECT_FALSE(read->process->exe());
  EXPECT_FALSE(read->process->unit());
}

TEST_F(BusCredentialsTest, AnIdAloneEstablishesNothingButIsKeptForTheRecord) {
  for (const auto& read : {caller(::getpid(), Descriptor()), caller(::getpid(), pidfd_of(::getpid()), "OtherFD")}) {
    ASSERT_TRUE(read);
    EXPECT_EQ(read->uid, kUser);
    EXPECT_EQ(read->pid, ::getpid());
    EXPECT_EQ(read->groups.size(), 2U);
    for (const auto& nothing : {read->process->unit(), read->process->exe()}) {
      ASSERT_FALSE(nothing);
      EXPECT_NE(nothing.error().message().find("does not hand over"), std::string::npos) << nothing.error().message();
    }
  }
}

TEST_F(BusCredentialsTest, ADescriptorOfSomethingElseEstablishesNothing) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const Descriptor one(ends[0]), other(ends[1]);
  const auto read = caller(::getpid(), one);
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->process->unit());
  EXPECT_FALSE(read->process->exe());
}

}  // namespace
}  // namespace credsync::ipc::dbus
