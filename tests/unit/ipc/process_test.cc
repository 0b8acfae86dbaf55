// Processes as the kernel shows them: real ones, that end, exec, and whose ids are taken by others.
#include "ipc/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <functional>

#include "ipc/peer.h"

namespace credsync::ipc {
namespace {

std::string own_exe() {
  char link[4096];
  const ssize_t size = ::readlink("/proc/self/exe", link, sizeof link);
  return std::string(link, static_cast<std::size_t>(size));
}

// A child that does `work` and then waits to be killed; with `pid` it gets this id (CAP_CHECKPOINT_RESTORE).
class Child {
 public:
  explicit Child(
      const std::function<void()>& work = [] {}, pid_t pid = 0) {
    clone_args args{};
    args.exit_signal = SIGCHLD;
    if (pid != 0) {
      args.set_tid = reinterpret_cast<std::uintptr_t>(&pid);
      args.set_tid_size = 1;
    }
    int ready[2];
    EXPECT_EQ(::pipe(ready), 0);
    pid_ = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
    if (pid_ == 0) {
      work();
      [[maybe_unused]] const ssize_t put = ::write(ready[1], "r", 1);
      while (true)
        ::pause();
    }
    ::close(ready[1]);
    char byte = 0;
    EXPECT_TRUE(pid_ < 0 || ::read(ready[0], &byte, 1) == 1);
    ::close(ready[0]);
  }
  ~Child() { end(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
};

// A Unix socket that children connect to.
class Door {
 public:
  Door() : listening_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const sa_family_t family = AF_UNIX;
    EXPECT_EQ(::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&family), sizeof family), 0);  // autobind
    EXPECT_EQ(::listen(listening_.get(), 8), 0);
    size_ = sizeof address_;
    EXPECT_EQ(::getsockname(listening_.get(), reinterpret_cast<sockaddr*>(&address_), &size_), 0);
  }
  void connect() const {
    const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
    if (::connect(socket, reinterpret_cast<const sockaddr*>(&address_), size_) != 0) ::_exit(1);
  }
  Descriptor accept() const { return Descriptor(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC)); }

 private:
  Descriptor listening_;
  sockaddr_un address_{};
  socklen_t size_ = 0;
};

TEST(Process, ShowsWhatItRunsAndWhoseItIs) {
  const auto self = PinnedProcess::open(::getpid(), ::geteuid());
  ASSERT_TRUE(self) << self.error().message();
  EXPECT_TRUE((*self)->alive());
  EXPECT_EQ((*self)->exe().value_or(""), own_exe());
  const auto credentials = (*self)->credentials();
  ASSERT_TRUE(credentials);
  EXPECT_TRUE(credentials->has(::geteuid()));
  EXPECT_EQ(credentials->gid, ::getegid());
  EXPECT_EQ(credentials->groups.size(), static_cast<std::size_t>(::getgroups(0, nullptr)));
}

TEST(Process, OfAnotherUserThanExpectedIsNotTaken) {
  EXPECT_FALSE(PinnedProcess::open(::getpid(), 54321));
  EXPECT_FALSE(PinnedProcess::open(0, std::nullopt));
  EXPECT_FALSE(PinnedProcess::open(-1, std::nullopt));
}

TEST(Process, SaysNothingOnceItHasEnded) {
  Child child;
  const auto held = PinnedProcess::open(child.pid(), std::nullopt);
  ASSERT_TRUE(held);
  ASSERT_TRUE((*held)->exe());
  child.end();
  EXPECT_FALSE((*held)->alive());
  EXPECT_FALSE((*held)->exe());
  EXPECT_FALSE((*held)->unit());
  EXPECT_FALSE((*held)->credentials());
}

TEST(Process, ShowsTheExecutableOfNowAfterExec) {
  int gate[2], until_exec[2];
  ASSERT_EQ(::pipe(gate), 0);
  ASSERT_EQ(::pipe2(until_exec, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    char byte = 0;
    [[maybe_unused]] const ssize_t got = ::read(gate[0], &byte, 1);
    ::execl("/bin/sleep", "sleep", "60", nullptr);
    ::_exit(1);
  }
  const auto held = PinnedProcess::open(child, std::nullopt);
  ASSERT_TRUE(held);
  EXPECT_EQ((*held)->exe().value_or(""), own_exe());
  ASSERT_EQ(::write(gate[1], "g", 1), 1);
  ::close(until_exec[1]);
  char byte = 0;
  EXPECT_EQ(::read(until_exec[0], &byte, 1), 0) << "the kernel closes it when the new program is in place";
  const std::string now = (*held)->exe().value_or("");
  EXPECT_TRUE(now.ends_with("/sleep")) << now;
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(gate[0]), ::close(gate[1]), ::close(until_exec[0]);
}

TEST(Process, OfAPidfdIsTheOneItMeans) {
  Child child;
  Descriptor pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child.pid(), 0)));
  const auto held = PinnedProcess::adopt(std::move(pidfd));
  ASSERT_TRUE(held) << held.error().message();
  EXPECT_EQ((*held)->pid(), child.pid());
  EXPECT_EQ((*held)->exe().value_or(""), own_exe());
  EXPECT_FALSE(PinnedProcess::adopt(Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC))));
  Descriptor late(static_cast<int>(::syscall(SYS_pidfd_open, child.pid(), 0)));
  child.end();
  EXPECT_FALSE(PinnedProcess::adopt(std::move(late)));
}

TEST(Process, OfAPeerIsTheOneThatConnected) {
  const Door door;
  Child child([&] { door.connect(); });
  const Descriptor socket = door.accept();
  const auto caller = peer_of(socket.get());
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->pid, child.pid());
  EXPECT_EQ(caller->process->exe().value_or(""), own_exe());
  child.end();
  EXPECT_FALSE(caller->process->exe());
  EXPECT_FALSE(caller->process->unit());
}

TEST(Process, OfAPeerWhoseSocketClosedBeforeIsNobody) {
  const Door door;
  Child child([&] { door.connect(); });
  const Descriptor socket = door.accept();
  const auto process = PinnedProcess::of_peer(socket.get(), child.pid(), ::geteuid());
  process->socket_closed();
  EXPECT_FALSE(process->exe());
}

TEST(Process, InAnotherPidNamespaceIsNobody) {
  const auto process = PinnedProcess::of_peer(-1, 0, ::geteuid());
  EXPECT_FALSE(process->exe());
  EXPECT_FALSE(process->unit());
  EXPECT_FALSE(process->alive());
}

// The peer ends and another process gets its id, forced; whatever is asked then must be refused.
TEST(Process, AnIdThatIsTakenByAnotherNeverSpeaksForThePeer) {
  const Door door;
  constexpr int kRounds = 200;
  for (int round = 0; round < kRounds; ++round) {
    Child first([&] { door.connect(); });
    const pid_t pid = first.pid();
    const Descriptor socket = door.accept();
    const auto before = peer_of(socket.get());  // in half of the rounds looked at before the id is taken
    ASSERT_TRUE(before);
    EXPECT_TRUE(round % 2 == 0 || before->process->exe());
    const auto opened = PinnedProcess::open(pid, ::geteuid());
    ASSERT_TRUE(opened);
    first.end();
    Child second([] {}, pid);
    if (second.pid() < 0) GTEST_SKIP() << "NOT TESTED: clone3 with set_tid needs CAP_CHECKPOINT_RESTORE";
    ASSERT_EQ(second.pid(), pid);
    const auto after = peer_of(socket.get());
    for (const Process* held :
         {before->process.get(), after->process.get(), static_cast<const Process*>(opened->get())}) {
      EXPECT_FALSE(held->exe()) << round;
      EXPECT_FALSE(held->unit()) << round;
    }
    EXPECT_FALSE((*opened)->credentials());
  }
}

TEST(Process, AnotherIsSeenAsItWouldBeIfItConnected) {
  Child child;
  const auto caller = caller_of(child.pid());
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->uid, ::geteuid());
  EXPECT_EQ(caller->gid, ::getegid());
  EXPECT_EQ(caller->pid, child.pid());
  const pid_t pid = child.pid();
  child.end();
  EXPECT_FALSE(caller_of(pid));
}

}  // namespace
}  // namespace credsync::ipc
