// `credsync`: parses the command line, asks the daemon, prints.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/terminal.h"
#include "cli/text.h"

namespace credsync::cli {
namespace {

// A closed standard stream would give its number to the socket, and the token would go there.
bool fill_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY) != fd) return false;
  }
  return true;
}

// A crash must not leave a token in a core file. Returns the limit that was.
std::uint64_t forbid_core_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_CORE, &limit) != 0) return 0;
  const std::uint64_t before = limit.rlim_cur;
  limit.rlim_cur = 0;
  ::setrlimit(RLIMIT_CORE, &limit);
  return before;
}

int run_invocation(const Invocation& invocation) {
  SocketChoice socket = choose_socket(invocation.socket);
  Context context{socket, DaemonClient(socket.path), forbid_core_files()};
  const Outcome<ExitCode> outcome =
      std::visit([&](const auto& command) { return run(command, context); }, invocation.command);
  if (outcome) return static_cast<int>(*outcome);
  print_failure(outcome.error());
  return static_cast<int>(outcome.error().exit);
}

int say(const Words& words) {
  if (words.exit != ExitCode::kDone) {
    write_err(words.text);
    return static_cast<int>(words.exit);
  }
  const Outcome<void> written = write_out(words.text);
  if (!written) print_failure(written.error());
  return static_cast<int>(written ? ExitCode::kDone : ExitCode::kFailed);
}

// In lines that fit a terminal; what has no blanks (an address) is for copying, and stays whole.
std::string folded(const std::string& words, const std::string& indent, const View& view) {
  const bool one_word = words.find(' ', words.find_first_not_of(' ')) == words.npos;
  if (view.columns <= indent.size() || one_word) return indent + words + "\n";
  std::string out;
  for (const std::string& line : wrap(words, view.columns - indent.size()))
    out += indent + line + "\n";
  return out;
}

}  // namespace

void print_failure(const Failure& failure) {
  const View view = look_at_stderr();
  std::string text = folded("credsync: " + failure.message, "", view);
  for (const std::string& detail : failure.details)
    text += folded(detail, "  ", view);
  // A command is for copying, and stays one line.
  if (!failure.command.empty()) text += "Try: " + failure.command + "\n";
  write_err(text);
}

}  // namespace credsync::cli

int main(int argc, char** argv) {
  using namespace credsync::cli;
  if (!fill_standard_streams()) return static_cast<int>(ExitCode::kFailed);
  const auto parsed = parse_arguments(argc, argv);
  if (const auto* words = std::get_if<Words>(&parsed)) return say(*words);
  return run_invocation(std::get<Invocation>(parsed));
}
