#include "base/text.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/secret_input.h"
#include "cli/status_view.h"
#include "cli/terminal.h"

namespace credsync::cli {
namespace {

struct Given {
  std::string_view method;
  Secret secret;
};

// Escaped, a byte becomes six at most.
constexpr std::size_t kEscaped = 6;

WipedString login_body(const Given& given, const std::string& username) {
  WipedString body;
  std::string& text = body.text();
  text.reserve(given.secret.size() * kEscaped + username.size() * kEscaped + 64);
  text.append("{\"method\":\"").append(given.method).append("\"");
  if (!given.secret.empty()) {
    text.append(",\"secret\":");
    append_json_string(text, given.secret.expose());
  }
  if (!username.empty()) {
    text.append(",\"username\":");
    append_json_string(text, username);
  }
  text.append("}");
  return body;
}

Outcome<Given> from_stdin(std::string_view method) {
  CREDSYNC_LET(secret, read_secret_from_stdin());
  return Given{method, std::move(secret)};
}

Outcome<Given> from_person(std::string_view method, const std::string& prompt) {
  CREDSYNC_LET(secret, ask_secret(prompt));
  return Given{method, std::move(secret)};
}

// Without an option, the account's grant says what to ask for. What needs a browser is the daemon's to begin.
Outcome<Given> by_grant(const LoginCommand& command, Context& context) {
  if (command.browserless) return Given{ipc::kLoginAuto, {}};
  Request request;
  request.target = account_target(command.account, "");
  CREDSYNC_LET(response, context.client.call(request));
  CREDSYNC_LET(status, parse_status(response.body.text()));
  const std::string of = " for " + command.account + " (" + status.provider + "): ";
  if (status.grant == "password") return from_person(ipc::kLoginPassword, "Password" + of);
  if (status.grant == "refresh_token") return from_person(ipc::kLoginRefreshToken, "Refresh token" + of);
  if (status.grant == "static") return from_person(ipc::kLoginToken, "Access token" + of);
  return Given{ipc::kLoginAuto, {}};
}

Outcome<Given> gather(const LoginCommand& command, Context& context) {
  switch (command.method) {
    case LoginMethod::kRefreshTokenStdin: return from_stdin(ipc::kLoginRefreshToken);
    case LoginMethod::kTokenStdin: return from_stdin(ipc::kLoginToken);
    case LoginMethod::kPasswordStdin: return from_stdin(ipc::kLoginPassword);
    case LoginMethod::kAsk: break;
  }
  return by_grant(command, context);
}

}  // namespace

Outcome<ExitCode> run(const LoginCommand& command, Context& context) {
  CREDSYNC_LET(given, gather(command, context));
  Request request;
  request.method = "POST";
  request.target = account_target(command.account, ipc::kAccountLogin);
  request.body = login_body(given, command.username);
  request.timeout = kProviderAnswer;
  CREDSYNC_LET(response, context.client.call(request));
  CREDSYNC_LET(status, parse_status(response.body.text()));
  std::string words = one_line(status, SystemClock().wall()) + "\n";
  for (const std::string& note : status.notes)
    words += "  " + note + "\n";
  CREDSYNC_TRY(write_out(words));
  return ExitCode::kDone;
}

}  // namespace credsync::cli
