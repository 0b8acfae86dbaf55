#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <array>
#include <optional>

#include "cli/commands.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "cli/watch_display.h"

namespace credsync::cli {
namespace {

using std::chrono::milliseconds;

// Often enough that a restart is hardly seen, seldom enough to cost nothing.
constexpr milliseconds kBetweenTries{1000};

class Watcher {
 public:
  Watcher(const StatusCommand& command, Context& context) : command_(command), client_(context.client) {
    client_.set_interrupt(endings_.fd());
  }

  Outcome<ExitCode> run();

 private:
  Outcome<void> loop();
  Outcome<void> open();
  Outcome<void> reopen();
  Outcome<void> lose(const std::string& reason);
  Outcome<void> wait(milliseconds until_tick);
  Outcome<void> read_stream();
  void take_signals();

  const StatusCommand& command_;
  DaemonClient& client_;
  Signals endings_{SIGINT, SIGTERM, SIGHUP, SIGQUIT};  // these also end waiting for an answer
  Signals others_{SIGTSTP, SIGWINCH};
  std::optional<EventStream> stream_;
  std::unique_ptr<WatchDisplay> display_;
  Deadline next_try_{};
  bool over_ = false;
};

Outcome<void> Watcher::open() {
  std::string target(ipc::kEventsPath);
  if (!command_.account.empty()) target += "?account=" + command_.account;
  CREDSYNC_LET(stream, client_.open_events(target));
  stream_.emplace(std::move(stream));
  return {};
}

Outcome<void> Watcher::lose(const std::string& reason) {
  stream_.reset();
  next_try_ = after(kBetweenTries);
  return display_->on_lost(reason);
}

Outcome<void> Watcher::reopen() {
  next_try_ = after(kBetweenTries);
  const auto opened = open();
  if (opened) {
    CREDSYNC_TRY(display_->on_events({}));
    return read_stream();
  }
  // Not away but refused: the account left the configuration, or the right to see it did.
  if (opened.error().exit == ExitCode::kNotAllowed) return opened.error();
  return display_->on_lost(opened.error().message);
}

void Watcher::take_signals() {
  if (endings_.next()) over_ = true;
  while (const auto number = others_.next()) {
    if (*number == SIGWINCH) {
      display_->on_resize();
    } else {
      display_->suspend();
      ::kill(::getpid(), SIGSTOP);
      display_->resume();
    }
  }
}

Outcome<void> Watcher::read_stream() {
  auto events = stream_->read();
  if (!events) return lose(events.error().message);
  return events->empty() ? Outcome<void>() : display_->on_events(*events);
}

Outcome<void> Watcher::wait(milliseconds until_tick) {
  milliseconds timeout = until_tick;
  if (!stream_) {
    const auto until_try =
        std::max(milliseconds(0), std::chrono::ceil<milliseconds>(next_try_ - after(milliseconds(0))));
    timeout = timeout.count() < 0 ? until_try : std::min(timeout, until_try);
  }
  std::array<pollfd, 3> polled{
      {{stream_ ? stream_->fd() : -1, POLLIN, 0}, {endings_.fd(), POLLIN, 0}, {others_.fd(), POLLIN, 0}}};
  const int ready = ::poll(polled.data(), polled.size(), static_cast<int>(timeout.count()));
  if (ready < 0 && errno != EINTR) return failed(std::string("poll: ") + ::strerror(errno));
  take_signals();
  if (ready > 0 && polled[0].revents != 0) return read_stream();
  return {};
}

Outcome<void> Watcher::loop() {
  CREDSYNC_TRY(open());  // a first failure is the answer; later ones are waited out
  const bool board = !command_.json && look_at_stdout().terminal;
  display_ = board ? make_board(command_, client_) : make_event_lines(command_.json);
  CREDSYNC_TRY(read_stream());  // the first events may have come with the header
  while (!over_) {
    if (!stream_ && after(milliseconds(0)) >= next_try_) CREDSYNC_TRY(reopen());
    CREDSYNC_LET(until_tick, display_->tick());
    CREDSYNC_TRY(wait(until_tick));
  }
  return {};
}

Outcome<ExitCode> Watcher::run() {
  auto outcome = loop();
  display_.reset();  // gives the screen back before anything is said on it
  const bool asked_to_end = over_ || endings_.next().has_value();
  if (!outcome && !asked_to_end) return std::move(outcome).error();
  return ExitCode::kDone;
}

}  // namespace

Outcome<ExitCode> watch(const StatusCommand& command, Context& context) {
  return Watcher(command, context).run();
}

}  // namespace credsync::cli
