// Text as a terminal shows it: how many columns it takes, cut to fit, quoted for a shell. Pure; UTF-8
// throughout.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace credsync::cli {

// Columns that `text` takes: 2 for East Asian wide and emoji characters, 0 for combining ones.
std::size_t display_width(std::string_view text);
// At most `width` columns of `text`; what was cut is marked by "…" ("..." where `utf8` is false).
std::string cut_to_width(std::string_view text, std::size_t width, bool utf8);
// `text` in lines of at most `width` columns, broken at spaces where there are some. `width` 0 never breaks.
std::vector<std::string> wrap(std::string_view text, std::size_t width);
// For a terminal that is not UTF-8: each other character becomes "?".
std::string to_ascii(std::string_view text);
// One word for a POSIX shell, in single quotes.
std::string shell_quote(std::string_view text);
bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words);
std::string join(const std::vector<std::string>& words, std::string_view separator);

}  // namespace credsync::cli
