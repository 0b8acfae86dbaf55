#include "cli/commands.h"
#include "cli/json.h"
#include "cli/terminal.h"
#include "cli/text.h"

namespace credsync::cli {

Outcome<ReloadReport> reload(const DaemonClient& client) {
  Request request;
  request.method = "POST";
  request.target = ipc::kReloadPath;
  request.timeout = kProviderAnswer;
  request.max_body = kMaxList;  // names every account that changed
  CREDSYNC_LET(response, client.call(request));
  CREDSYNC_LET(report, parse_reload(response.body.text()));
  std::string warnings;
  for (const std::string& warning : report.warnings)
    warnings += "credsync: warning: " + warning + "\n";
  write_err(warnings);
  return std::move(report);
}

std::string words_of(const ReloadReport& report) {
  std::string out;
  const auto say = [&](const char* what, const std::vector<std::string>& names) {
    if (!names.empty()) out += std::string(what) + join(names, ", ") + "\n";
  };
  say("added: ", report.added);
  say("changed: ", report.changed);
  say("removed: ", report.removed);
  if (out.empty()) out = "nothing changed\n";
  return "the configuration was read again\n" + out;
}

Outcome<ExitCode> run(const ReloadCommand&, Context& context) {
  CREDSYNC_LET(report, reload(context.client));
  CREDSYNC_TRY(write_out(words_of(report)));
  return ExitCode::kDone;
}

}  // namespace credsync::cli
