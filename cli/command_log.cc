// `log`: who got what, from the daemon's audit records.
#include <algorithm>
#include <map>
#include <thread>

#include "cli/commands.h"
#include "cli/json.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/text.h"
#include "cli/users.h"
#include "cli/when.h"

namespace credsync::cli {
namespace {

// The daemon has no stream of audit records: it is asked again this often.
constexpr std::chrono::seconds kBetweenLooks{1};
// Each name is a program that is run; a machine with more users in its log shows numbers for the rest.
constexpr std::size_t kMostNames = 64;

class Names {
 public:
  std::string of(const std::optional<std::int64_t>& uid) {
    if (!uid) return "credsyncd";
    const auto known = names_.find(*uid);
    if (known != names_.end()) return known->second;
    std::string name = names_.size() < kMostNames ? user_name(static_cast<uid_t>(*uid)) : std::string();
    if (name.empty()) name = std::to_string(*uid);
    return names_.emplace(*uid, std::move(name)).first->second;
  }

 private:
  std::map<std::int64_t, std::string> names_;
};

bool is_denial(const AuditRecord& record) {
  return record.decision.starts_with("den") || record.decision == "failed";
}

std::string number_text(const std::optional<std::int64_t>& number) {
  return number && *number != 0 ? std::to_string(*number) : "-";
}

Row row_of(const AuditRecord& r, Names& names) {
  return {{{r.at ? local_text(*r.at) : "-"},
           {r.account.empty() ? "-" : r.account},
           {r.action},
           {r.decision, is_denial(r) ? Style::kRed : Style::kPlain},
           {r.count == 1 ? "" : std::to_string(r.count)},
           {number_text(r.generation)},
           {names.of(r.uid)},
           {r.unit.empty() ? "-" : r.unit},
           {number_text(r.pid), Style::kDim},
           {r.exe, Style::kDim},
           {r.rule, Style::kDim},
           {r.detail}},
          {}};
}

void leave_out_empty(std::vector<Column>& columns, std::vector<Row>& rows) {
  for (std::size_t i = columns.size(); i-- > 0;) {
    if (std::any_of(rows.begin(), rows.end(), [i](const Row& row) { return !row.cells[i].text.empty(); })) continue;
    const auto at = static_cast<std::ptrdiff_t>(i);
    columns.erase(columns.begin() + at);
    for (Row& row : rows)
      row.cells.erase(row.cells.begin() + at);
  }
}

std::string show_table(const std::vector<AuditRecord>& records) {
  if (records.empty()) return {};
  Names names;
  std::vector<Row> rows;
  std::transform(records.begin(), records.end(), std::back_inserter(rows),
                 [&](const AuditRecord& record) { return row_of(record, names); });
  std::vector<Column> columns{{"WHEN"}, {"ACCOUNT"}, {"ACTION"}, {"DECISION"},      {"TIMES", 3}, {"GEN", 4},
                              {"WHO"},  {"UNIT", 1}, {"PID", 5}, {"EXECUTABLE", 6}, {"RULE", 7},  {"DETAIL", 2}};
  leave_out_empty(columns, rows);
  return render_table(columns, rows, look_at_stdout());
}

// While it follows there is no table: what comes later cannot widen a column that was printed.
std::string line_of(const AuditRecord& r, Names& names, const View& view) {
  std::string out = (r.at ? local_text(*r.at) : "-") + "  " + (r.account.empty() ? "-" : r.account) + "  " + r.action +
                    " " + styled(view, is_denial(r) ? Style::kRed : Style::kPlain, r.decision);
  if (r.count != 1) out += ", " + std::to_string(r.count) + " times";
  out += "  by " + names.of(r.uid);
  if (!r.unit.empty()) out += ", " + r.unit;
  if (r.pid && *r.pid != 0) out += ", process " + std::to_string(*r.pid);
  if (!r.detail.empty()) out += ": " + r.detail;
  return (view.utf8 ? out : to_ascii(out)) + "\n";
}

Request request_since(const std::string& since) {
  Request request;
  request.target = std::string(ipc::kAuditPath) + "?since=" + percent_encode(since);
  request.max_body = kMaxList;
  return request;
}

bool is_wanted(const LogCommand& command, const AuditRecord& record) {
  return command.account.empty() || record.account == command.account;
}

class Follower {
 public:
  Follower(const LogCommand& command, const DaemonClient& client)
      : command_(command), client_(client), since_(command.since) {}

  // Ends with a signal, or when the daemon refuses.
  Outcome<ExitCode> run();

 private:
  Outcome<void> look();
  Outcome<void> show(const std::string& line);

  const LogCommand& command_;
  const DaemonClient& client_;
  const View view_ = look_at_stdout();
  Names names_;
  std::string since_;
  std::vector<std::string> shown_;  // of the second `since_`, which is asked for again
  bool away_ = false;
};

Outcome<void> Follower::show(const std::string& line) {
  CREDSYNC_LET(record, parse_audit_line(line));
  const std::string second = record.at ? to_rfc3339(*record.at) : since_;
  if (second != since_) {
    since_ = second;
    shown_.clear();
  }
  shown_.push_back(line);
  if (!is_wanted(command_, record)) return {};
  return write_out(command_.json ? line + "\n" : line_of(record, names_, view_));
}

Outcome<void> Follower::look() {
  const auto response = client_.call(request_since(since_));
  if (!response) {
    const ExitCode exit = response.error().exit;
    if (exit != ExitCode::kUnreachable && exit != ExitCode::kTemporary) return response.error();
    if (!away_) write_err("credsync: " + response.error().message + "; trying again\n");
    away_ = true;
    return {};
  }
  away_ = false;
  CREDSYNC_LET(lines, audit_lines(response->body.text()));
  std::vector<std::string> before = shown_;
  for (const std::string& line : lines) {
    const auto seen = std::find(before.begin(), before.end(), line);
    if (seen == before.end()) {
      CREDSYNC_TRY(show(line));
    } else {
      before.erase(seen);  // two that are alike are two
    }
  }
  return {};
}

Outcome<ExitCode> Follower::run() {
  while (true) {
    CREDSYNC_TRY(look());
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

}  // namespace

Outcome<ExitCode> run(const LogCommand& command, Context& context) {
  if (command.follow) return Follower(command, context.client).run();
  CREDSYNC_LET(response, context.client.call(request_since(command.since)));
  const std::string& body = response.body.text();
  if (command.json) {
    CREDSYNC_LET(laid_out, pretty_json(body));
    CREDSYNC_TRY(write_out(laid_out + "\n"));
    return ExitCode::kDone;
  }
  CREDSYNC_LET(records, parse_audit(body));
  std::erase_if(records, [&](const AuditRecord& record) { return !is_wanted(command, record); });
  CREDSYNC_TRY(write_out(show_table(records)));
  return ExitCode::kDone;
}

}  // namespace credsync::cli
