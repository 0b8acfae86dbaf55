// A process that shows what a test says, and counts who looks.
#pragma once

#include <optional>
#include <string>

#include "ipc/process.h"

namespace credsync::fakes {

class FakeProcess final : public ipc::Process {
 public:
  std::optional<std::string> unit_name, exe_path;  // unset: not established
  mutable int units_read = 0, exes_read = 0;

  Result<std::string> unit() const override {
    ++units_read;
    if (!unit_name) return not_found("no unit is established");
    return *unit_name;
  }
  std::optional<std::string_view> unit_seen() const override {
    if (units_read == 0) return std::nullopt;
    return unit_name ? std::string_view(*unit_name) : std::string_view();
  }
  bool alive() const override { return true; }
  Result<std::string> exe() const override {
    ++exes_read;
    if (!exe_path) return not_found("no executable is established");
    return *exe_path;
  }
};

}  // namespace credsync::fakes
