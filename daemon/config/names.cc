#include "daemon/config/names.h"

namespace credsync::config {

using provider::Named;

std::span<const Named<RefreshMode>> names_of(RefreshMode) {
  using enum RefreshMode;
  static constexpr Named<RefreshMode> kNames[] = {
      {kAhead, "ahead"}, {kOnDemand, "on-demand"}, {kWhileUsed, "while-used"}};
  return kNames;
}

std::span<const Named<RevokeSuperseded>> names_of(RevokeSuperseded) {
  using enum RevokeSuperseded;
  static constexpr Named<RevokeSuperseded> kNames[] = {{kAuto, "auto"}, {kAlways, "always"}, {kNever, "never"}};
  return kNames;
}

std::span<const Named<Action>> names_of(Action) {
  using enum Action;
  static constexpr Named<Action> kNames[] = {
      {kGet, "get"}, {kWatch, "watch"}, {kRefresh, "refresh"}, {kLogin, "login"}, {kAdmin, "admin"}};
  return kNames;
}

}  // namespace credsync::config
