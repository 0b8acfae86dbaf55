// Result<T>: a value or an Error, and a warning for whoever ignores it. Result<void> is a step that may fail.
#pragma once

#include <tl/expected.hpp>

#include "base/error.h"

namespace credsync {

template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
  // An Error converts by itself: `return denied("…");`
  Result(Error error) : tl::expected<T, Error>(tl::unexpect, std::move(error)) {}
};

}  // namespace credsync

// and_then and its like ask tl whether a type is an expected; a derived class must say so itself.
namespace tl::detail {
template <typename T>
struct is_expected_impl<credsync::Result<T>> : std::true_type {};
}  // namespace tl::detail

// Leaves the function with the error of `expression`, else goes on.
#define CREDSYNC_TRY(expression)                             \
  do {                                                       \
    if (auto credsync_try_ = (expression); !credsync_try_) { \
      return std::move(credsync_try_).error();               \
    }                                                        \
  } while (false)
