// The options that methods take as a{sv}, read strictly: an unknown name, a wrong type or a value out of its range is an
// error in plain words. Pure.
#pragma once

#include "base/result.h"
#include "ipc/dbus/message.h"
#include "ipc/service.h"

namespace credsync::ipc::dbus {

struct TokenOptions {
  Duration min_valid{0};
  Duration wait{0};
};
// min_valid: seconds, at most a year; wait: seconds, at most 20, 10 unless given. Every kind of integer will do.
Result<TokenOptions> read_token_options(const std::vector<Option>& options);

// wait: seconds, at most 20, 10 unless given.
Result<Duration> read_wait_option(const std::vector<Option>& options);

// method: one of names.h, auto unless given; secret: a string that is not empty; username; browser_uid; replace_identity.
// The secret is moved out of `options`.
Result<LoginRequest> read_login_options(std::vector<Option>& options);

}  // namespace credsync::ipc::dbus
