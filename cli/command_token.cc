#include <algorithm>

#include "cli/commands.h"
#include "cli/json.h"
#include "cli/terminal.h"
#include "cli/text.h"
#include "cli/token_request.h"
#include "cli/when.h"

namespace credsync::cli {
namespace {

// Beyond the daemon's own wait, for a loaded machine: the daemon answers 504 in time, this is for when it
// does not.
constexpr std::chrono::seconds kAnswerMargin{5};

// A line end in a token would turn into a second header or a second command where it is pasted.
Outcome<void> check_printable(std::string_view text) {
  const bool clean = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' - 1 && c != 127; });
  if (text.empty() || !clean)
    return failed("the token holds characters that cannot be printed safely; use --format json");
  return {};
}

Outcome<WipedString> header_line(const TokenAnswer& answer) {
  if (answer.header_name.empty() || answer.header_value.empty())
    return failed("the daemon named no header for this token");
  CREDSYNC_TRY(check_printable(answer.header_value.expose()));
  WipedString line;
  line.text().reserve(answer.header_name.size() + answer.header_value.size() + 4);
  line.text().append(answer.header_name).append(": ").append(answer.header_value.expose()).append("\n");
  return line;
}

Outcome<WipedString> format_token(const TokenAnswer& answer, TokenFormat format) {
  if (format == TokenFormat::kHeader) return header_line(answer);
  const std::string_view token = answer.access_token.expose();
  CREDSYNC_TRY(check_printable(token));
  WipedString line;
  if (format == TokenFormat::kPlain) {
    line.text().reserve(token.size() + 1);
    line.text().append(token).append("\n");
    return line;
  }
  const WipedString quoted(shell_quote(token));
  line.text().reserve(ipc::kTokenVariable.size() + quoted.text().size() + 2);
  line.text().append(ipc::kTokenVariable).append("=").append(quoted.text()).append("\n");
  return line;
}

}  // namespace

Outcome<WipedString> fetch_token(const TokenNeed& need, Context& context) {
  Request request;
  request.target = account_target(need.account, ipc::kAccountToken);
  if (need.min_valid) request.target += "?min_valid=" + std::to_string(*need.min_valid);
  request.wait = std::chrono::seconds(need.wait);
  request.timeout = *request.wait + kAnswerMargin;
  request.patience = *request.wait;
  request.awaits_daemon = true;
  CREDSYNC_LET(response, context.client.call(request));
  return std::move(response.body);
}

void warn_about(const TokenAnswer& answer, const TokenNeed& need) {
  std::string words;
  const std::string life = answer.expires_in ? span_text(*answer.expires_in) : std::string();
  if (!answer.min_valid_met && !life.empty()) {
    words += "credsync: the token of " + need.account + " is good for " + life + " only, less than was asked\n";
  }
  if (answer.state == ipc::kStateNeedsLogin) {
    words += "credsync: " + need.account + " needs a login; this is its last token" +
             (life.empty() ? "" : ", good for " + life) + "\nTry: credsync login " + need.account + "\n";
  } else if (answer.state == ipc::kStateSuspended) {
    words += "credsync: " + need.account + " is suspended; this is its last token" +
             (life.empty() ? "" : ", good for " + life) + "\nTry: credsync status " + need.account + "\n";
  }
  if (!words.empty()) write_err(words);
}

Outcome<ExitCode> run(const TokenCommand& command, Context& context) {
  CREDSYNC_LET(body, fetch_token(command.need, context));
  CREDSYNC_LET(answer, parse_token(body.text()));
  WipedString line;
  if (command.format == TokenFormat::kJson) {
    CREDSYNC_LET(json, compact_json(body.text()));
    line = WipedString(json + "\n");
    wipe(json);
  } else {
    CREDSYNC_LET(formatted, format_token(answer, command.format));
    line = std::move(formatted);
  }
  CREDSYNC_TRY(write_out(line.text()));
  warn_about(answer, command.need);
  return ExitCode::kDone;
}

}  // namespace credsync::cli
