#include "cli/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/file.h"

namespace credsync::cli {
namespace {

constexpr std::size_t kLongestOutput = 64 * 1024;

// posix_spawn's two bags of settings, given back on every way out.
struct Settings {
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;
  Settings() {
    ::posix_spawnattr_init(&attributes);
    ::posix_spawn_file_actions_init(&actions);
  }
  Settings(const Settings&) = delete;
  Settings& operator=(const Settings&) = delete;
  ~Settings() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
};

// Signals are blocked here while a sign-in waits; a child must not inherit that.
Outcome<pid_t> spawn(const std::vector<std::string>& words, Settings& settings, int flags) {
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&settings.attributes, &none);
  ::posix_spawnattr_setsigdefault(&settings.attributes, &all);
  ::posix_spawnattr_setflags(&settings.attributes,
                             static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | flags));
  ::posix_spawn_file_actions_addopen(&settings.actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  std::vector<std::string> copies = words;
  std::vector<char*> pointers;
  for (std::string& word : copies)
    pointers.push_back(word.data());
  pointers.push_back(nullptr);
  pid_t pid = 0;
  const int error =
      ::posix_spawnp(&pid, pointers[0], &settings.actions, &settings.attributes, pointers.data(), environ);
  if (error != 0) return failed("cannot run " + words.front() + ": " + ::strerror(error));
  return pid;
}

std::string read_to_end(int fd) {
  std::string text;
  char bytes[4096];
  while (text.size() <= kLongestOutput) {
    const ssize_t got = ::read(fd, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(bytes, static_cast<std::size_t>(got));
  }
  return text;
}

}  // namespace

Outcome<pid_t> start_apart(const std::vector<std::string>& words) {
  Settings settings;
  ::posix_spawn_file_actions_addopen(&settings.actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&settings.actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  return spawn(words, settings, POSIX_SPAWN_SETSID);
}

Outcome<std::string> output_of(const std::vector<std::string>& words, std::string_view input) {
  int ends[2];
  // One socket is its input and its output: it holds what we send until the program reads it, and no pipe can fill up.
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return failed(std::string("cannot make a socket: ") + ::strerror(errno));
  const Descriptor ours(ends[0]);
  Descriptor theirs(ends[1]);
  Settings settings;
  ::posix_spawn_file_actions_adddup2(&settings.actions, theirs.get(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&settings.actions, theirs.get(), STDOUT_FILENO);
  CREDSYNC_LET(pid, spawn(words, settings, 0));
  theirs.reset();
  // A program that ended before it read all of this says by its status whether that was enough.
  if (!input.empty()) static_cast<void>(::send(ours.get(), input.data(), input.size(), MSG_NOSIGNAL));
  ::shutdown(ours.get(), SHUT_WR);
  std::string text = read_to_end(ours.get());
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  const bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0 && text.size() <= kLongestOutput;
  if (!good) return failed(words.front() + " failed");
  return text;
}

bool can_be_run(const std::string& program) {
  if (program.empty()) return false;
  if (program.find('/') != program.npos) return ::access(program.c_str(), X_OK) == 0;
  const char* path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? std::string_view(path) : "/usr/local/bin:/usr/bin:/bin";
  while (!rest.empty()) {
    const std::string_view folder = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
    if (folder.starts_with('/') && ::access((std::string(folder) + "/" + program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

}  // namespace credsync::cli
