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

Outcome<std::string> write_and_reload(const AskedAccount& asked, const std::string& toml, const ConfigFolder& folder,
                                      const DaemonClient& client) {
  const HeldSignals held;  // what is half done would be taken at the next reload
  Written written(folder);
  const std::string name = file_name(asked.draft.name);
  if (!asked.secret.empty()) CREDSYNC_TRY(write_secret(written, asked.draft.secret_file, asked.secret));
  CREDSYNC_TRY(written.write(name, toml));
  auto words = reload(client);
  if (!words) return refused(std::move(words).error(), folder.path(name));
  written.keep();
  return "written: " + clean_foreign_text(folder.path(name)) + "\n" + *words;
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

Outcome<void> confirm(const AccountRemoveCommand& command, const std::string& path) {
  if (command.yes) return {};
  if (!can_ask()) return misused("there is no terminal to ask on: say --yes");
  const std::string kept = command.sign_out
                               ? "Its tokens are revoked first."
                               : "Its tokens are kept sealed for 30 days, in case it comes back; --sign-out "
                                 "revokes them first.";
  write_err(kept + "\n");
  CREDSYNC_LET(yes, ask_yes("Remove " + clean_foreign_text(path) + "?", false));
  if (!yes) return failed("nothing was removed");
  return {};
}

// Set aside until the daemon has taken it: a refusal (of another file, say) puts it back.
Outcome<std::string> remove_and_reload(const std::string& path, const DaemonClient& client) {
  const HeldSignals held;
  const std::string aside = path + ".removed";
  if (::rename(path.c_str(), aside.c_str()) != 0) return file_failure("remove", path, errno);
  auto words = reload(client);
  if (!words) {
    if (::rename(aside.c_str(), path.c_str()) != 0) return file_failure("put back", path, errno);
    words.error().details.emplace_back("Nothing was removed.");
    return std::move(words).error();
  }
  ::unlink(aside.c_str());
  return "removed: " + clean_foreign_text(path) + "\n" + *words;
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
  const std::string path = folder.path(file_name(command.account));
  CREDSYNC_LET(toml, read_account_file(folder, command.account));
  CREDSYNC_TRY(confirm(command, path));
  std::string words;
  if (command.sign_out) {
    CREDSYNC_LET(signed_out, sign_out(command.account, client));
    words = signed_out;
  }
  CREDSYNC_LET(removed, remove_and_reload(path, client));
  const std::string secret = secret_file_of(toml, command.account);
  if (!secret.empty()) ::unlink(folder.path(secret).c_str());
  CREDSYNC_TRY(write_out(words + removed));
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
  if (!command.names) {
    out = render_table({{"ACCOUNT"}, {"PROVIDER", 1}, {"GRANT", 2}, {"STATE"}, {"FILE", 3}}, rows, look_at_stdout());
  }
  CREDSYNC_TRY(write_out(out));
  return ExitCode::kDone;
}

}  // namespace credsync::cli
