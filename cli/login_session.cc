#include "cli/login_session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/text.h"
#include "cli/browser.h"
#include "cli/hidden_terminal.h"
#include "cli/json.h"
#include "cli/login_words.h"
#include "cli/signals.h"
#include "cli/status_view.h"
#include "cli/terminal.h"
#include "cli/typed_address.h"

namespace credsync::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// How long the daemon may hold an answer, and how much longer a loaded machine may take.
constexpr seconds kHold{30};
constexpr seconds kMargin{15};
// The time left runs by the second.
constexpr milliseconds kBetweenTicks{1000};
// A restart of the daemon takes a second or two; after this it is not one.
constexpr seconds kLongestAway{10};
// After Ctrl-C the answer to the beginning is still waited for, so that the session can be cancelled.
constexpr seconds kLongestCancel{5};

// The last line of the terminal, rewritten in place; nothing where that cannot be.
class ProgressLine {
 public:
  void show(const std::string& line) {
    if (line == shown_) return;
    write_err("\r\033[K" + line);
    shown_ = line;
  }
  void clear() {
    if (!shown_.empty()) write_err("\r\033[K");
    shown_.clear();
  }
  // The terminal may have rewrapped it.
  void forget() { shown_.clear(); }

 private:
  std::string shown_;
};

// The account as it is after a sign-in, with its notes; `ending` stands between.
std::string signed_in_words(const AccountStatus& status, const std::string& ending) {
  std::string words = one_line(status, SystemClock().wall()) + "\n" + ending;
  for (const std::string& note : status.notes)
    words += "  " + note + "\n";
  return words;
}

// The daemon's words with a full stop, to be followed by ours.
std::string sentence(std::string words) {
  if (!words.ends_with('.')) words += '.';
  return words;
}

WipedString answer_body(const std::string& address) {
  constexpr std::size_t kEscaped = 6;  // a byte becomes six at most
  WipedString body;
  body.text().reserve(address.size() * kEscaped + 32);
  body.text() += "{\"redirect_url\":";
  append_json_string(body.text(), address);
  body.text() += "}";
  return body;
}

class Session {
 public:
  Session(const LoginCommand& command, Context& context)
      : command_(command), context_(context), view_(look_at_stderr()), terminal_(view_.moves) {}

  Outcome<ExitCode> run(const Request& request);

 private:
  Outcome<std::optional<Response>> begin(const Request& request);
  Outcome<void> introduce();
  void open_browser(BrowserRoad& road);
  Outcome<ExitCode> follow();
  Outcome<void> step();
  Outcome<void> ask();
  Outcome<void> take_answer();
  Outcome<void> lose(Failure reason);
  Outcome<void> see(std::string_view body);
  void take_signals();
  void stop_here();
  void take_typed();
  void send_typed();
  void draw();
  void say(const std::string& sentence);
  Outcome<ExitCode> cancel();
  Outcome<ExitCode> end();
  Outcome<ExitCode> show_status(const std::string& ending);

  bool is_over() const {
    return login_.phase == ipc::kPhaseDone || login_.phase == ipc::kPhaseFailed || login_.phase == ipc::kPhaseCancelled;
  }
  bool takes_address() const { return !command_.json && login_.method == ipc::kLoginBrowser && view_.terminal; }
  std::string target(std::string_view ending = {}) const {
    return std::string(ipc::kLoginsPath).append("/").append(login_.id).append(ending);
  }

  const LoginCommand& command_;
  Context& context_;
  View view_;
  HiddenTerminal terminal_;
  Signals endings_{SIGINT, SIGTERM, SIGHUP, SIGQUIT};
  Signals others_{SIGTSTP, SIGWINCH, SIGCHLD};
  ProgressLine progress_;
  TypedAddress typed_;
  BrowserLauncher browser_{{}};
  LoginView login_;
  Deadline ends_{};
  std::optional<Exchange> exchange_;
  Deadline asked_at_{};
  Deadline next_ask_{};
  std::optional<Deadline> lost_at_;
  bool given_up_ = false;
};

// --- the beginning ------------------------------------------------------------------------------------------------

// Nothing: the person gave up before there was an answer.
Outcome<std::optional<Response>> Session::begin(const Request& request) {
  CREDSYNC_LET(exchange, context_.client.begin(request));
  Deadline deadline = exchange.deadline();
  while (true) {
    CREDSYNC_LET(response, exchange.read());
    if (response) return std::move(response);
    const auto left = std::chrono::ceil<milliseconds>(deadline - after(milliseconds(0)));
    if (left.count() <= 0) {
      if (given_up_) return std::optional<Response>();
      return Failure{ExitCode::kUnreachable, "credsyncd does not answer", "credsync doctor", {}};
    }
    std::array<pollfd, 2> polled{{{exchange.fd(), POLLIN, 0}, {endings_.fd(), POLLIN, 0}}};
    if (::poll(polled.data(), polled.size(), static_cast<int>(left.count())) <= 0) continue;
    if (endings_.next()) {
      if (given_up_) return std::optional<Response>();  // twice: at once
      given_up_ = true;
      deadline = std::min(deadline, after(kLongestCancel));
    }
  }
}

Outcome<ExitCode> Session::run(const Request& request) {
  CREDSYNC_LET(response, begin(request));
  if (!response) {
    return failed("given up; if the daemon began a sign-in, it ends by itself in a few minutes");
  }
  // 200: the grant needed nobody.
  if (response->status != 201) return show_signed_in(command_, response->body.text());
  CREDSYNC_TRY(see(response->body.text()));
  if (given_up_) return cancel();
  CREDSYNC_TRY(introduce());
  return follow();
}

Outcome<void> Session::introduce() {
  if (command_.json) return {};
  std::string words = introduction(login_, view_);
  if (login_.method == ipc::kLoginDevice) {
    QrDrawing qr{{}, "credsync-qr is not there"};
    if (!login_.verification_uri_complete.empty()) {
      const auto matrix = make_qr(login_.verification_uri_complete);
      if (matrix) qr = render_qr(*matrix, view_);
    }
    words += device_words(login_, qr, view_);
  } else {
    if (login_.url.empty()) return failed("the daemon gave no address that can be opened");
    if (takes_address()) terminal_.acquire();
    BrowserRoad road;
    road.can_paste = takes_address() && terminal_.exists();
    open_browser(road);
    words += browser_words(login_, road, view_);
  }
  write_err(words);
  return {};
}

void Session::open_browser(BrowserRoad& road) {
  if (command_.no_browser || command_.device) return;
  const BrowserSurroundings around = look_around();
  if (around.by_sudo) {
    road.why_not = "No browser is opened for another user: open the address as the person who called sudo.";
    return;
  }
  browser_ = BrowserLauncher(browser_commands(around, login_.url));
  road.opened = browser_.start();
  if (!road.opened && !around.browser.empty()) road.why_not = "No browser of $BROWSER could be started.";
}

// --- following it ---------------------------------------------------------------------------------------------------

Outcome<void> Session::see(std::string_view body) {
  CREDSYNC_LET(login, parse_login(body));
  if (!login_.id.empty() && login.id != login_.id) return failed("the daemon answered for another sign-in");
  const bool first = login_.id.empty();
  login_ = std::move(login);
  ends_ = after(seconds(std::clamp<std::int64_t>(login_.expires_in, 0, 24 * 3600)));
  if (!command_.json || !(first || is_over())) return {};
  CREDSYNC_LET(line, compact_json(body));
  return write_out(line + "\n");
}

Outcome<void> Session::ask() {
  Request request;
  request.target = target("?wait=" + std::to_string(kHold.count()));
  request.timeout = kHold + kMargin;
  asked_at_ = after(milliseconds(0));
  auto exchange = context_.client.begin(request);
  if (!exchange) return lose(std::move(exchange).error());
  exchange_.emplace(std::move(*exchange));
  return {};
}

// A lost connection may be a restart of the daemon, which ends its sessions; what it says then tells.
Outcome<void> Session::lose(Failure reason) {
  exchange_.reset();
  const Deadline now = after(milliseconds(0));
  next_ask_ = now + kBetweenTicks;
  if (reason.exit == ExitCode::kTemporary) return {};  // busy: only later
  if (reason.exit == ExitCode::kUnreachable) {
    if (!lost_at_) {
      lost_at_ = now;
      say("credsyncd went away; trying to reach it again.");
    }
    if (now - *lost_at_ < kLongestAway) return {};
    reason.message = "credsyncd went away, which ended the sign-in of " + login_.account + ": " + reason.message;
    return reason;
  }
  if (reason.exit == ExitCode::kNotAllowed) {
    const std::string why = lost_at_ ? "credsyncd was restarted" : "credsyncd no longer knows it";
    return Failure{ExitCode::kFailed,
                   "the sign-in of " + login_.account + " has ended: " + why,
                   "credsync login " + login_.account,
                   {"If the browser said that it is done, it is: `credsync status " + login_.account + "` tells."}};
  }
  reason.message = "the sign-in of " + login_.account + " has ended: " + reason.message;
  return reason;  // 410: expired, replaced or stopped, in the daemon's words
}

Outcome<void> Session::take_answer() {
  auto response = exchange_->read();
  if (!response) return lose(std::move(response).error());
  if (!*response) {
    if (after(milliseconds(0)) < exchange_->deadline()) return {};
    return lose({ExitCode::kUnreachable, "it does not answer", "credsync doctor", {}});
  }
  exchange_.reset();
  lost_at_.reset();
  // An answer that was not held at all must not make us ask in a circle.
  next_ask_ = std::max(after(milliseconds(0)), asked_at_ + kBetweenTicks);
  return see((*response)->body.text());
}

void Session::stop_here() {
  progress_.clear();
  terminal_.release();
  ::kill(::getpid(), SIGSTOP);
  if (takes_address()) terminal_.acquire();
}

void Session::take_signals() {
  if (endings_.next()) given_up_ = true;
  while (const auto number = others_.next()) {
    if (*number == SIGTSTP) {
      stop_here();
    } else if (*number == SIGCHLD) {
      if (!browser_.on_child()) say("No browser opened here: open the address above yourself.");
    } else {
      view_ = look_at_stderr();
      progress_.forget();
    }
  }
}

void Session::take_typed() {
  std::array<char, 4096> bytes;
  const long got = terminal_.read(bytes.data(), bytes.size());
  if (got < 0) given_up_ = true;  // the terminal is gone, and so is the person
  for (long i = 0; i < got && !is_over(); ++i) {
    const TypedAddress::Step step = typed_.feed(bytes[static_cast<std::size_t>(i)]);
    if (step == TypedAddress::Step::kTooLong) {
      typed_.clear();
      say("That is too long for an address; it was left out.");
    } else if (step == TypedAddress::Step::kEntered) {
      send_typed();
      typed_.clear();
    }
  }
  wipe(bytes.data(), bytes.size());
}

void Session::send_typed() {
  if (typed_.size() == 0 || login_.phase != ipc::kPhaseWaiting) return;
  Request request;
  request.method = "POST";
  request.target = target(ipc::kLoginAnswer);
  request.body = answer_body(typed_.text());
  const auto response = context_.client.call(request);
  if (!response) {
    say(sentence(response.error().message) + " Still waiting: paste the address that the browser ends at.");
  } else if (const auto seen = see(response->body.text()); !seen) {
    say(seen.error().message);
  }
}

void Session::say(const std::string& sentence) {
  progress_.clear();
  if (!command_.json) write_err(paragraph(sentence, view_));
}

void Session::draw() {
  if (command_.json || !view_.moves) return;
  const auto left = std::chrono::ceil<seconds>(ends_ - after(milliseconds(0))).count();
  progress_.show(progress_line(login_, std::max<std::int64_t>(left, 0), typed_.size(), view_));
}

Outcome<void> Session::step() {
  if (takes_address()) terminal_.acquire();
  if (!exchange_ && after(milliseconds(0)) >= next_ask_) CREDSYNC_TRY(ask());
  draw();
  std::array<pollfd, 4> polled{{{exchange_ ? exchange_->fd() : -1, POLLIN, 0},
                                {terminal_.fd(), POLLIN, 0},
                                {endings_.fd(), POLLIN, 0},
                                {others_.fd(), POLLIN, 0}}};
  const int ready = ::poll(polled.data(), polled.size(), static_cast<int>(kBetweenTicks.count()));
  if (ready < 0 && errno != EINTR) return failed(std::string("poll: ") + ::strerror(errno));
  take_signals();
  if (polled[1].revents != 0) take_typed();
  if (exchange_ && !is_over()) return take_answer();
  return {};
}

Outcome<ExitCode> Session::follow() {
  while (!is_over()) {
    const auto stepped = step();
    if (given_up_ && !is_over()) return cancel();
    if (!stepped) {
      progress_.clear();
      return stepped.error();
    }
  }
  return end();
}

// --- the end --------------------------------------------------------------------------------------------------------

Outcome<ExitCode> Session::cancel() {
  progress_.clear();
  exchange_.reset();
  Request request;
  request.method = "DELETE";
  request.target = target();
  request.timeout = kLongestCancel;
  const auto response = context_.client.call(request);
  if (!response) {
    return Failure{ExitCode::kFailed,
                   "the sign-in of " + login_.account + " could not be cancelled: " + response.error().message,
                   {},
                   {"It ends by itself in a few minutes."}};
  }
  CREDSYNC_TRY(see(response->body.text()));
  return end();  // it may have been done at the last moment
}

// The sign-in is done, whatever becomes of asking how the account is now.
Outcome<ExitCode> Session::show_status(const std::string& ending) {
  Request request;
  request.target = account_target(login_.account, "");
  const auto response = context_.client.call(request);
  const auto status = response ? parse_status(response->body.text()) : Outcome<AccountStatus>(response.error());
  const std::string plain =
      login_.account + ": signed in (generation " + std::to_string(login_.generation) + ")\n" + ending;
  CREDSYNC_TRY(write_out(status ? signed_in_words(*status, ending) : plain));
  return ExitCode::kDone;
}

Outcome<ExitCode> Session::end() {
  progress_.clear();
  terminal_.release();
  if (login_.phase != ipc::kPhaseDone) return login_failure(login_);
  if (command_.json) return ExitCode::kDone;
  return show_status(ending_words(login_, look_at_stdout()));
}

}  // namespace

Outcome<ExitCode> show_signed_in(const LoginCommand& command, std::string_view body) {
  CREDSYNC_LET(status, parse_status(body));
  if (command.json) {
    CREDSYNC_LET(json, compact_json(body));
    CREDSYNC_TRY(write_out(json + "\n"));
  } else {
    CREDSYNC_TRY(write_out(signed_in_words(status, {})));
  }
  return ExitCode::kDone;
}

Outcome<ExitCode> sign_in_interactively(const LoginCommand& command, Context& context, const Request& request) {
  return Session(command, context).run(request);
}

}  // namespace credsync::cli
