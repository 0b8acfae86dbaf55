#include "ipc/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <utility>

#include "base/text.h"
#include "ipc/cgroup.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77  // asm-generic/socket.h of Linux 6.5
#endif

namespace credsync::ipc {
namespace {

constexpr std::size_t kLongestProcText = kLongestCgroupText;  // of status, too: 65,536 groups would not fit, and fail

Error gone() {
  return not_found("the process has ended");
}

Error hidden(const std::string& path, int error) {
  if (error == ESRCH) return gone();
  const std::string hint = error == ENOENT ? "; it has ended, or /proc hides it (ProtectProc=, hidepid=)" : "";
  return Error(ErrorCode::kDenied, from_errno("read " + path, error).message() + hint);
}

// Files of /proc have no size: read to the end, or to the limit.
Result<std::string> read_proc(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return hidden(path, errno);
  std::string text;
  std::array<char, 4096> chunk;
  while (true) {
    const ssize_t got = ::read(file.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return hidden(path, errno);
    if (got == 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(got));
    if (text.size() > kLongestProcText) return exhausted(path + " is too long");
  }
}

// The numbers after "Name:" on its line; empty if there is no such line or something else stands there.
std::vector<long long> numbers_of(std::string_view text, std::string_view name) {
  std::vector<long long> numbers;
  const std::size_t at = text.starts_with(name) ? 0 : text.find("\n" + std::string(name));
  if (at == std::string_view::npos) return numbers;
  text.remove_prefix(text.find(':', at) + 1);
  text = text.substr(0, text.find('\n'));
  while (!text.empty()) {
    if (text.front() == ' ' || text.front() == '\t') {
      text.remove_prefix(1);
      continue;
    }
    long long number = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{}) return {};
    numbers.push_back(number);
    text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
  }
  return numbers;
}

std::string proc_path(pid_t pid, const char* leaf) {
  return "/proc/" + std::to_string(pid) + "/" + leaf;
}

// When it started, in ticks since boot: field 22 of proc(5)'s stat. The name in field 2 may hold anything.
Result<std::string> start_of(pid_t pid) {
  auto text = read_proc(proc_path(pid, "stat"));
  if (!text) return std::move(text).error();
  constexpr int kFieldsAfterName = 20;
  std::size_t at = text->rfind(')');
  for (int i = 0; i < kFieldsAfterName && at != std::string::npos; ++i)
    at = text->find(' ', at + 1);
  if (at == std::string::npos) return corrupt(proc_path(pid, "stat") + " has an unknown form");
  return text->substr(at + 1, text->find(' ', at + 1) - at - 1);
}

Result<Credentials> parse_status(std::string_view text) {
  const auto uids = numbers_of(text, "Uid:");
  const auto gids = numbers_of(text, "Gid:");
  if (uids.size() != 4 || gids.size() != 4) return corrupt("the process's status has an unknown form");
  Credentials credentials{static_cast<uid_t>(uids[0]),
                          static_cast<uid_t>(uids[1]),
                          static_cast<uid_t>(uids[2]),
                          static_cast<gid_t>(gids[1]),
                          {}};
  for (const long long group : numbers_of(text, "Groups:"))
    credentials.groups.push_back(static_cast<gid_t>(group));
  return credentials;
}

Descriptor open_pidfd(pid_t pid) {
  return Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

Descriptor pidfd_of_peer(int socket) {
  int pidfd = -1;
  socklen_t size = sizeof pidfd;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) != 0) return {};
  return Descriptor(pidfd);
}

// Whether the kernel holds peers itself: then a pidfd fetched later is of the same process for certain.
bool kernel_holds_peers() {
  static const bool holds = [] {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return false;
    const Descriptor one(pair[0]), other(pair[1]);
    return static_cast<bool>(pidfd_of_peer(one.get()));
  }();
  return holds;
}

}  // namespace

namespace {

class UnknownProcess final : public Process {
 public:
  explicit UnknownProcess(std::string why) : why_(std::move(why)) {}
  Result<std::string> unit() const override { return not_found(why_); }
  std::optional<std::string_view> unit_seen() const override { return std::string_view(); }
  Result<std::string> exe() const override { return not_found(why_); }
  bool alive() const override { return false; }

 private:
  const std::string why_;
};

}  // namespace

std::shared_ptr<const Process> unknown_process(std::string why) {
  return std::make_shared<const UnknownProcess>(std::move(why));
}

Result<std::shared_ptr<const PinnedProcess>> PinnedProcess::open(pid_t pid, std::optional<uid_t> uid) {
  if (pid <= 0) return not_found("the kernel cannot say which process it is: it is in another pid namespace");
  const std::shared_ptr<PinnedProcess> process(new PinnedProcess(pid));
  process->uid_ = uid;
  const auto before = start_of(pid);
  if (!before) return before.error();
  process->pidfd_ = open_pidfd(pid);
  if (!process->pidfd_) return hidden(proc_path(pid, ""), errno);
  const auto after = start_of(pid);
  if (!after) return after.error();
  if (*before != *after) return gone();
  CREDSYNC_TRY(process->check_pin());
  return std::shared_ptr<const PinnedProcess>(process);
}

Result<std::shared_ptr<const PinnedProcess>> PinnedProcess::adopt(Descriptor pidfd) {
  auto info = read_proc("/proc/self/fdinfo/" + std::to_string(pidfd.get()));
  if (!info) return std::move(info).error();
  const auto pid = numbers_of(*info, "Pid:");
  if (pid.size() != 1) return invalid("this is not a pidfd");
  if (pid.front() < 0) return gone();
  if (pid.front() == 0) return not_found("the process is in another pid namespace");
  const std::shared_ptr<PinnedProcess> process(new PinnedProcess(static_cast<pid_t>(pid.front())));
  process->pidfd_ = std::move(pidfd);
  process->checked_ = true;
  return std::shared_ptr<const PinnedProcess>(process);
}

std::shared_ptr<const PinnedProcess> PinnedProcess::of_peer(int socket, pid_t pid, uid_t uid) {
  const std::shared_ptr<PinnedProcess> process(new PinnedProcess(pid));
  if (pid <= 0) {
    process->failed_ = not_found("the kernel cannot say which process it is: it is in another pid namespace");
  } else if (kernel_holds_peers()) {
    process->socket_ = socket;
  } else {
    process->uid_ = uid;
    process->pidfd_ = open_pidfd(pid);
    if (!process->pidfd_) process->failed_ = gone();
  }
  return process;
}

bool PinnedProcess::alive() const {
  if (!pin()) return false;
  pollfd wait{pidfd_.get(), POLLIN, 0};
  return ::poll(&wait, 1, 0) == 0;  // readable once it has ended
}

Result<void> PinnedProcess::still_there() const {
  if (!alive()) return gone();
  return {};
}

Result<void> PinnedProcess::pin() const {
  if (failed_) return *failed_;
  if (pidfd_) return {};
  if (socket_ < 0) return not_found("its connection was closed before it was looked at");
  pidfd_ = pidfd_of_peer(socket_);
  if (pidfd_) return {};
  if (errno == EMFILE || errno == ENFILE) return from_errno("hold the process", errno);  // may pass
  failed_ = gone();
  return *failed_;
}

Result<void> PinnedProcess::check_pin() const {
  CREDSYNC_TRY(pin());
  if (checked_) return {};
  const auto info = read_proc("/proc/self/fdinfo/" + std::to_string(pidfd_.get()));
  if (!info) return info.error();
  const auto pid = numbers_of(*info, "Pid:");
  if (pid.size() != 1) return corrupt("/proc does not say whose pidfd it is");
  if (pid.front() != pid_) return pid.front() < 0 ? gone() : not_found("/proc belongs to another pid namespace");
  if (uid_) {
    const auto text = read_proc(path("status"));
    if (!text) return text.error();
    const auto users = parse_status(*text);
    if (!users) return users.error();
    CREDSYNC_TRY(still_there());
    if (!users->has(*uid_)) return not_found("the process is not the user's any more who connected");
  }
  checked_ = true;
  return {};
}

std::string PinnedProcess::path(const char* leaf) const {
  return proc_path(pid_, leaf);
}

Result<std::string> PinnedProcess::unit() const {
  CREDSYNC_TRY(check_pin());
  if (!unit_) {
    const auto text = read_proc(path("cgroup"));
    CREDSYNC_TRY(still_there());  // what was read of another process must not even explain
    if (!text) return text.error();
    unit_ = system_unit_of(*text);
    return *unit_;
  }
  CREDSYNC_TRY(still_there());
  return *unit_;
}

std::optional<std::string_view> PinnedProcess::unit_seen() const {
  if (unit_) return *unit_ ? std::string_view(**unit_) : std::string_view();
  if (failed_) return std::string_view();
  return std::nullopt;
}

Result<std::string> PinnedProcess::exe() const {
  CREDSYNC_TRY(check_pin());
  std::array<char, PATH_MAX> link;
  const std::string name = path("exe");
  const ssize_t size = ::readlink(name.c_str(), link.data(), link.size());
  const int error = errno;
  CREDSYNC_TRY(still_there());
  if (size < 0 && (error == EACCES || error == EPERM)) {
    return denied(name + " may not be read: the daemon needs CAP_SYS_PTRACE to see other users' executables");
  }
  if (size < 0) return hidden(name, error);
  if (static_cast<std::size_t>(size) == link.size()) return exhausted("its executable's path is too long");
  return std::string(link.data(), static_cast<std::size_t>(size));
}

Result<Credentials> PinnedProcess::credentials() const {
  CREDSYNC_TRY(check_pin());
  const auto text = read_proc(path("status"));
  CREDSYNC_TRY(still_there());
  if (!text) return text.error();
  return parse_status(*text);
}

}  // namespace credsync::ipc
