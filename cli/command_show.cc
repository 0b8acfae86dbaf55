// Commands that only look: whoami, providers, completion.
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/json.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/text.h"

namespace credsync::cli {
namespace {

// The daemon's answer to GET `target`: laid out as JSON, or as `render` shows it.
template <typename Parse, typename Render>
Outcome<ExitCode> show(Context& context, std::string target, bool json, Parse parse, Render render) {
  Request request;
  request.target = std::move(target);
  request.max_body = kMaxList;
  CREDSYNC_LET(response, context.client.call(request));
  const std::string& body = response.body.text();
  if (json) {
    CREDSYNC_LET(laid_out, pretty_json(body));
    CREDSYNC_TRY(write_out(laid_out + "\n"));
    return ExitCode::kDone;
  }
  CREDSYNC_LET(value, parse(body));
  CREDSYNC_TRY(write_out(render(value, look_at_stdout())));
  return ExitCode::kDone;
}

// What was established, else why it was not.
std::string or_why(const std::string& known, const std::string& why) {
  if (!known.empty()) return known;
  return why.empty() ? std::string() : "none: " + why;
}

std::string show_whoami(const WhoAmI& who, const SocketChoice& socket, const View& view) {
  std::string out =
      render_pairs({{"user", (who.user.empty() ? "" : who.user + " ") + "(uid " + std::to_string(who.uid) + ")"},
                    {"group", "gid " + std::to_string(who.gid)},
                    {"groups", join(who.groups, ", ")},
                    {"process", std::to_string(who.pid)},
                    {"unit", or_why(who.unit, who.unit_why)},
                    {"executable", or_why(who.exe, who.exe_why)}},
                   view);
  std::vector<Row> rows;
  for (const AccountRights& rights : who.accounts) {
    Row row{{{rights.account, Style::kBold}, {rights.actions.empty() ? "nothing" : join(rights.actions, ", ")}}, {}};
    for (const Rule& rule : rights.rules) {
      row.details.push_back({(rule.matches ? "matches  " : "no match ") + rule.name + ": " + rule.why});
    }
    rows.push_back(std::move(row));
  }
  if (rows.empty()) {
    return out + (shows_us_all(socket) ? "There is no account yet: credsync account add NAME\n"
                                       : "No rule lets you do anything with any account.\n");
  }
  return out + "\n" + render_table({{"ACCOUNT"}, {"MAY"}}, rows, view);
}

std::string show_providers(const std::vector<ProviderSummary>& providers, const View& view) {
  std::vector<Row> rows;
  for (const ProviderSummary& p : providers) {
    rows.push_back({{{p.id, Style::kBold}, {p.title}, {join(p.grants, ", ")}, {p.file, Style::kDim}}, {}});
  }
  return render_table({{"ID"}, {"TITLE", 1}, {"GRANTS"}, {"FILE", 2}}, rows, view);
}

std::string show_provider(const ProviderDetails& provider, const View& view) {
  std::string out = styled(view, Style::kBold, provider.id);
  if (!provider.title.empty()) out += "  " + (view.utf8 ? provider.title : to_ascii(provider.title));
  out += "\n" + render_pairs({{"documents", provider.docs}}, view) + "\n";
  std::vector<Row> rows;
  for (const ProviderFact& fact : provider.facts) {
    Row row{{{fact.key}, {fact.value}, {fact.place, Style::kDim}}, {}};
    if (!fact.source.empty()) row.details.push_back({"source: " + fact.source, Style::kDim});
    rows.push_back(std::move(row));
  }
  return out + render_table({{"FACT"}, {"VALUE"}, {"WHERE", 1}}, rows, view);
}

}  // namespace

Outcome<ExitCode> run(const WhoAmICommand& command, Context& context) {
  std::string target(ipc::kWhoAmIPath);
  if (command.pid) target += "?pid=" + std::to_string(*command.pid);
  return show(context, std::move(target), command.json, parse_whoami,
              [&](const WhoAmI& who, const View& view) { return show_whoami(who, context.socket, view); });
}

Outcome<ExitCode> run(const ProvidersCommand& command, Context& context) {
  std::string target(ipc::kProvidersPath);
  if (command.name.empty()) return show(context, std::move(target), command.json, parse_providers, show_providers);
  return show(context, target + "/" + command.name, command.json, parse_provider, show_provider);
}

Outcome<ExitCode> run(const CompletionCommand& command, Context&) {
  CREDSYNC_TRY(write_out(completion_script(command.shell)));
  return ExitCode::kDone;
}

}  // namespace credsync::cli
