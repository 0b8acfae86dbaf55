// CHECK is for programmers' mistakes only and is always on; input is never a programmer's mistake.
#pragma once

namespace credsync {
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}

#define CHECK(condition) \
  (static_cast<bool>(condition) ? static_cast<void>(0) : ::credsync::check_failed(#condition, __FILE__, __LINE__))
