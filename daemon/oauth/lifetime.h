// When the tokens of an answer end. Pure; numbers from outside may be anything and never overflow.
#pragma once

#include <optional>
#include <string_view>

#include "base/time.h"
#include "daemon/oauth/http.h"
#include "daemon/oauth/json_value.h"
#include "daemon/provider/profile.h"

namespace credsync::oauth {

// Seconds as a duration, cut to what WallTime computes with.
Duration to_duration(double seconds);

// The payload of a JWT, unverified; nothing if it is not one.
std::optional<JsonValue> jwt_payload(std::string_view token);

// RFC 3339, with fractions and offsets; nothing without an offset or Z.
std::optional<WallTime> parse_rfc3339(std::string_view text);

// A moment told by the provider's clock, on ours. The Date header tells the difference to within the exchange
// and a second, and the earliest moment it may mean is taken: never too late. A clock that is ahead by less than
// an answer took looks like a right one. Without Date the clocks are taken to agree.
WallTime to_our_clock(WallTime theirs, const HttpResponse& response);

// The access token's end by the first source that tells (design section 6): expires_in, a declared field, the
// token's own `exp`, the profile's default. `answer` is the whole body, `object` the token object in it.
std::optional<WallTime> access_token_end(const provider::Profile& profile, const HttpResponse& response,
                                         const JsonValue& answer, const JsonValue& object,
                                         std::string_view access_token);
std::optional<WallTime> refresh_token_end(const provider::Profile& profile, const HttpResponse& response,
                                          const JsonValue& object);

// The value of a standard field in the token object, under the profile's name for it; null if missing or
// null.
const JsonValue* find_field(const provider::Answer& answer, const JsonValue& object, std::string_view name);

}  // namespace credsync::oauth
