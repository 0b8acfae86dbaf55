// Answers of a provider as inputs of a fuzz target:
//
//   PKSSS            a choice of profile and of request, the HTTP status
//   Name: value      headers, until an empty line
//
//   the body
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "daemon/oauth/failure.h"
#include "daemon/oauth/http.h"
#include "daemon/oauth/token_answer.h"
#include "daemon/provider/profile.h"
#include "tests/fuzz/fuzz.h"

namespace credsync::fuzz {

constexpr WallTime kSent = wall_from_seconds(1'800'000'000);  // Fri, 15 Jan 2027 08:00:00 GMT
constexpr WallTime kReceived = kSent + 200ms;

// Servers of many kinds: the RFCs' defaults, and each deviation that a profile can describe.
const std::vector<provider::Profile>& profiles();

struct Asking {
  const provider::Profile& profile;
  provider::RequestKind kind;
};
Asking read_asking(Input& input);
oauth::HttpResponse read_response(Input& input);
// The secrets of the request: the canaries.
const std::vector<std::string_view>& secrets();

// What holds for every failure: words that can be shown, no secret in them, bounded waits.
void check_failure(const oauth::Failure& failure);

}  // namespace credsync::fuzz
