// Answers of the service as D-Bus values, with the names of docs/http-api.yaml. Moments are microseconds since 1970,
// durations seconds; what is unknown or null there is left out here. Pure.
#pragma once

#include "ipc/dbus/message.h"
#include "ipc/service.h"

namespace credsync::ipc::dbus {

// Microseconds since 1970; 0 when it is not known.
std::uint64_t to_usec(const std::optional<WallTime>& moment);

// What a hand-out holds that is secret.
struct TokenSecrets {
  explicit TokenSecrets(const TokenView& view);
  WipedString token, header;
};
void write_token(Writer& writer, const TokenView& view, const TokenSecrets& secrets);  // (s, t, a{sv})
bool fill_token(Reader& reader, const TokenSecrets& secrets);
void write_status(Writer& writer, const AccountStatus& status);  // a{sv}
void begin_list(Writer& writer);  // aa{sv}: what is written with write_status() comes between the two
void end_list(Writer& writer);
void write_login(Writer& writer, const LoginView& view);             // a{sv}
void write_login_answer(Writer& writer, const LoginAnswer& answer);  // (s, a{sv})
void write_who_am_i(Writer& writer, const WhoAmI& who);              // a{sv}

}  // namespace credsync::ipc::dbus
