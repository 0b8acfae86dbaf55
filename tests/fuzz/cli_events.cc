// Server-sent events (HTML standard, 9.2) from bytes as they come: the same whatever the pieces, none longer than the bound.
//
//   eight bytes that say how it is cut
//   the stream
#include "cli/event_reader.h"

#include "tests/fuzz/fuzz.h"

using namespace credsync;
using namespace credsync::fuzz;

namespace {

constexpr std::size_t kMostEvent = 64 * 1024;

struct Seen {
  bool failed = false;
  std::vector<std::pair<std::string, std::string>> events;
  friend bool operator==(const Seen&, const Seen&) = default;
};

Seen read(std::string_view text, std::uint64_t how) {
  cli::EventReader reader;
  Seen seen;
  in_pieces(text, how, [&](std::string_view piece) {
    auto events = reader.feed(piece);
    seen.failed = !events;
    if (seen.failed) return false;
    for (cli::Event& event : *events)
      seen.events.emplace_back(std::move(event.name), std::move(event.data));
    return true;
  });
  return seen;
}

}  // namespace

void run(Input input) {
  const std::uint64_t how = input.number();
  const std::string text = with_repeats(input.rest(), 4 * kMostEvent);
  const Seen whole = read(text, kWhole);
  const Seen pieces = read(text, how);
  HOLDS(whole.failed == pieces.failed);
  if (!whole.failed) HOLDS(whole == pieces);
  for (const auto& [name, data] : whole.events) {
    HOLDS(!data.empty());
    HOLDS(name.size() + data.size() <= kMostEvent);
    HOLDS(name.find('\n') == name.npos);
  }
}
