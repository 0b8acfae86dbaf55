#include "base/stack.h"

#include <array>

#include "base/secret.h"

namespace credsync {
namespace {
constexpr std::size_t kDepth = 16 * 1024;
}

[[gnu::noinline]] void wipe_stack() {
  std::array<char, kDepth> below;
  wipe(below.data(), below.size());
}

}  // namespace credsync
