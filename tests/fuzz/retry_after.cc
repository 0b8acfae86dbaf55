// Retry-After, rate-limit and Date headers (RFC 9110, 10.2.3 and 5.6.7): no header makes us wait longer than an hour, none
// moves a token's end beyond what we compute with.
#include "daemon/oauth/lifetime.h"
#include "daemon/oauth/rate_limit.h"
#include "daemon/oauth/token_answer.h"
#include "tests/fuzz/answers.h"

using namespace credsync;
using namespace credsync::fuzz;

void run(Input input) {
  const Asking asking = read_asking(input);
  const oauth::HttpResponse response = read_response(input);
  const provider::Limits& limits = asking.profile.limits;
  const auto wait = oauth::retry_after(response, limits);
  HOLDS(!wait || (*wait >= Duration::zero() && *wait <= oauth::kMaxRetryAfter));
  HOLDS(!oauth::limit_used_up(response, limits) || !limits.remaining.empty());
  for (const WallTime theirs : {WallTime{}, kSent, kSent + 1h, kWallMax}) {
    const WallTime ours = oauth::to_our_clock(theirs, response);
    HOLDS(ours >= WallTime{} && ours <= kWallMax);
  }
  // What is written in the one form that servers must use reads back as the same moment.
  const auto date = parse_http_date(response.header("Date"));
  if (date && *date >= WallTime{} && *date <= kWallMax) {
    const auto again = oauth::parse_rfc3339(to_rfc3339(*date));
    HOLDS(again && unix_seconds(*again) == unix_seconds(*date));
  }
}
