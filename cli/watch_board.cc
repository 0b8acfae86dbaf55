#include <algorithm>

#include "cli/answers.h"
#include "cli/json.h"
#include "cli/status_view.h"
#include "cli/terminal.h"
#include "cli/text.h"
#include "cli/watch_display.h"
#include "cli/when.h"

namespace credsync::cli {
namespace {

using std::chrono::milliseconds;

// A burst of events (1,000 rotations) must not become a burst of requests.
constexpr milliseconds kBetweenFetches{250};
// Bars run by the second.
constexpr milliseconds kBetweenDraws{1000};

// The alternate screen without cursor and line wrap, so that leaving gives the shell's text back as it was.
constexpr std::string_view kEnterScreen = "\033[?1049h\033[?25l\033[?7l";
constexpr std::string_view kLeaveScreen = "\033[?7h\033[?25h\033[?1049l";

class Board final : public WatchDisplay {
 public:
  Board(const StatusCommand& command, const DaemonClient& client) : account_(command.account), client_(client) {
    Board::resume();
  }
  ~Board() override { Board::suspend(); }

  Outcome<void> on_events(const std::vector<Event>&) override {
    lost_.clear();
    stale_ = true;
    return {};
  }

  Outcome<void> on_lost(const std::string& reason) override {
    lost_ = reason;
    stale_ = false;
    draw_due_ = true;
    return {};
  }

  Outcome<milliseconds> tick() override;
  void on_resize() override { draw_due_ = true; }
  void suspend() override { (void)write_out(kLeaveScreen); }
  void resume() override {
    (void)write_out(kEnterScreen);
    draw_due_ = true;
  }

 private:
  Outcome<void> fetch();
  Outcome<void> draw();
  std::string head_line(WallTime now, const View& view) const;

  const std::string account_;
  const DaemonClient& client_;
  std::vector<AccountStatus> statuses_;
  std::string lost_;  // why the daemon is away; empty while it is there
  bool stale_ = true;
  bool draw_due_ = true;
  Deadline next_fetch_{};
  Deadline next_draw_{};
};

Outcome<void> Board::fetch() {
  Request request;
  request.target = account_.empty() ? std::string(ipc::kAccountsPath) : account_target(account_, "");
  request.max_body = kMaxList;
  stale_ = false;
  next_fetch_ = after(kBetweenFetches);
  auto response = client_.call(request);
  if (!response) {
    // Away or busy: the stream tells when it is back. Anything else would not get better by waiting.
    const ExitCode exit = response.error().exit;
    if (exit == ExitCode::kTemporary) {
      stale_ = true;
      next_fetch_ = after(kBetweenDraws);
    }
    if (exit == ExitCode::kNotAllowed) return std::move(response).error();
    return {};
  }
  if (account_.empty()) {
    CREDSYNC_LET(statuses, parse_statuses(response->body.text()));
    statuses_ = std::move(statuses);
  } else {
    CREDSYNC_LET(status, parse_status(response->body.text()));
    statuses_.clear();
    statuses_.push_back(std::move(status));
  }
  draw_due_ = true;
  return {};
}

std::string Board::head_line(WallTime now, const View& view) const {
  const std::string time = clock_text(now, now) + "  ";
  if (!lost_.empty())
    return styled(view, Style::kRed, cut_to_width(time + lost_ + "; trying again", view.columns, view.utf8));
  return styled(view, Style::kDim, cut_to_width(time + summary_of(statuses_), view.columns, view.utf8));
}

Outcome<void> Board::draw() {
  const View view = look_at_stdout();
  const WallTime now = SystemClock().wall();
  std::string body = head_line(now, view) + "\n\n";
  if (!account_.empty() && !statuses_.empty())
    body += render_status(statuses_.front(), now, view);
  else
    body += render_statuses(statuses_, now, view);
  std::string frame = "\033[H";
  std::size_t line = 0;
  for (std::size_t at = 0; at < body.size(); ++line) {
    const std::size_t end = body.find('\n', at);
    const bool last_row = view.rows != 0 && line + 1 == view.rows;
    if (last_row && end + 1 < body.size()) {
      frame += std::to_string(std::count(body.begin() + static_cast<std::ptrdiff_t>(at), body.end(), '\n')) +
               " more lines\033[K";
      break;
    }
    frame.append(body, at, end - at).append("\033[K");
    if (!last_row) frame += "\n";
    at = end + 1;
  }
  draw_due_ = false;
  next_draw_ = after(kBetweenDraws);
  return write_out(frame + "\033[J");
}

Outcome<milliseconds> Board::tick() {
  const Deadline now = after(milliseconds(0));
  if (stale_ && now >= next_fetch_) CREDSYNC_TRY(fetch());
  if (draw_due_ || now >= next_draw_) CREDSYNC_TRY(draw());
  const Deadline due = stale_ ? std::min(next_fetch_, next_draw_) : next_draw_;
  return std::max(milliseconds(0), std::chrono::ceil<milliseconds>(due - after(milliseconds(0))));
}

}  // namespace

std::unique_ptr<WatchDisplay> make_board(const StatusCommand& command, const DaemonClient& client) {
  return std::make_unique<Board>(command, client);
}

}  // namespace credsync::cli
