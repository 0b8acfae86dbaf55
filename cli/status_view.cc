#include "cli/status_view.h"

#include <algorithm>
#include <map>

#include "cli/table.h"
#include "cli/text.h"
#include "cli/when.h"
#include "ipc/names.h"

namespace credsync::cli {
namespace {

Style style_of(const std::string& state) {
  if (state == ipc::kStateOk) return Style::kGreen;
  if (state == ipc::kStateRetrying) return Style::kYellow;
  if (state == ipc::kStateNeedsLogin || state == ipc::kStateSuspended) return Style::kRed;
  return Style::kDim;
}

std::optional<WallTime> expiry_of(const AccountStatus& status, WallTime now) {
  if (status.expires_at) return status.expires_at;
  if (status.expires_in) return saturating_add(now, std::chrono::seconds(*status.expires_in));
  return std::nullopt;
}

// Seconds that the token still lives, if it ends at all.
std::optional<std::int64_t> seconds_left(const AccountStatus& status, WallTime now) {
  const auto expiry = expiry_of(status, now);
  if (!expiry) return std::nullopt;
  return std::max<std::int64_t>(0, unix_seconds(*expiry) - unix_seconds(now));
}

std::string life_text(const AccountStatus& status, WallTime now) {
  if (status.generation == 0 || status.state == ipc::kStateSignedOut) return "none";
  const auto left = seconds_left(status, now);
  if (left && *left == 0) return "expired";
  if (!status.usable) return "unusable";
  return left ? span_text(*left) : "no end";
}

// Filled by eighths of a column where the terminal can show them.
std::string bar(const AccountStatus& status, WallTime now, std::size_t width, bool utf8) {
  const auto left = seconds_left(status, now);
  if (!left || !status.lifetime || *status.lifetime <= 0) return {};
  constexpr std::string_view kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const double share =
      status.usable ? std::min(1.0, static_cast<double>(*left) / static_cast<double>(*status.lifetime)) : 0;
  const auto eighths = static_cast<std::size_t>(share * 8 * static_cast<double>(width));
  std::string out;
  if (!utf8) {
    const std::size_t full = eighths / 8;
    return std::string("[").append(full, '#').append(width - full, '-').append("]");
  }
  for (std::size_t i = 0; i < eighths / 8; ++i)
    out += "█";
  const std::size_t rest = eighths % 8;
  out += kEighths[rest];
  for (std::size_t i = (eighths + 7) / 8; i < width; ++i)
    out += "░";
  return out;
}

std::string refresh_text(const AccountStatus& status, WallTime now) {
  if (status.refreshing) return "now";
  if (status.next_refresh) return *status.next_refresh <= now ? "due" : relative_text(*status.next_refresh, now);
  return status.refreshable ? "-" : "never";
}

std::string error_text(const LastError& error, WallTime now) {
  std::string out = error.message.empty() ? error.error_class : error.message;
  if (!error.error_class.empty() && out != error.error_class) out = error.error_class + ": " + out;
  if (error.at) out += " (" + relative_text(*error.at, now) + ")";
  return out;
}

std::string step_text(const NextStep& step) {
  if (step.command.empty()) return step.text;
  return step.text.empty() ? step.command : step.text + ": " + step.command;
}

std::vector<Cell> details_of(const AccountStatus& status, WallTime now) {
  std::vector<Cell> lines;
  for (const std::string& note : status.notes)
    lines.push_back({note});
  if (const std::int64_t count = status.retiring.unrevoked; count != 0) {
    lines.push_back({std::to_string(count) + (count == 1 ? " token was" : " tokens were") +
                     " erased without the provider having revoked it"});
  }
  if (status.error) lines.push_back({"last error: " + error_text(*status.error, now)});
  if (status.next_step) lines.push_back({"next step: " + step_text(*status.next_step), Style::kBold});
  return lines;
}

Row row_of(const AccountStatus& status, WallTime now, const View& view) {
  constexpr std::size_t kBarWidth = 8;
  const Style style = style_of(status.state);
  std::string progress = view.terminal ? bar(status, now, kBarWidth, view.utf8) : std::string();
  return {{{status.account, Style::kBold},
           {status.provider},
           {status.state, style},
           {std::move(progress), style},
           {life_text(status, now)},
           {refresh_text(status, now)},
           {status.retiring.pending == 0 ? "-" : std::to_string(status.retiring.pending)}},
          details_of(status, now)};
}

std::string moment_text(WallTime t, WallTime now) {
  return clock_text(t, now) + " (" + relative_text(t, now) + ")";
}

std::string optional_moment(const std::optional<WallTime>& t, WallTime now) {
  return t ? moment_text(*t, now) : std::string();
}

std::string token_text(const AccountStatus& status, WallTime now) {
  std::string out = life_text(status, now);
  const auto expiry = expiry_of(status, now);
  if (expiry && status.generation != 0) out += (*expiry > now ? ", until " : ", since ") + clock_text(*expiry, now);
  if (status.generation != 0) out += ", generation " + std::to_string(status.generation);
  return out;
}

std::string retiring_in_full(const Retiring& retiring, WallTime now) {
  if (retiring.pending == 0 && retiring.unrevoked == 0) return {};
  std::string out = std::to_string(retiring.pending) + " pending";
  if (retiring.next) out += ", next " + relative_text(*retiring.next, now);
  if (retiring.unrevoked != 0) out += ", " + std::to_string(retiring.unrevoked) + " erased unrevoked";
  return out;
}

}  // namespace

std::string render_statuses(std::span<const AccountStatus> statuses, WallTime now, const View& view) {
  // On a narrow terminal what an admin looks at least often goes first, then the bar.
  std::vector<Column> columns{{"ACCOUNT"}, {"PROVIDER", 3}, {"STATE"},      {"", 4},
                              {"TOKEN"},   {"REFRESH", 2},  {"RETIRING", 5}};
  std::vector<Row> rows;
  rows.reserve(statuses.size());
  for (const AccountStatus& status : statuses)
    rows.push_back(row_of(status, now, view));
  const bool bars = std::any_of(rows.begin(), rows.end(), [](const Row& row) { return !row.cells[3].text.empty(); });
  if (!bars) {
    columns.erase(columns.begin() + 3);
    for (Row& row : rows)
      row.cells.erase(row.cells.begin() + 3);
  }
  return render_table(columns, rows, view);
}

std::string render_status(const AccountStatus& status, WallTime now, const View& view) {
  constexpr std::size_t kBarWidth = 24;
  const Style style = style_of(status.state);
  const std::string since = status.since ? ", since " + moment_text(*status.since, now) : std::string();
  const std::vector<Pair> pairs{
      {"provider", status.provider},
      {"grant", status.grant},
      {"state", status.state + since, style},
      {"access token", token_text(status, now)},
      {"", view.terminal ? bar(status, now, kBarWidth, view.utf8) : std::string(), style},
      {"next refresh", status.next_refresh ? optional_moment(status.next_refresh, now) : refresh_text(status, now)},
      {"refresh until", optional_moment(status.refresh_expires_at, now)},
      {"scope", join(status.scope, " ")},
      {"last used", optional_moment(status.last_used, now)},
      {"retiring", retiring_in_full(status.retiring, now)},
      {"note", join(status.notes, "; ")},
      {"last error", status.error ? error_text(*status.error, now) : std::string()},
      {"next step", status.next_step ? step_text(*status.next_step) : std::string(), Style::kBold},
      {"you may", join(status.actions, ", ")},
  };
  return styled(view, Style::kBold, status.account) + "\n" + render_pairs(pairs, view);
}

std::string summary_of(std::span<const AccountStatus> statuses) {
  std::map<std::string, std::size_t> counts;
  for (const AccountStatus& status : statuses)
    ++counts[status.state];
  std::vector<std::string> parts;
  for (const std::string_view state :
       {ipc::kStateOk, ipc::kStateRetrying, ipc::kStateNeedsLogin, ipc::kStateSuspended, ipc::kStateSignedOut}) {
    const auto found = counts.find(std::string(state));
    if (found != counts.end()) parts.push_back(std::to_string(found->second) + " " + found->first);
  }
  return std::to_string(statuses.size()) + (statuses.size() == 1 ? " account: " : " accounts: ") + join(parts, ", ");
}

std::string one_line(const AccountStatus& status, WallTime now) {
  std::string out = status.account + ": " + status.state;
  if (status.usable) {
    const auto left = seconds_left(status, now);
    out += left ? ", the token lives " + span_text(*left) : ", the token does not end";
  }
  if (status.generation != 0) out += " (generation " + std::to_string(status.generation) + ")";
  return out;
}

}  // namespace credsync::cli
