// When an account will need a person, as far as that is known, and when to say so before it hurts. Pure. What ends is the
// refresh token, or the access token of an account that cannot refresh at all. Three warnings: 7 days, 1 day and 1 hour
// ahead, nearer where the whole life is short, each once.
#pragma once

#include <array>
#include <optional>

#include "daemon/account/account.h"

namespace credsync::refresh {

struct Outlook {
  WallTime end;
  // When to warn, in order; those that the tokens were born behind are left out (unset): they were given, or would cry wolf
  // with every refresh of a token whose life is always short.
  std::array<std::optional<WallTime>, 3> warnings;
  // From when on status speaks of it; unset: as soon as a warning is due.
  std::optional<WallTime> notice;
};

// `can_refresh`: the refresher has a way that needs nobody.
std::optional<Outlook> outlook_of(const account::Account& account, bool can_refresh);

// The latest warning that is due at `now` and lies after `given`.
std::optional<WallTime> due_warning(const Outlook& outlook, WallTime given, WallTime now);
// The first that lies after `now`.
std::optional<WallTime> next_warning(const Outlook& outlook, WallTime now);
// Whether people who ask now are told.
bool worth_a_note(const Outlook& outlook, WallTime now);

}  // namespace credsync::refresh
