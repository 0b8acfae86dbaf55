// Reads server-sent events (HTML standard, 9.2) from a decoded body as it comes. Pure and bounded.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/failure.h"

namespace credsync::cli {

struct Event {
  std::string name;
  std::string data;
};

class EventReader {
 public:
  // The events that these bytes complete. Comments (a daemon's heartbeat) and unknown fields are skipped.
  Outcome<std::vector<Event>> feed(std::string_view bytes);

 private:
  void take_line(std::string_view line, std::vector<Event>& events);
  // What the event that is being read holds already: with the next line it may not be longer than the bound.
  std::size_t held() const { return event_.name.size() + event_.data.size(); }

  std::string buffer_;
  Event event_;
};

}  // namespace credsync::cli
