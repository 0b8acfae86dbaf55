#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/table.h"
#include "cli/terminal.h"

namespace credsync::cli {
namespace {

using Checks = std::vector<DoctorCheck>;

bool user_daemon(const Context& context) {
  return context.socket.origin == SocketOrigin::kUser;
}

std::string start_command(const Context& context) {
  return user_daemon(context) ? "systemctl --user start credsyncd" : "systemctl start credsyncd";
}

// What is there but closed to us is not mended by starting anything: who may go where on its way is the question.
std::string step_after(int error, const Context& context) {
  if (error == ENOENT || error == ECONNREFUSED) return start_command(context);
  return error == EACCES ? "namei -l " + clean_foreign_text(context.socket.path) : std::string();
}

std::string origin_text(SocketOrigin origin) {
  switch (origin) {
    case SocketOrigin::kOption: return "named by --socket";
    case SocketOrigin::kEnvironment: return "named by CREDSYNC_SOCKET";
    case SocketOrigin::kUser: return "of your own daemon";
    case SocketOrigin::kSystem: return "of the system's daemon";
  }
  return {};
}

DoctorCheck check_socket(const Context& context) {
  const std::string path = clean_foreign_text(context.socket.path);
  const std::string detail = path + ", " + origin_text(context.socket.origin);
  struct stat info {};
  if (::stat(context.socket.path.c_str(), &info) != 0) {
    const int error = errno;
    const std::string reason = error == ENOENT ? "does not exist" : ::strerror(error);
    return {"socket", CheckResult::kFailed, detail + ": " + reason, step_after(error, context)};
  }
  if (!S_ISSOCK(info.st_mode)) return {"socket", CheckResult::kFailed, detail + ": is no socket", ""};
  return {"socket", CheckResult::kOk, detail, ""};
}

// Whoever can replace the socket can take what is sent to it: passwords and imported tokens.
DoctorCheck check_directory(const Context& context) {
  const std::size_t slash = context.socket.path.rfind('/');
  const std::string directory = slash == std::string::npos ? "."
                                : slash == 0               ? "/"
                                                           : context.socket.path.substr(0, slash);
  const std::string shown = clean_foreign_text(directory);
  struct stat info {};
  if (::stat(directory.c_str(), &info) != 0) {
    const int error = errno;
    return {"directory", CheckResult::kFailed, shown + ": " + ::strerror(error), step_after(error, context)};
  }
  const bool open_to_others = (info.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  const bool foreign = info.st_uid != 0 && info.st_uid != ::geteuid();
  if (open_to_others)
    return {"directory", CheckResult::kWarning, shown + " can be written by others, who could replace the socket", ""};
  if (foreign) {
    return {"directory", CheckResult::kWarning,
            shown + " belongs to uid " + std::to_string(info.st_uid) + ", who could replace the socket", ""};
  }
  return {"directory", CheckResult::kOk, shown + " can be changed by " + (info.st_uid == 0 ? "root" : "you") + " only",
          ""};
}

DoctorCheck check_connection(const Context& context) {
  const auto connection = context.client.connect(after(kQuickAnswer));
  if (!connection) {
    const bool closed = ::access(context.socket.path.c_str(), W_OK) != 0 && errno == EACCES;
    return {"connection", CheckResult::kFailed, connection.error().message,
            closed ? step_after(EACCES, context) : start_command(context)};
  }
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(connection->fd(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return {"connection", CheckResult::kOk, "accepted", ""};
  }
  return {"connection", CheckResult::kOk,
          "accepted by process " + std::to_string(peer.pid) + " of uid " + std::to_string(peer.uid), ""};
}

DoctorCheck check_round_trip(const Context& context, std::string& version) {
  Request request;
  request.target = ipc::kHealthPath;
  const auto begin = std::chrono::steady_clock::now();
  const auto response = context.client.call(request);
  if (!response) return {"answer", CheckResult::kFailed, response.error().message, "journalctl -u credsyncd -e"};
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
  version = parse_version(response->body.text());
  if (version.empty()) version = response->server;
  constexpr std::chrono::milliseconds kSlow{250};  // far beyond what a cached answer takes
  const std::string detail = "in " + std::to_string(took.count()) + " us";
  if (took > kSlow) return {"answer", CheckResult::kWarning, detail + ", which is slow", ""};
  return {"answer", CheckResult::kOk, detail, ""};
}

DoctorCheck check_version(const std::string& version) {
  const std::string mine = CREDSYNC_VERSION;
  if (version.empty())
    return {"version", CheckResult::kOk, "credsync " + mine + "; the daemon does not tell its own", ""};
  const std::string detail = "credsync " + mine + ", daemon " + version;
  if (version == mine || version.ends_with("/" + mine)) return {"version", CheckResult::kOk, detail, ""};
  return {"version", CheckResult::kWarning, detail + ": they differ", "systemctl restart credsyncd"};
}

// The daemon's own checks need the admin action; without it the others still stand.
void add_daemon_checks(const Context& context, Checks& checks) {
  Request request;
  request.target = ipc::kDoctorPath;
  request.timeout = kProviderAnswer;
  request.max_body = kMaxList;
  const auto response = context.client.call(request);
  if (!response) {
    const bool refused = response.error().exit == ExitCode::kNotAllowed;
    checks.push_back({"daemon", refused ? CheckResult::kWarning : CheckResult::kFailed,
                      (refused ? "its own checks are for admins: " : "") + response.error().message,
                      response.error().command});
    return;
  }
  auto found = parse_doctor(response->body.text());
  if (!found) {
    checks.push_back({"daemon", CheckResult::kFailed, found.error().message, ""});
    return;
  }
  std::move(found->begin(), found->end(), std::back_inserter(checks));
}

Checks run_checks(const Context& context) {
  Checks checks{check_socket(context)};
  if (checks.back().result == CheckResult::kFailed) return checks;
  checks.push_back(check_directory(context));
  checks.push_back(check_connection(context));
  if (checks.back().result == CheckResult::kFailed) return checks;
  std::string version;
  checks.push_back(check_round_trip(context, version));
  if (checks.back().result == CheckResult::kFailed) return checks;
  checks.push_back(check_version(version));
  add_daemon_checks(context, checks);
  return checks;
}

Row row_of(const DoctorCheck& check) {
  const bool ok = check.result == CheckResult::kOk;
  const bool bad = check.result == CheckResult::kFailed;
  Row row{{{ok    ? "ok"
            : bad ? "FAILED"
                  : "warning",
            ok    ? Style::kGreen
            : bad ? Style::kRed
                  : Style::kYellow},
           {check.name}},
          {}};
  if (ok) {
    row.cells.push_back({check.detail});
  } else {
    // In full: a table would cut what matters most.
    row.cells.push_back({""});
    if (!check.detail.empty()) row.details.push_back({check.detail});
    if (!check.next_step.empty()) row.details.push_back({"Try: " + check.next_step, Style::kBold});
  }
  return row;
}

}  // namespace

Outcome<ExitCode> run(const DoctorCommand&, Context& context) {
  const Checks checks = run_checks(context);
  std::vector<Row> rows;
  std::transform(checks.begin(), checks.end(), std::back_inserter(rows), row_of);
  CREDSYNC_TRY(write_out(render_table({{""}, {""}, {""}}, rows, look_at_stdout())));
  const bool failed_one =
      std::any_of(checks.begin(), checks.end(), [](const DoctorCheck& c) { return c.result == CheckResult::kFailed; });
  return failed_one ? ExitCode::kFailed : ExitCode::kDone;
}

}  // namespace credsync::cli
