// Commands that change one account: logout, refresh, reject.
#include <unistd.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/secret_input.h"
#include "cli/status_view.h"
#include "cli/terminal.h"

namespace credsync::cli {
namespace {

// What a script should see when the daemon did its best and the account is still not well.
ExitCode exit_of_state(const std::string& state) {
  if (state == ipc::kStateNeedsLogin || state == ipc::kStateSignedOut) return ExitCode::kNeedsLogin;
  if (state == ipc::kStateSuspended) return ExitCode::kSuspended;
  return state == ipc::kStateRetrying ? ExitCode::kTemporary : ExitCode::kDone;
}

}  // namespace

Outcome<std::string> sign_out(const std::string& account, const DaemonClient& client) {
  Request request;
  request.method = "DELETE";
  request.target = account_target(account, ipc::kAccountGrant);
  request.timeout = kProviderAnswer;
  CREDSYNC_LET(response, client.call(request));
  CREDSYNC_LET(done, parse_signed_out(response.body.text()));
  std::string words = account + ": signed out";
  if (done.pending > 0) {
    words += "; " + std::to_string(done.pending) + (done.pending == 1 ? " token is" : " tokens are") +
             " still to be revoked at the provider, which is tried until it is done (credsync status shows it)";
  }
  return words + "\n";
}

Outcome<ExitCode> run(const LogoutCommand& command, Context& context) {
  CREDSYNC_LET(words, sign_out(command.account, context.client));
  CREDSYNC_TRY(write_out(words));
  return ExitCode::kDone;
}

Outcome<ExitCode> run(const RefreshCommand& command, Context& context) {
  Request request;
  request.method = "POST";
  request.target = account_target(command.account, ipc::kAccountRefresh);
  request.timeout = kProviderAnswer;
  CREDSYNC_LET(response, context.client.call(request));
  CREDSYNC_LET(status, parse_status(response.body.text()));
  CREDSYNC_TRY(write_out(one_line(status, SystemClock().wall()) + "\n"));
  return exit_of_state(status.state);
}

Outcome<ExitCode> run(const RejectCommand& command, Context& context) {
  Request request;
  request.method = "POST";
  request.target = account_target(command.account, ipc::kAccountReject);
  request.timeout = kProviderAnswer;
  if (command.generation) {
    request.body.text() = "{\"generation\":" + std::to_string(*command.generation) + "}";
  } else {
    if (::isatty(STDIN_FILENO) == 1) {
      Failure usage = misused("say which token was refused: by --generation N, or the token itself on standard input");
      usage.command = "credsync reject --help";
      return usage;
    }
    CREDSYNC_LET(token, read_secret_from_stdin());
    request.body.text().reserve(token.size() + 32);
    request.body.text() += "{\"access_token\":";
    append_json_string(request.body.text(), token.expose());
    request.body.text() += "}";
  }
  CREDSYNC_LET(response, context.client.call(request));
  CREDSYNC_LET(rejected, parse_rejected(response.body.text()));
  const std::string generation = std::to_string(rejected.generation);
  CREDSYNC_TRY(write_out(command.account + ": generation " + generation + " is the current one\n"));
  return ExitCode::kDone;
}

}  // namespace credsync::cli
