// Answers of providers from bytes as they come (RFC 9112): the same whatever the pieces, bounded, and of two ways of saying
// a length none.
//
//   MF               the method, whether the stream ends after it
//   eight bytes that say how it is cut
//   the answer
#include "daemon/oauth/response_reader.h"

#include <optional>

#include "daemon/oauth/transport.h"
#include "tests/fuzz/fuzz.h"

using namespace credsync;
using namespace credsync::fuzz;

namespace {

struct Seen {
  std::optional<oauth::TransportFault> fault;
  std::string words;
  bool done = false, keeps_alive = false, leftover = false, begun = false;
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  friend bool operator==(const Seen&, const Seen&) = default;
};

Seen read(std::string_view method, std::string_view text, bool ends, std::uint64_t how) {
  oauth::ResponseReader reader(method);
  Seen seen;
  const auto keep = [&](const oauth::Outcome<void>& step) {
    if (step) return true;
    seen.fault = step.error().fault;
    seen.words = step.error().words;
    return false;
  };
  in_pieces(text, how, [&](std::string_view piece) { return keep(reader.feed(piece)); });
  if (!seen.fault && ends) keep(reader.end_of_stream());
  seen.begun = reader.begun();
  seen.done = reader.done() && !seen.fault;
  if (!seen.done) return seen;
  seen.keeps_alive = reader.keeps_alive();
  seen.leftover = reader.has_leftover();
  oauth::HttpResponse response = reader.take();
  seen.status = response.status;
  for (const oauth::Header& header : response.headers)
    seen.headers.emplace_back(header.name, header.value);
  seen.body = response.body.text();
  return seen;
}

}  // namespace

void run(Input input) {
  constexpr std::string_view kMethods[] = {"POST", "GET", "HEAD", "CONNECT"};
  const std::string_view method = kMethods[input.choice(std::size(kMethods))];
  const bool ends = input.flag();
  const std::uint64_t how = input.number();
  const std::string text = with_repeats(input.rest(), 700 * 1024);
  const Seen whole = read(method, text, ends, kWhole);
  HOLDS(whole == read(method, text, ends, how));
  if (text.size() < 4096) HOLDS(whole == read(method, text, ends, 0));
  HOLDS(is_fit_to_show(whole.words));
  if (!whole.done) return;
  HOLDS(whole.status >= 200 && whole.status <= 599);
  HOLDS(whole.body.size() <= oauth::kMaxAnswerBytes);
  HOLDS(whole.headers.size() <= oauth::kMaxHeaderFields);
  for (const auto& [name, value] : whole.headers)
    HOLDS(oauth::is_header_name(name) && oauth::is_header_value(value));
  HOLDS(!whole.keeps_alive || !whole.leftover);
  HOLDS((method != "HEAD" && method != "CONNECT") || whole.body.empty());
}
