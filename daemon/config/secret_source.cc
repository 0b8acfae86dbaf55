#include "daemon/config/secret_source.h"

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <vector>

#include "base/file.h"

namespace credsync::config {
namespace {

// A program that prints a secret, from its start to its end. It gets nothing of ours: no environment, no
// descriptor, no terminal; and leaves nothing behind: its whole session's process group is killed when this
// object goes.
class Command {
 public:
  Command(const std::vector<std::string>& arguments, Duration patience)
      : arguments_(arguments), patience_(patience), deadline_(clock_.boot() + patience) {}
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;
  ~Command() { finish(); }

  Result<void> start();
  // Everything it printed, once it has ended by itself with status 0.
  Result<WipedString> output();

 private:
  Result<void> spawn(int out);
  Result<bool> read_some(WipedString& into);
  Result<void> wait_for_more(bool& ended);
  int finish();
  Error failed(std::string what) const { return unavailable(arguments_.front() + " " + std::move(what)); }

  SystemClock clock_;
  const std::vector<std::string>& arguments_;
  const Duration patience_;
  const BootTime deadline_;
  pid_t pid_ = -1;
  Descriptor process_;  // readable when it has ended
  Descriptor pipe_;
};

std::string home_folder() {
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') return home;
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(::geteuid(), &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr)
    return found->pw_dir;
  return "/";
}

// posix_spawn's two bags of settings, given back on every way out.
struct SpawnSettings {
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;
  SpawnSettings() {
    ::posix_spawnattr_init(&attributes);
    ::posix_spawn_file_actions_init(&actions);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }

  bool prepare(int out) {
    sigset_t none, all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    // Libraries block SIGPIPE in us and a child inherits that; a session of its own has no terminal to ask
    // on.
    return ::posix_spawnattr_setsigmask(&attributes, &none) == 0 &&
           ::posix_spawnattr_setsigdefault(&attributes, &all) == 0 &&
           ::posix_spawnattr_setflags(&attributes,
                                      POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID) == 0 &&
           ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0) == 0 &&
           ::posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO) == 0 &&
           ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0) == 0 &&
           ::posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1) == 0 &&
           ::posix_spawn_file_actions_addchdir_np(&actions, "/") == 0;
  }
};

Result<void> Command::spawn(int out) {
  SpawnSettings settings;
  if (!settings.prepare(out)) return failed("cannot be prepared");
  std::vector<std::string> arguments = arguments_;
  std::vector<std::string> environment = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "HOME=" + home_folder()};
  const auto pointers = [](std::vector<std::string>& texts) {
    std::vector<char*> list;
    for (std::string& text : texts)
      list.push_back(text.data());
    list.push_back(nullptr);
    return list;
  };
  const int error = ::posix_spawn(&pid_, arguments.front().c_str(), &settings.actions, &settings.attributes,
                                  pointers(arguments).data(), pointers(environment).data());
  if (error != 0) {
    pid_ = -1;
    return from_errno("run " + arguments_.front(), error);
  }
  return {};
}

Result<void> Command::start() {
  if (arguments_.empty()) return invalid("the command is empty");
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return from_errno("make a pipe", errno);
  pipe_ = Descriptor(ends[0]);
  const Descriptor theirs(ends[1]);
  if (::fcntl(pipe_.get(), F_SETFL, O_NONBLOCK) != 0) return from_errno("prepare a pipe", errno);
  CREDSYNC_TRY(spawn(theirs.get()));
  process_ = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));  // glibc 2.36 lacks it for C++
  if (!process_) return from_errno("watch " + arguments_.front(), errno);
  return {};
}

// False: there is no more for now. The end of the pipe counts as that too; the process's own end is what is
// waited for.
Result<bool> Command::read_some(WipedString& into) {
  std::string& text = into.text();
  const std::size_t have = text.size();
  text.resize(kMaxSecretBytes + 1);
  const ssize_t got = ::read(pipe_.get(), text.data() + have, text.size() - have);
  text.resize(have + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  if (got < 0 && errno == EINTR) return true;
  if (got < 0 && errno != EAGAIN) return from_errno("read from " + arguments_.front(), errno);
  if (text.size() > kMaxSecretBytes) return failed("printed more than " + std::to_string(kMaxSecretBytes) + " bytes");
  if (got == 0) pipe_.reset();
  return got > 0;
}

Result<void> Command::wait_for_more(bool& ended) {
  const Duration left = deadline_ - clock_.boot();
  if (left <= Duration::zero()) return timed_out(arguments_.front() + " did not end within " + to_text(patience_));
  pollfd watched[2] = {{process_.get(), POLLIN, 0}, {pipe_.get(), POLLIN, 0}};  // a closed pipe is -1: not watched
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  if (::poll(watched, 2, static_cast<int>(milliseconds)) < 0 && errno != EINTR) {
    return from_errno("wait for " + arguments_.front(), errno);
  }
  ended = watched[0].revents != 0;
  return {};
}

Result<WipedString> Command::output() {
  WipedString text;
  text.text().reserve(kMaxSecretBytes + 1);  // never moved: no copy is left behind
  for (bool ended = false;;) {
    // What it wrote before it ended is in the pipe by then; what its children still write is nobody's secret.
    const bool last = ended;
    while (pipe_) {
      const auto more = read_some(text);
      if (!more) return more.error();
      if (!*more) break;
    }
    if (last) break;
    CREDSYNC_TRY(wait_for_more(ended));
  }
  const int status = finish();
  if (WIFSIGNALED(status)) return failed("was killed by signal " + std::to_string(WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0) return failed("exited with status " + std::to_string(WEXITSTATUS(status)));
  return text;
}

// Kills the group while its leader is not yet waited for, so that the number cannot be another's by now.
int Command::finish() {
  if (pid_ < 0) return 0;
  ::kill(-pid_, SIGKILL);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0) {
    if (errno == EINTR) continue;
    status = 0xff00;  // somebody else took its status: nothing is known, so it failed
    break;
  }
  pid_ = -1;
  return status;
}

Result<WipedString> run(const std::vector<std::string>& arguments, Duration patience) {
  Command command(arguments, patience);
  CREDSYNC_TRY(command.start());
  return command.output();
}

Result<WipedString> read_credential(const std::string& name) {
  const char* folder = std::getenv("CREDENTIALS_DIRECTORY");
  if (folder == nullptr) return not_found("credential " + name + ": $CREDENTIALS_DIRECTORY is not set");
  auto content = read_checked_file(std::string(folder) + "/" + name, kMaxSecretBytes, Secrecy::kCredential);
  if (!content) return content.error().within("credential " + name);
  return content;
}

std::string name_of(const SecretSource& source) {
  if (source.kind == SecretSource::Kind::kCommand)
    return source.command.empty() ? "the command" : source.command.front();
  return source.kind == SecretSource::Kind::kCredential ? "credential " + source.path : source.path;
}

Result<WipedString> read_whole(const SecretSource& source, Duration patience) {
  switch (source.kind) {
    case SecretSource::Kind::kFile: return read_checked_file(source.path, kMaxSecretBytes, Secrecy::kSecret);
    case SecretSource::Kind::kCredential: return read_credential(source.path);
    case SecretSource::Kind::kCommand: return run(source.command, patience);
    case SecretSource::Kind::kNone: break;
  }
  return invalid("no secret is configured");
}

}  // namespace

Result<Secret> read_secret(const SecretSource& source, Duration patience) {
  auto content = read_whole(source, patience);
  if (!content) return content.error();
  std::string_view text = content->text();
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.empty())
    return invalid(name_of(source) + (source.kind == SecretSource::Kind::kCommand ? " printed nothing" : " is empty"));
  return Secret(text);
}

}  // namespace credsync::config
