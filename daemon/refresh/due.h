// How an account can get a new token, and when it should. Pure: the account and two clocks in, a way or a moment out.
#pragma once

#include <optional>
#include <string_view>

#include "base/time.h"
#include "daemon/account/account.h"

namespace credsync::refresh {

// Which input would bring a new token. kNone: only a person can.
enum class Way { kNone, kRefreshToken, kAccessToken, kClientCredentials, kPassword };

// `ordered`: a person asks, who may also try what failed for good.
Way way_for(const account::Account& account, bool ordered);

// Its way is a refresh token that its provider may replace at each use: one that was replaced must not be sent again.
bool sends_rotating_token(const account::Account& account);

// The code of a trouble: the provider refused the password. It is never tried again by itself, so that no restart loop
// locks a user out.
constexpr std::string_view kPasswordRefused = "password_refused";

// When the next attempt should be. Nothing: not by itself.
std::optional<BootTime> due(const account::Account& account, WallTime wall, BootTime now);

}  // namespace credsync::refresh
