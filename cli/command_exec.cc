#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/token_request.h"

namespace credsync::cli {
namespace {

// As env(1) and every shell say it.
constexpr int kCannotRun = 126;
constexpr int kNotFound = 127;

Failure os_failure(std::string_view step) {
  return failed(std::string(step) + ": " + ::strerror(errno));
}

// A sealed file in memory that nobody else can open by a name, and that lives as long as the command.
Outcome<int> token_file(std::string_view token) {
  const int fd = ::memfd_create("credsync-token", MFD_ALLOW_SEALING);
  if (fd < 0) return os_failure("cannot make a file in memory");
  if (::write(fd, token.data(), token.size()) != static_cast<ssize_t>(token.size()))
    return os_failure("cannot write the token");
  if (::fchmod(fd, S_IRUSR) != 0) return os_failure("cannot protect the token");
  if (::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
    return os_failure("cannot seal the token");
  }
  if (::lseek(fd, 0, SEEK_SET) != 0) return os_failure("cannot rewind the token");
  return fd;
}

Outcome<void> hand_over(std::string_view token, const std::string& variable) {
  std::string name = variable;
  WipedString value{std::string(token)};
  if (variable.empty()) {
    CREDSYNC_LET(fd, token_file(token));
    name = ipc::kTokenFileVariable;
    value = WipedString("/proc/self/fd/" + std::to_string(fd));
  }
  if (::setenv(name.c_str(), value.text().c_str(), 1) != 0) return os_failure("cannot set " + name);
  return {};
}

void restore_core_limit(std::uint64_t before) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_CORE, &limit) != 0) return;
  limit.rlim_cur = before;
  ::setrlimit(RLIMIT_CORE, &limit);
}

}  // namespace

Outcome<ExitCode> run(const ExecCommand& command, Context& context) {
  CREDSYNC_LET(body, fetch_token(command.need, context));
  CREDSYNC_LET(answer, parse_token(body.text()));
  if (answer.access_token.expose().find('\0') != std::string_view::npos) return failed("the token holds a NUL");
  CREDSYNC_TRY(hand_over(answer.access_token.expose(), command.variable));
  warn_about(answer, command.need);
  std::vector<char*> arguments;
  for (const std::string& word : command.command)
    arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  restore_core_limit(context.core_limit_before);
  ::execvp(arguments.front(), arguments.data());
  const int error = errno;
  const int code = error == ENOENT ? kNotFound : kCannotRun;
  return Failure{
      static_cast<ExitCode>(code), clean_foreign_text(command.command.front()) + ": " + ::strerror(error), {}, {}};
}

}  // namespace credsync::cli
