#include "cli/commands.h"
#include "cli/json.h"
#include "cli/status_view.h"
#include "cli/table.h"
#include "cli/terminal.h"

namespace credsync::cli {
namespace {

Request status_request(const std::string& account) {
  Request request;
  request.target = account.empty() ? std::string(ipc::kAccountsPath) : account_target(account, "");
  request.max_body = account.empty() ? kMaxList : kMaxObject;
  return request;
}

}  // namespace

void say_no_account(const SocketChoice& socket) {
  write_err(shows_us_all(socket) ? "credsync: there is no account yet\nTry: credsync account add NAME\n"
                                 : "credsync: there is no account that you may see\nTry: credsync whoami\n");
}

Outcome<ExitCode> run(const StatusCommand& command, Context& context) {
  if (command.watch) return watch(command, context);
  CREDSYNC_LET(response, context.client.call(status_request(command.account)));
  const std::string& body = response.body.text();
  const WallTime now = SystemClock().wall();
  std::string out;
  if (command.json) {
    CREDSYNC_LET(json, pretty_json(body));
    out = std::move(json) + "\n";
  } else if (!command.account.empty()) {
    CREDSYNC_LET(status, parse_status(body));
    out = render_status(status, now, look_at_stdout());
  } else {
    CREDSYNC_LET(statuses, parse_statuses(body));
    const View view = look_at_stdout();
    if (!statuses.empty())
      out = render_statuses(statuses, now, view);
    else
      say_no_account(context.socket);
    if (view.terminal && statuses.size() > 1) out += styled(view, Style::kDim, summary_of(statuses)) + "\n";
  }
  CREDSYNC_TRY(write_out(out));
  return ExitCode::kDone;
}

}  // namespace credsync::cli
