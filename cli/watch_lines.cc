#include "base/text.h"
#include "cli/json.h"
#include "cli/terminal.h"
#include "cli/watch_display.h"
#include "cli/when.h"

namespace credsync::cli {
namespace {

// {"event":"state",…the event's data…}
Outcome<std::string> json_line(const Event& event) {
  CREDSYNC_LET(data, compact_json(event.data));
  if (!data.starts_with('{')) return failed("an event from the daemon is no JSON object");
  const std::string rest = data == "{}" ? "}" : "," + data.substr(1);
  return "{\"event\":" + json_string(clean_foreign_text(event.name)) + rest + "\n";
}

// 2026-01-31T12:00:00Z flat-me state ok generation 7 expires 2026-01-31T13:00:00Z
Outcome<std::string> text_line(const Event& event) {
  CREDSYNC_LET(change, parse_change(event.data));
  std::string line = to_rfc3339(SystemClock().wall()) + " " + change.account + " ";
  line += event.name == ipc::kEventState ? "state " + change.state : clean_foreign_text(event.name);
  if (change.generation != 0) line += " generation " + std::to_string(change.generation);
  if (change.expires_at) line += " expires " + to_rfc3339(*change.expires_at);
  return line + "\n";
}

class EventLines final : public WatchDisplay {
 public:
  explicit EventLines(bool json) : json_(json) {}

  Outcome<void> on_events(const std::vector<Event>& events) override {
    if (lost_) write_err("credsync: the daemon is back\n");
    lost_ = false;
    std::string out;
    for (const Event& event : events) {
      CREDSYNC_LET(line, json_ ? json_line(event) : text_line(event));
      out += line;
    }
    return write_out(out);
  }

  Outcome<void> on_lost(const std::string& reason) override {
    if (!lost_) write_err("credsync: " + reason + "; trying again\n");
    lost_ = true;
    return {};
  }

  Outcome<std::chrono::milliseconds> tick() override { return std::chrono::milliseconds(-1); }

 private:
  const bool json_;
  bool lost_ = false;
};

}  // namespace

std::unique_ptr<WatchDisplay> make_event_lines(bool json) {
  return std::make_unique<EventLines>(json);
}

}  // namespace credsync::cli
