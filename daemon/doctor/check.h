// How the parts of an examination say what they found: ok, or what is wrong and the command that helps.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ipc/service.h"

namespace credsync::doctor {

using ipc::Check;
using Checks = std::vector<Check>;

inline Check fine(std::string name, std::string detail) {
  return {std::move(name), "ok", std::move(detail), ""};
}
inline Check warning(std::string name, std::string detail, std::string next_step) {
  return {std::move(name), "warning", std::move(detail), std::move(next_step)};
}
inline Check failed(std::string name, std::string detail, std::string next_step) {
  return {std::move(name), "failed", std::move(detail), std::move(next_step)};
}

// "one (and 3 more)"
inline std::string and_more(const std::string& first, std::size_t all) {
  return all > 1 ? first + " (and " + std::to_string(all - 1) + " more)" : first;
}

}  // namespace credsync::doctor
