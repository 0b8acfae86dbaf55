// Request targets (RFC 9112, 3.2), their parameters, and moments in them (RFC 3339): one reading only, the same as the
// command's and the one of provider answers where all three know a form.
#include "ipc/http/target.h"

#include "base/encoding.h"
#include "cli/when.h"
#include "tests/fuzz/fuzz.h"

using namespace credsync;
using namespace credsync::fuzz;

namespace {

void check_target(std::string_view text) {
  const auto target = ipc::http::parse_target(text);
  if (!target) {
    HOLDS(is_fit_to_show(target.error().message()));
    return;
  }
  HOLDS(target->path.starts_with('/'));
  HOLDS(target->query.size() <= ipc::http::kMostParameters);
  std::string written = target->path;
  char mark = '?';
  for (const auto& [name, value] : target->query) {
    HOLDS(!name.empty() && name.find('\0') == name.npos && value.find('\0') == value.npos);
    written += mark + encode_percent(name) + "=" + encode_percent(value);
    mark = '&';
  }
  const auto again = ipc::http::parse_target(written);
  HOLDS(again && again->path == target->path && again->query == target->query);
}

void check_moment(std::string_view text) {
  const auto moment = ipc::http::parse_moment(text);
  HOLDS(!moment || (*moment >= WallTime{} && *moment <= kWallMax));
  const auto whole = ipc::http::parse_whole(text, 1000);
  HOLDS(!whole || *whole <= 1000);
  const auto command = cli::parse_rfc3339(text);
  if (!command) return;
  // Whatever the command takes it can send, and the daemon reads it as the command meant it.
  HOLDS(*command >= WallTime{} && *command <= kWallMax);
  HOLDS(moment && *moment == *command);
  const auto sent = ipc::http::parse_moment(to_rfc3339(*command));
  HOLDS(sent && *sent == *command);
}

}  // namespace

void run(Input input) {
  const std::string text(input.rest());
  check_target(text);
  check_moment(text);
  const auto segment = ipc::http::decode_segment(text);
  HOLDS(!segment || !text.empty());
  HOLDS(!segment || segment->size() <= text.size());
}
