// Words from outside, made safe for a log, an answer or a terminal; and JSON strings written by hand.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace credsync {

// What a provider or a peer may make us show: 256 bytes, the limit of design section 8.
constexpr std::size_t kForeignTextLimit = 256;

// Drops control, escape and bidirectional characters and broken UTF-8, replaces each of `secrets` found in it by
// "[redacted]", and cuts to `limit` bytes at a character's boundary. Secrets shorter than 4 bytes are not searched.
std::string clean_foreign_text(std::string_view text, std::span<const std::string_view> secrets = {},
                               std::size_t limit = kForeignTextLimit);

// Appends `text` as a JSON string with its quotes. Broken UTF-8 becomes U+FFFD.
void append_json_string(std::string& out, std::string_view text);
std::string json_string(std::string_view text);

// Whether `text` is UTF-8 (RFC 3629) without NUL, and such a text made of any: broken UTF-8 becomes U+FFFD, NUL goes.
bool is_utf8_text(std::string_view text);
std::string to_utf8_text(std::string_view text);

// [a-z0-9][a-z0-9._-]{0,63}
bool is_account_name(std::string_view name);

// The name of one systemd unit, as systemd.unit(5) has them: at most 255 bytes of letters, digits and ":-_.\\@", and the
// ending of a kind that can hold processes (.service, .scope, .socket, .mount, .swap, .slice). No template.
bool is_unit_name(std::string_view name);

// The entry of `known` that is nearest to `word` (edit distance at most a third of its length, at least 1), or empty.
std::string_view nearest_word(std::string_view word, std::span<const std::string_view> known);

}  // namespace credsync
