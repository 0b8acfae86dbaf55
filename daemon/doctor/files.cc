#include "daemon/doctor/files.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "daemon/config/secret_source.h"
#include "ipc/names.h"

namespace credsync::doctor {
namespace {

// The release has been made before it runs: earlier than that day, anywhere on earth, the wall clock cannot be right (a
// machine without a battery clock), and certificates do not verify.
constexpr std::chrono::days kTimeZones{1};
constexpr WallTime kNotBefore = wall_from_seconds(
    std::chrono::sys_seconds(std::chrono::sys_days(CREDSYNC_RELEASED) - kTimeZones).time_since_epoch().count());
constexpr time_t kAnswerSeconds = 2;  // our own loop answers in microseconds

// Nothing when nobody but root and we could put something into it.
std::string others_could_change(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return "";
  if (status.st_uid != 0 && status.st_uid != ::geteuid())
    return path + " belongs to uid " + std::to_string(status.st_uid);
  if ((status.st_mode & S_IWOTH) != 0 && (status.st_mode & S_ISVTX) == 0) return path + " can be written by everybody";
  if ((status.st_mode & S_IWGRP) != 0 && status.st_gid != ::getegid() && status.st_gid != 0)
    return path + " can be written by gid " + std::to_string(status.st_gid);
  return "";
}

// An accepted connection alone may be the backlog's; an answer is ours.
bool answers(const std::string& path) {
  const Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (!socket || path.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path.data(), path.size());
  timeval limit{};
  limit.tv_sec = kAnswerSeconds;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return false;
  const std::string request =
      "GET " + std::string(ipc::kHealthPath) + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  if (::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size()))
    return false;
  char head[16] = {};
  constexpr std::string_view kOk = "HTTP/1.1 200";
  return ::recv(socket.get(), head, kOk.size(), MSG_WAITALL) == static_cast<ssize_t>(kOk.size()) && head == kOk;
}

enum class Kept { kYes, kNo, kUnknown };

// By whom does not matter. A sandbox may keep us from asking the kernel.
Kept is_kept_right() {
  if (::access("/run/systemd/timesync/synchronized", F_OK) == 0) return Kept::kYes;
  timex state{};
  const int result = ::adjtimex(&state);
  if (result < 0) return Kept::kUnknown;
  return result == TIME_ERROR || (state.status & STA_UNSYNC) != 0 ? Kept::kNo : Kept::kYes;
}

}  // namespace

Check check_configuration(const config::Paths& paths) {
  const config::Loaded loaded = config::load(paths);
  if (loaded.problems.empty()) return fine("configuration", "the files on disk are valid");
  Check check{"configuration", loaded.usable() ? "warning" : "failed",
              and_more(config::to_string(loaded.problems.front()), loaded.problems.size()), "credsyncd --check-config"};
  if (paths.user_instance) check.next_step = "credsyncd --user --check-config";
  return check;
}

Check check_folders(const config::Paths& paths, const std::string& socket) {
  struct stat status {};
  if (::stat(paths.state.c_str(), &status) != 0) {
    return failed("folders", "the state directory " + paths.state + ": " + std::strerror(errno),
                  "systemctl restart credsyncd");
  }
  if ((status.st_mode & 077) != 0)
    return failed("folders", paths.state + " is open to others: it holds the sealed tokens",
                  "chmod 700 " + paths.state);
  const std::string runtime = socket.substr(0, socket.rfind('/'));
  std::vector<std::string> open;
  for (const std::string& folder : {paths.providers, paths.config, paths.config + "/accounts.d",
                                    paths.config + "/conf.d", paths.config + "/providers.d", paths.state, runtime}) {
    if (std::string words = others_could_change(folder); !words.empty()) open.push_back(std::move(words));
  }
  if (open.empty()) return fine("folders", "nobody else can change the configuration or read the state");
  return failed("folders", and_more(open.front() + ", who could add accounts, profiles or sockets", open.size()),
                "ls -ld " + paths.config + " " + paths.config + "/*.d " + paths.state + " " + runtime);
}

Check check_secrets(const std::vector<std::shared_ptr<const config::Account>>& accounts, const Clock& clock,
                    BootTime until) {
  std::size_t read = 0;
  std::vector<std::string> wrong;
  std::string step;
  for (const auto& account : accounts) {
    for (const config::SecretSource* source : {&account->client_secret, &account->client_key, &account->password}) {
      using Kind = config::SecretSource::Kind;
      if (source->kind != Kind::kFile && source->kind != Kind::kCredential) continue;
      if (clock.boot() > until)
        return warning("secrets", std::to_string(read) + " can be read; there was no time for the others", "");
      ++read;
      const auto secret = config::read_secret(*source);
      if (secret) continue;
      wrong.push_back("account " + account->name + ": " + secret.error().message());
      if (step.empty()) step = source->kind == Kind::kFile ? "ls -l " + source->path : "systemctl cat credsyncd";
    }
  }
  if (wrong.empty()) return fine("secrets", std::to_string(read) + " in files and credentials can be read");
  return failed("secrets", and_more(wrong.front(), wrong.size()), step);
}

Check check_socket(const std::string& path, bool user_instance) {
  const std::string restart = user_instance ? "systemctl --user restart credsyncd.socket credsyncd"
                                            : "systemctl restart credsyncd.socket credsyncd";
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return failed("listen.http", path + ": " + std::strerror(errno), restart);
  if (!S_ISSOCK(status.st_mode)) return failed("listen.http", path + " is not a socket any more", restart);
  if (status.st_uid != 0 && status.st_uid != ::geteuid()) {
    return failed("listen.http", path + " belongs to uid " + std::to_string(status.st_uid) + ": it is not ours",
                  restart);
  }
  if (!answers(path)) return failed("listen.http", path + " does not lead to this daemon", restart);
  const auto mode = status.st_mode & 0777U;
  if (user_instance && (mode & 077U) != 0)
    return warning("listen.http", path + " is open to others; yours should be 0600", "chmod 600 " + path);
  if (!user_instance && mode != 0666) {
    char octal[8];
    std::snprintf(octal, sizeof octal, "0%o", mode);
    return warning("listen.http", path + " has the mode " + octal + ": not everybody whom the rules allow can connect",
                   "systemctl cat credsyncd.socket");
  }
  return fine("listen.http", path + " leads to this daemon");
}

Check check_clock(const Clock& clock) {
  const std::string now = "the clock says " + to_rfc3339(clock.wall());
  if (clock.wall() < kNotBefore) return failed("clock", now + ", which is before this release was made", "timedatectl");
  switch (is_kept_right()) {
    case Kept::kYes: return fine("clock", now + " and is synchronised");
    case Kept::kNo: return warning("clock", now + "; nothing synchronises it", "timedatectl");
    case Kept::kUnknown: break;
  }
  return fine("clock", now);
}

}  // namespace credsync::doctor
