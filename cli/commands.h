// What each command does. Each returns how to exit, or the Failure to print.
#pragma once

#include <cstdint>

#include "cli/answers.h"
#include "cli/arguments.h"
#include "cli/daemon_client.h"
#include "cli/failure.h"
#include "cli/socket_path.h"

namespace credsync::cli {

struct Context {
  SocketChoice socket;
  DaemonClient client;
  // Core files are off while this process may hold a token; the command that `exec` becomes gets its limit
  // back.
  std::uint64_t core_limit_before;
};

Outcome<ExitCode> run(const TokenCommand& command, Context& context);
Outcome<ExitCode> run(const ExecCommand& command, Context& context);  // returns only on failure
Outcome<ExitCode> run(const StatusCommand& command, Context& context);
Outcome<ExitCode> run(const LoginCommand& command, Context& context);
Outcome<ExitCode> run(const LogoutCommand& command, Context& context);
Outcome<ExitCode> run(const RefreshCommand& command, Context& context);
Outcome<ExitCode> run(const RejectCommand& command, Context& context);
Outcome<ExitCode> run(const AccountListCommand& command, Context& context);
Outcome<ExitCode> run(const AccountAddCommand& command, Context& context);
Outcome<ExitCode> run(const AccountRemoveCommand& command, Context& context);
Outcome<ExitCode> run(const WhoAmICommand& command, Context& context);
Outcome<ExitCode> run(const ProvidersCommand& command, Context& context);
Outcome<ExitCode> run(const LogCommand& command, Context& context);
Outcome<ExitCode> run(const ReloadCommand& command, Context& context);
Outcome<ExitCode> run(const DoctorCommand& command, Context& context);
Outcome<ExitCode> run(const CompletionCommand& command, Context& context);

// `status --watch`, in command_watch.cc.
Outcome<ExitCode> watch(const StatusCommand& command, Context& context);

// The daemon reads its configuration again, and its warnings go to standard error; what became of the accounts, and that as
// words for standard output. In command_reload.cc.
Outcome<ReloadReport> reload(const DaemonClient& client);
std::string words_of(const ReloadReport& report);
// Revokes and forgets; words for standard output. In command_account.cc.
Outcome<std::string> sign_out(const std::string& account, const DaemonClient& client);

// Where accounts would be listed and there is none: why, and what to do next, on standard error. In command_status.cc.
void say_no_account(const SocketChoice& socket);

// "credsync: …", details, "Try: …" on standard error.
void print_failure(const Failure& failure);

}  // namespace credsync::cli
