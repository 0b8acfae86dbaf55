#include "base/text.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/login_session.h"
#include "cli/login_words.h"
#include "cli/secret_input.h"
#include "cli/terminal.h"
#include "cli/users.h"

namespace credsync::cli {
namespace {

struct Given {
  std::string_view method;
  Secret secret;
  std::optional<Response> answer{};  // signed in already
};

// Escaped, a byte becomes six at most.
constexpr std::size_t kEscaped = 6;

// Whose browser may bring the answer: who is named, else who called sudo. Absent: who calls, which the daemon knows.
Outcome<std::optional<uid_t>> browser_user(const LoginCommand& command) {
  if (command.browser_user.empty()) return sudo_caller();
  const auto uid = user_id(command.browser_user);
  if (!uid) return misused("there is no user '" + clean_foreign_text(command.browser_user) + "'");
  return uid;
}

WipedString login_body(const Given& given, const LoginCommand& command, std::optional<uid_t> browser_uid) {
  WipedString body;
  std::string& text = body.text();
  text.reserve(given.secret.size() * kEscaped + command.username.size() * kEscaped + 128);
  text.append("{\"method\":\"").append(given.method).append("\"");
  if (!given.secret.empty()) {
    text.append(",\"secret\":");
    append_json_string(text, given.secret.expose());
  }
  if (!command.username.empty()) {
    text.append(",\"username\":");
    append_json_string(text, command.username);
  }
  if (browser_uid) text.append(",\"browser_uid\":").append(std::to_string(*browser_uid));
  if (command.replace_identity) text.append(",\"replace_identity\":true");
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

Request login_request(const LoginCommand& command, const Given& given, std::optional<uid_t> browser_uid) {
  Request request;
  request.method = "POST";
  request.target = account_target(command.account, ipc::kAccountLogin);
  request.body = login_body(given, command, browser_uid);
  request.timeout = kProviderAnswer;
  return request;
}

// The configuration may name the password: only the daemon knows. Nothing: it does not.
Outcome<std::optional<Response>> with_configured_password(const LoginCommand& command, Context& context) {
  auto response = context.client.call(login_request(command, Given{ipc::kLoginAuto, {}}, std::nullopt));
  if (response) return std::optional<Response>(std::move(*response));
  Failure& failure = response.error();
  // "bad-request": this account is not signed in to like this. All else was tried, and is told.
  if (failure.exit == ExitCode::kFailed) return std::optional<Response>();
  if (failure.exit == ExitCode::kNeedsLogin) {
    failure.details.emplace_back("That was the password of the configuration. To try another one:");
    failure.command = "credsync login " + command.account + " --password-stdin";
  }
  return std::move(failure);
}

// Without an option, the account's grant says what to ask for. What needs a browser is the daemon's to begin.
Outcome<Given> by_grant(const LoginCommand& command, Context& context) {
  if (command.device) return Given{ipc::kLoginDevice, {}};
  if (command.no_browser) return Given{ipc::kLoginAuto, {}};
  Request request;
  request.target = account_target(command.account, "");
  CREDSYNC_LET(response, context.client.call(request));
  CREDSYNC_LET(status, parse_status(response.body.text()));
  const std::string of = " for " + command.account + " (" + status.provider + "): ";
  const std::string warning = grant_warning(status.grant);
  if (status.grant == "password") {
    // Whose password it is was said: not that of the configuration.
    if (command.username.empty()) {
      CREDSYNC_LET(done, with_configured_password(command, context));
      if (done) return Given{ipc::kLoginPassword, {}, std::move(done)};
    }
    if (!command.json) write_err(warning + "\n");
    return from_person(ipc::kLoginPassword, "Password" + of);
  }
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
  if (given.answer) return show_signed_in(command, given.answer->body.text());
  const bool interactive = given.secret.empty();
  std::optional<uid_t> browser_uid;
  if (interactive) {
    CREDSYNC_LET(user, browser_user(command));
    browser_uid = user;
  }
  const Request request = login_request(command, given, browser_uid);
  if (interactive) return sign_in_interactively(command, context, request);
  CREDSYNC_LET(response, context.client.call(request));
  return show_signed_in(command, response.body.text());
}

}  // namespace credsync::cli
