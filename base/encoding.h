// The few encodings OAuth needs, pure. Decoders refuse what is not exactly the encoding.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace credsync {

std::string encode_base64(std::string_view bytes);
// RFC 4648 section 5, without padding.
std::string encode_base64url(std::string_view bytes);
std::optional<std::string> decode_base64(std::string_view text);
// Padding is accepted but not needed.
std::optional<std::string> decode_base64url(std::string_view text);
std::string encode_hex(std::string_view bytes);

// application/x-www-form-urlencoded: space becomes '+', all but [A-Za-z0-9*._-] is escaped.
std::string encode_form(std::string_view text);
// RFC 3986: all but the unreserved characters is escaped.
std::string encode_percent(std::string_view text);
// Undoes %XX, and '+' when `plus_is_space`. Nothing when an escape is broken.
std::optional<std::string> decode_percent(std::string_view text, bool plus_is_space);

}  // namespace credsync
