// Accounts without an editor: `account add`, `account remove`, `account list`.
#include <errno.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "base/text.h"
#include "cli/account_file.h"
#include "cli/account_questions.h"
#include "cli/commands.h"
#include "cli/config_folder.h"
#include "cli/json.h"
#include "cli/prompt.h"
#include "cli/signals.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/users.h"

namespace credsync::cli {
namespace {

constexpr std::size_t kLongestFile = 1024 * 1024;

std::string file_name(const std::string& account) {
  return account + ".toml";
}

// Removes what was written, unless the daemon took it.
class Written {
 public:
  explicit Written(const ConfigFolder& folder) : folder_(folder) {}
  ~Written() {
    if (kept_) return;
    for (auto name = names_.rbegin(); name != names_.rend(); ++name)
      ::unlink(folder_.path(*name).c_str());
  }
  Written(const Written&) = delete;
  Written& operator=(const Written&) = delete;

  Outcome<void> write(const std::string& name, std::string_view content) {
    CREDSYNC_TRY(folder_.write_new(name, content));
    names_.push_back(name);
    return {};
  }
  void keep() { kept_ = true; }

 private:
  const ConfigFolder& folder_;
  std::vector<std::string> names_;
  bool kept_ = false;
};

Outcome<void> write_secret(Written& written, const std::string& name, const Secret& secret) {
  WipedString line;
  line.text().reserve(secret.size() + 1);
  line.text().append(secret.expose()).append("\n");  // the daemon takes one line end off
  return written.write(name, line.text());
}

// A refusal names the files it is about; one that is not about ours is for somebody else to mend first.
Failure refused(Failure failure, const std::string& path) {
  const auto about_ours = [&](const std::string& line) { return line.find(path) != line.npos; };
  const bool ours = std::any_of(failure.details.begin(), failure.details.end(), about_ours);
  if (!failure.details.empty() && !ours)
    failure.details.emplace_back("None of this is in the new account's file: mend the others, then add it again.");
  failure.details.emplace_back("Nothing was added.");
  return failure;
}

bool names(const std::vector<std::string>& accounts, const std::string& account) {
  return std::find(accounts.begin(), accounts.end(), account) != accounts.end();
}

// It read its configuration, and the file was not in it.
Failure not_its_folder(const ConfigFolder& folder, const std::string& what) {
  Failure failure = failed("the daemon at " + clean_foreign_text(folder.socket()) + " does not read " +
                           clean_foreign_text(folder.path("")) + ": it read its configuration again, and " + what);
  failure.details.emplace_back(
      "Name the one that does, by --socket PATH or CREDSYNC_SOCKET, or this one's folder, by --config DIR.");
  return failure;
}

Outcome<std::string> write_and_reload(const AskedAccount& asked, const std::string& toml, const ConfigFolder& folder,
                                      const DaemonClient& client) {
  const HeldSignals held;  // what is half done would be taken at the next reload
  Written written(folder);
  const std::string name = file_name(asked.draft.name);
  if (!asked.secret.empty()) CREDSYNC_TRY(write_secret(written, asked.draft.secret_file, asked.secret));
  CREDSYNC_TRY(written.write(name, toml));
  auto report = reload(client);
  if (!report) return refused(std::move(report).error(), folder.path(name));
  if (!names(report->added, asked.draft.name) && !names(report->changed, asked.draft.name)) {
    Failure failure = not_its_folder(folder, asked.draft.name + " did not come");
    failure.details.emplace_back("Nothing was added.");
    return failure;
  }
  written.keep();
  return "written: " + clean_foreign_text(folder.path(name)) + "\n" + words_of(*report);
}

Outcome<void> warn_if_nobody(const AccountDraft& draft, const ConfigFolder& folder) {
  if (folder.is_users() || !draft.users.empty() || !draft.groups.empty()) return {};
  write_err("credsync: nobody may use " + draft.name + " yet, unless [defaults] says so: see --allow-user\n");
  return {};
}

Outcome<ExitCode> offer_sign_in(const AccountAddCommand& command, const ConfigFolder& folder, Context& context) {
  const std::string next = "credsync login " + command.account;
  bool wanted = command.login.value_or(false);
  // Root's own right to sign in would be a rule too; who called sudo is who has one.
  if (!command.login && can_ask() && !sudo_caller()) {
    CREDSYNC_LET(yes, ask_yes("Sign in now?", true));
    wanted = yes;
  }
  if (!wanted) {
    if (!command.login) write_err("Next: " + next + "\n");
    return ExitCode::kDone;
  }
  LoginCommand login;
  login.account = command.account;
  Context there{{folder.socket(), context.socket.origin}, DaemonClient(folder.socket()), context.core_limit_before};
  return run(login, there);
}

Outcome<std::string> read_account_file(const ConfigFolder& folder, const std::string& account) {
  const std::string path = folder.path(file_name(account));
  errno = 0;
  auto text = read_file(path, kLongestFile);
  if (!text && errno == ENOENT)
    return failed("there is no file " + clean_foreign_text(path) + ": the account is defined elsewhere, if at all");
  if (!text) return file_failure("read", path, errno);
  if (!defines_only(*text, account))
    return failed(clean_foreign_text(path) + " defines more than " + account +
                  ": edit it by hand, then credsync reload");
  return std::move(*text);
}

// What goes with an account, and what only looks as if it did.
struct Doomed {
  std::string toml;
  std::string secret;  // empty: none, or not ours
  std::string kept;    // a secret that somebody else wrote
};

Doomed doomed_files(const ConfigFolder& folder, const std::string& account, std::string_view toml) {
  Doomed doomed{folder.path(file_name(account)), {}, {}};
  const std::string name = secret_file_of(toml, account);
  if (name.empty() || ::access(folder.path(name).c_str(), F_OK) != 0) return doomed;
  (is_written_here(toml) ? doomed.secret : doomed.kept) = folder.path(name);
  return doomed;
}

Outcome<void> confirm(const AccountRemoveCommand& command, const Doomed& doomed) {
  if (command.yes) return {};
  if (!can_ask()) return misused("there is no terminal to ask on: say --yes");
  const std::string kept = command.sign_out
                               ? "Its tokens are revoked first."
                               : "Its tokens are kept sealed for 30 days, in case it comes back; --sign-out "
                                 "revokes them first.";
  write_err(kept + "\n");
  const std::string also = doomed.secret.empty() ? "" : " and " + clean_foreign_text(doomed.secret);
  CREDSYNC_LET(yes, ask_yes("Remove " + clean_foreign_text(doomed.toml) + also + "?", false));
  if (!yes) return failed("nothing was removed");
  return {};
}

// Set aside until the daemon has taken it: a refusal (of another file, say) puts it back, and so does a daemon that did not
// notice.
Outcome<std::string> remove_and_reload(const std::string& account, const std::string& path, const ConfigFolder& folder,
                                       const DaemonClient& client) {
  const HeldSignals held;
  const std::string aside = path + ".removed";
  if (::rename(path.c_str(), aside.c_str()) != 0) return file_failure("remove", path, errno);
  auto report = reload(client);
  if (report && !names(report->removed, account)) {
    report = not_its_folder(folder, account + " did not go");
    report.error().details.emplace_back(
        "If it does and was not told of the file yet: credsync reload, then once more.");
  }
  if (!report) {
    if (::rename(aside.c_str(), path.c_str()) != 0) return file_failure("put back", path, errno);
    report.error().details.emplace_back("Nothing was removed.");
    return std::move(report).error();
  }
  ::unlink(aside.c_str());
  return "removed: " + clean_foreign_text(path) + "\n" + words_of(*report);
}

Outcome<void> remove_secret(const Doomed& doomed, std::string& words) {
  if (!doomed.kept.empty()) words += "left: " + clean_foreign_text(doomed.kept) + ", which account add did not write\n";
  if (doomed.secret.empty()) return {};
  if (::unlink(doomed.secret.c_str()) != 0 && errno != ENOENT) return file_failure("remove", doomed.secret, errno);
  words += "removed: " + clean_foreign_text(doomed.secret) + "\n";
  return {};
}

}  // namespace

Outcome<ExitCode> run(const AccountAddCommand& command, Context& context) {
  CREDSYNC_LET(folder, ConfigFolder::choose(command.place, context.socket));
  const DaemonClient client(folder.socket());
  CREDSYNC_LET(asked, ask_for_account(command, folder.is_users(), client));
  CREDSYNC_LET(toml, account_toml(asked.draft));
  if (command.print) {
    CREDSYNC_TRY(write_out(toml));
    return ExitCode::kDone;
  }
  CREDSYNC_LET(words, write_and_reload(asked, toml, folder, client));
  CREDSYNC_TRY(write_out(words));
  CREDSYNC_TRY(warn_if_nobody(asked.draft, folder));
  return offer_sign_in(command, folder, context);
}

Outcome<ExitCode> run(const AccountRemoveCommand& command, Context& context) {
  CREDSYNC_LET(folder, ConfigFolder::choose(command.place, context.socket));
  const DaemonClient client(folder.socket());
  CREDSYNC_LET(toml, read_account_file(folder, command.account));
  const Doomed doomed = doomed_files(folder, command.account, toml);
  CREDSYNC_TRY(confirm(command, doomed));
  std::string words;
  if (command.sign_out) {
    CREDSYNC_LET(signed_out, sign_out(command.account, client));
    words = signed_out;
  }
  CREDSYNC_LET(removed, remove_and_reload(command.account, doomed.toml, folder, client));
  words += removed;
  const auto gone = remove_secret(doomed, words);
  CREDSYNC_TRY(write_out(words));
  CREDSYNC_TRY(gone);
  return ExitCode::kDone;
}

Outcome<ExitCode> run(const AccountListCommand& command, Context& context) {
  Request request;
  request.target = ipc::kAccountsPath;
  request.max_body = kMaxList;
  CREDSYNC_LET(response, context.client.call(request));
  CREDSYNC_LET(statuses, parse_statuses(response.body.text()));
  const auto folder = ConfigFolder::choose({}, context.socket);
  std::string out;
  std::vector<Row> rows;
  for (const AccountStatus& status : statuses) {
    out += status.account + "\n";
    if (command.names) continue;
    const std::string path = folder ? folder->path(file_name(status.account)) : std::string();
    const bool there = is_account_name(status.account) && !path.empty() && ::access(path.c_str(), F_OK) == 0;
    rows.push_back(
        {{{status.account}, {status.provider}, {status.grant}, {status.state}, {there ? path : "", Style::kDim}}, {}});
  }
  if (!command.names && statuses.empty()) say_no_account(context.socket);
  if (!command.names && !statuses.empty()) {
    out = render_table({{"ACCOUNT"}, {"PROVIDER", 1}, {"GRANT", 2}, {"STATE"}, {"FILE", 3}}, rows, look_at_stdout());
  }
  CREDSYNC_TRY(write_out(out));
  return ExitCode::kDone;
}

}  // namespace credsync::cli
