#include "cli/event_reader.h"

#include <utility>

namespace credsync::cli {
namespace {
// An event is an account's name, a state and three numbers: under 400 bytes.
constexpr std::size_t kMaxEvent = 64 * 1024;

Failure too_long() {
  return failed("an event from the daemon is too long");
}
}  // namespace

Outcome<std::vector<Event>> EventReader::feed(std::string_view bytes) {
  std::vector<Event> events;
  buffer_.append(bytes);
  std::size_t at = 0;
  for (std::size_t end = buffer_.find('\n'); end != std::string::npos; end = buffer_.find('\n', at)) {
    if (held() + (end - at) > kMaxEvent) return too_long();
    std::string_view line = std::string_view(buffer_).substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    take_line(line, events);
    at = end + 1;
  }
  buffer_.erase(0, at);
  if (held() + buffer_.size() > kMaxEvent) return too_long();
  return events;
}

void EventReader::take_line(std::string_view line, std::vector<Event>& events) {
  if (line.empty()) {
    if (!event_.data.empty()) events.push_back(std::move(event_));
    event_ = {};
    return;
  }
  const std::size_t colon = line.find(':');
  const std::string_view field = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "event") {
    event_.name = value;
  } else if (field == "data") {
    if (!event_.data.empty()) event_.data += '\n';
    event_.data += value;
  }
}

}  // namespace credsync::cli
