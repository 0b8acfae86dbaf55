// The answer that begins a device sign-in (RFC 8628, 3.2). Pure; every input is hostile.
#pragma once

#include <string>
#include <variant>

#include "base/secret.h"
#include "base/time.h"
#include "daemon/oauth/token_answer.h"

namespace credsync::oauth {

struct DeviceAnswer {
  Secret device_code;
  std::string user_code, verification_uri, verification_uri_complete;  // cleaned; addresses are http(s)
  Duration expires_in{0};                                              // bounded: 30 s to 1 h
  Duration interval{5s};                                               // bounded: 1 s to 60 s
};

// The codes, or why there are none. `verification_url`, as Google's older answers say, is taken too.
std::variant<DeviceAnswer, Failure> read_device_answer(const provider::Profile& profile, const HttpResponse& response,
                                                       const Asked& asked);

}  // namespace credsync::oauth
