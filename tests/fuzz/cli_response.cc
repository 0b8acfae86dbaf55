// The daemon's answers as the command reads them from bytes as they come (RFC 9112): the same whatever the pieces, bounded.
//
//   E                does the stream end after it
//   eight bytes that say how it is cut
//   the answer
#include "cli/http_response.h"

#include "tests/fuzz/fuzz.h"

using namespace credsync;
using namespace credsync::fuzz;

namespace {

constexpr std::size_t kMostBody = 2000;

struct Seen {
  bool failed = false, complete = false, has_head = false;
  std::string why, type, body;
  int status = 0;
  friend bool operator==(const Seen&, const Seen&) = default;
};

Seen read(std::string_view text, bool ends, std::uint64_t how) {
  cli::ResponseReader reader(kMostBody);
  Seen seen;
  const auto keep = [&](const cli::Outcome<void>& step) {
    if (!step) {
      seen.failed = true;
      seen.why = step.error().message;
    }
    return !seen.failed;
  };
  in_pieces(text, how, [&](std::string_view piece) { return keep(reader.feed(piece)); });
  if (!seen.failed && ends) keep(reader.end());
  if (seen.failed) return seen;
  seen.complete = reader.complete();
  seen.has_head = reader.has_head();
  if (!seen.has_head) return seen;
  seen.status = reader.status();
  seen.type = reader.header("content-type");
  seen.body = reader.take_body();
  return seen;
}

}  // namespace

void run(Input input) {
  const bool ends = input.flag();
  const std::uint64_t how = input.number();
  const std::string text = with_repeats(input.rest(), 40 * 1024);
  const Seen whole = read(text, ends, kWhole);
  const Seen pieces = read(text, ends, how);
  // Which of two faults is met first may depend on the pieces.
  HOLDS(whole.failed == pieces.failed);
  if (whole.failed) {
    HOLDS(is_fit_to_show(whole.why));
    return;
  }
  HOLDS(whole == pieces);
  HOLDS(!ends || whole.complete);
  HOLDS(whole.body.size() <= kMostBody);
  HOLDS(!whole.has_head || (whole.status >= 200 && whole.status <= 599));
}
