// The enums of the configuration as the words that TOML uses. Found through provider/names.h's to_name and
// from_name.
#pragma once

#include "daemon/config/config.h"
#include "daemon/provider/names.h"

namespace credsync::config {

std::span<const provider::Named<RefreshMode>> names_of(RefreshMode);
std::span<const provider::Named<RevokeSuperseded>> names_of(RevokeSuperseded);
std::span<const provider::Named<Action>> names_of(Action);

}  // namespace credsync::config
