// Requests on our own sockets from bytes as they come (RFC 9112): the daemon's front door and the listener that a browser
// comes back to. The same requests whatever the pieces, bounded, and understood strictly.
//
//   L                small limits, or those of the daemon
//   eight bytes that say how it is cut
//   requests, one behind the other
#include "ipc/http/request_reader.h"

#include <variant>

#include "base/text.h"
#include "ipc/http/routes.h"
#include "tests/fuzz/fuzz.h"

using namespace credsync;
using namespace credsync::fuzz;
using ipc::http::RequestReader;

namespace {

struct Seen {
  std::string method, target, body, host, origin;
  bool http_1_1 = false, keep_alive = false, refused = false;
  std::string why;
  friend bool operator==(const Seen&, const Seen&) = default;
};

Seen copy_of(const ipc::http::Request& request) {
  return {std::string(request.method),
          std::string(request.target),
          std::string(request.body),
          std::string(request.host),
          std::string(request.origin),
          request.http_1_1,
          request.keep_alive,
          false,
          {}};
}

void check_understood(const ipc::http::Request& request) {
  const auto understood = ipc::http::understand(request);
  if (const auto* refusal = std::get_if<ipc::http::Refusal>(&understood)) {
    HOLDS(refusal->no_such_path || !refusal->problem.detail.empty());
    HOLDS(is_fit_to_show(refusal->problem.detail));
    HOLDS(!shows_canary(refusal->problem.detail));
    return;
  }
  using ipc::http::Operation;
  const auto& call = std::get<ipc::http::Call>(understood);
  HOLDS(call.min_valid >= Duration::zero() && call.min_valid <= std::chrono::seconds(ipc::http::kLongestMinValid));
  HOLDS(call.wait >= Duration::zero() && call.wait <= 60s);
  HOLDS(!call.pid || *call.pid > 0);
  HOLDS(!call.since || (*call.since >= WallTime{} && *call.since <= kWallMax));
  HOLDS(!call.login.browser_user || *call.login.browser_user != static_cast<uid_t>(-1));
  if (call.operation == Operation::kToken || call.operation == Operation::kSignOut) HOLDS(is_account_name(call.name));
  if (call.operation == Operation::kReject) HOLDS(call.rejected.generation || !call.rejected.access_token.empty());
  if (call.operation == Operation::kAnswerLogin) HOLDS(!call.redirect_url.empty());
}

// As a connection does: what the reader did not use is given again with what follows.
std::vector<Seen> read(std::string_view text, const ipc::http::ReaderLimits& limits, std::uint64_t how, bool check) {
  constexpr std::size_t kMostRequests = 64;
  std::vector<Seen> seen;
  RequestReader reader(limits);
  std::string waiting;
  in_pieces(text, how, [&](std::string_view piece) {
    waiting.append(piece);
    while (!waiting.empty()) {
      const std::size_t used = reader.feed(waiting);
      HOLDS(used <= waiting.size());
      waiting.erase(0, used);
      static_cast<void>(reader.take_expectation());
      if (reader.state() == RequestReader::State::kRefused) {
        seen.push_back(Seen{});
        seen.back().refused = true;
        seen.back().why = reader.refusal().detail;
        return false;
      }
      if (reader.state() == RequestReader::State::kPartial) {
        if (used == 0) break;
        continue;
      }
      seen.push_back(copy_of(reader.request()));
      if (check) check_understood(reader.request());
      reader.reset();
      if (seen.size() == kMostRequests) return false;
    }
    return true;
  });
  return seen;
}

}  // namespace

void run(Input input) {
  ipc::http::ReaderLimits limits;
  if (input.flag()) limits = {200, 300, 900};
  const std::uint64_t how = input.number();
  const std::string text = with_repeats(with_canaries(input.rest()), 2 * limits.request);
  const std::vector<Seen> whole = read(text, limits, kWhole, true);
  const std::vector<Seen> other = read(text, limits, how, false);
  // What is wrong may be told at once or only when its line is whole, and which of two faults may differ; what is taken is
  // the same, and nothing is taken in one way and refused in the other.
  const std::size_t both = std::min(whole.size(), other.size());
  for (std::size_t i = 0; i < both; ++i) {
    HOLDS(whole[i].refused == other[i].refused);
    if (!whole[i].refused) HOLDS(whole[i] == other[i]);
  }
  for (const std::vector<Seen>* longer : {&whole, &other})
    HOLDS(longer->size() == both || (longer->size() == both + 1 && longer->back().refused));
  for (const Seen& request : whole) {
    HOLDS(request.body.size() <= limits.body);
    HOLDS(request.method.size() + request.target.size() + request.host.size() <= limits.header);
    HOLDS(is_fit_to_show(request.why) && !shows_canary(request.why));
    for (const std::string* part : {&request.method, &request.target})
      HOLDS(part->find_first_of("\r\n \t") == part->npos && part->find('\0') == part->npos);
  }
}
