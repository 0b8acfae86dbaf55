// Commands that change one account: logout, refresh, reject.
#include <unistd.h>

#include <optional>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/secret_input.h"
#include "cli/status_view.h"
#include "cli/terminal.h"
#include "cli/token_request.h"

namespace credsync::cli {
namespace {

// What a script should see when the daemon did its best and the account is still not well.
ExitCode exit_of_state(const std::string& state) {
  if (state == ipc::kStateNeedsLogin || state == ipc::kStateSignedOut) return ExitCode::kNeedsLogin;
  if (state == ipc::kStateSuspended) return ExitCode::kSuspended;
  return state == ipc::kStateRetrying ? ExitCode::kTemporary : ExitCode::kDone;
}

Outcome<ExitCode> newer_one(const std::string& account, std::int64_t generation, const std::string& of_refused) {
  const std::string words = account + ": generation " + std::to_string(generation) + " is the current one";
  CREDSYNC_TRY(write_out(words + (of_refused.empty() ? "" : "; " + of_refused) + "\n"));
  return ExitCode::kDone;
}

// The refused token is what the daemon has: another is on its way, or there is no way to one.
Outcome<ExitCode> still_current(const std::string& account, std::int64_t generation, Context& context) {
  const std::string words = account + ": generation " + std::to_string(generation) + " was refused: ";
  Request request;
  request.target = account_target(account, "");
  CREDSYNC_LET(response, context.client.call(request));
  CREDSYNC_LET(status, parse_status(response.body.text()));
  if (status.refreshable) {
    const std::string error = status.error ? " (" + status.error->message + ")" : "";
    CREDSYNC_TRY(write_out(words + "a new one is on its way" + error + "\n"));
    return ExitCode::kDone;
  }
  Failure failure{ExitCode::kNeedsLogin, words + "it cannot be renewed, and is still what is handed out", {}, {}};
  failure.command = status.next_step ? status.next_step->command : std::string();
  if (failure.command.empty()) failure.command = "credsync login " + account;
  return failure;
}

// Whether the daemon hands out this token now. Nothing: it hands out none.
std::optional<bool> is_handed_out(const std::string& account, const Secret& token, Context& context) {
  TokenNeed need;
  need.account = account;
  need.wait = 0;
  const auto body = fetch_token(need, context);
  if (!body) return std::nullopt;
  const auto answer = parse_token(body->text());
  if (!answer) return std::nullopt;
  return same_secret(answer->access_token, token);
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
  Secret token;
  if (command.generation) {
    request.body.text() = "{\"generation\":" + std::to_string(*command.generation) + "}";
  } else {
    if (::isatty(STDIN_FILENO) == 1) {
      Failure usage = misused("say which token was refused: by --generation N, or the token itself on standard input");
      usage.command = "credsync reject --help";
      return usage;
    }
    CREDSYNC_LET(typed, read_secret_from_stdin());
    token = std::move(typed);
    request.body.text().reserve(token.size() + 32);
    request.body.text() += "{\"access_token\":";
    append_json_string(request.body.text(), token.expose());
    request.body.text() += "}";
  }
  CREDSYNC_LET(response, context.client.call(request));
  CREDSYNC_LET(rejected, parse_rejected(response.body.text()));
  if (command.generation) {
    if (*command.generation == rejected.generation) return still_current(command.account, rejected.generation, context);
    const bool older = *command.generation < rejected.generation;
    return newer_one(command.account, rejected.generation,
                     older ? "what was refused is older" : "what was named is not there yet");
  }
  const auto same = is_handed_out(command.account, token, context);
  if (same.value_or(false)) return still_current(command.account, rejected.generation, context);
  return newer_one(command.account, rejected.generation, same ? "what was refused is older, or not its token" : "");
}

}  // namespace credsync::cli
