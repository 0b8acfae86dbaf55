// Variables of the environment.
#pragma once

#include <cstdlib>
#include <string>

namespace credsync::cli {

// Empty when it is not set, too: no variable of ours or of the desktop's says something by being empty.
inline std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

}  // namespace credsync::cli
