// Why a command of `credsync` ends early: words for people, the command that may mend it, and the exit code
// that says the same to a script. The words are safe for a terminal: foreign text in them went through
// base/text.h.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "ipc/names.h"

namespace credsync::cli {

using ipc::ExitCode;

struct Failure {
  ExitCode exit = ExitCode::kFailed;
  std::string message;               // one line, no full stop needed
  std::string command;               // what to try, empty when there is nothing
  std::vector<std::string> details;  // further lines, such as each problem of a configuration
  // The daemon is away or going, and has done nothing of what was asked: it may be asked again after that.
  std::optional<std::chrono::milliseconds> ask_again{};
};

inline Failure failed(std::string message) {
  return {ExitCode::kFailed, std::move(message), {}, {}, {}};
}
inline Failure misused(std::string message) {
  return {ExitCode::kUsage, std::move(message), {}, {}, {}};
}

// A value or a Failure. As Result<T> of base, but with the exit code that only a command has.
template <typename T>
class [[nodiscard]] Outcome : public tl::expected<T, Failure> {
 public:
  using tl::expected<T, Failure>::expected;
  Outcome() = default;
  Outcome(Failure failure) : tl::expected<T, Failure>(tl::unexpect, std::move(failure)) {}
};

}  // namespace credsync::cli

// Leaves the function with the failure of `expression`, else `name` is its value.
#define CREDSYNC_LET(name, expression)                           \
  auto name##_outcome = (expression);                            \
  if (!name##_outcome) return std::move(name##_outcome).error(); \
  auto& name = *name##_outcome
