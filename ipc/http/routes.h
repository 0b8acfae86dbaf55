// Which operation a request asks for: the table of paths, and the strict reading of parameters and bodies.
// Pure.
#pragma once

#include <span>
#include <string_view>
#include <variant>

#include "ipc/http/call.h"
#include "ipc/http/request.h"

namespace credsync::ipc::http {

// Where the path holds a name, `pattern` has "{}".
struct Route {
  std::string_view pattern;
  std::string_view method;
  Operation operation;
};
std::span<const Route> routes();

// The longest `min_valid`: no provider gives an access token that lives longer than a year for certain.
inline constexpr std::int64_t kLongestMinValid = 365LL * 86400;

std::variant<Call, Refusal> understand(const Request& request);

// The one answer for an account that does not exist, that the caller may not know of, or whose name cannot be
// one.
Problem no_such_account();

}  // namespace credsync::ipc::http
