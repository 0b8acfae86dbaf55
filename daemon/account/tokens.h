// One generation of an account: the tokens and what is known of their ends. Plain values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "base/time.h"

namespace credsync::account {

using Generation = std::uint64_t;  // 0: there never was one

struct TokenSet {
  Secret access_token;
  Secret refresh_token;  // empty: none
  Secret id_token;       // empty: none
  std::string token_type = "Bearer";
  std::vector<std::string> scope;              // granted; as asked when the answer did not say
  WallTime obtained_at;                        // when the request was SENT: lifetimes count from here
  std::optional<WallTime> expires_at;          // unset: unknown
  std::optional<Duration> refresh_in;          // the answer's own advice
  std::optional<WallTime> refresh_expires_at;  // the refresh token's known end
  double jitter = 0;                           // 0 to 0.2 of the margin, drawn once per token
  std::map<std::string, std::string> extra;    // kept fields of answer and callback; may be delicate, stored sealed
  std::string subject;                         // who it is for, where the answer says (sub, user); stored sealed

  std::optional<Duration> lifetime() const {
    return expires_at ? std::optional<Duration>(*expires_at - obtained_at) : std::nullopt;
  }
  TokenSet clone() const;
};

}  // namespace credsync::account
