// What `status --watch` shows: a board that is redrawn on a terminal, or a line an event elsewhere.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/arguments.h"
#include "cli/daemon_client.h"
#include "cli/event_reader.h"
#include "cli/failure.h"

namespace credsync::cli {

class WatchDisplay {
 public:
  virtual ~WatchDisplay() = default;

  // Events came; also called without any when the stream has just been opened.
  virtual Outcome<void> on_events(const std::vector<Event>& events) = 0;
  // The daemon went away, for this reason.
  virtual Outcome<void> on_lost(const std::string& reason) = 0;
  // Does what is due (redraws, asks the daemon) and says how long until something is again; negative: nothing
  // is.
  virtual Outcome<std::chrono::milliseconds> tick() = 0;
  // The terminal changed its size.
  virtual void on_resize() {}
  // Gives the terminal back while the process is stopped, and takes it again.
  virtual void suspend() {}
  virtual void resume() {}
};

std::unique_ptr<WatchDisplay> make_board(const StatusCommand& command, const DaemonClient& client);
std::unique_ptr<WatchDisplay> make_event_lines(bool json);

}  // namespace credsync::cli
