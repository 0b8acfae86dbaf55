#include "cli/text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace credsync::cli {
namespace {

using Range = std::pair<std::uint32_t, std::uint32_t>;

// Blocks of Unicode 15 that terminals show in no column of their own (combining marks, variation selectors) …
constexpr std::array<Range, 12> kNoWidth{{{0x0300, 0x036f},
                                          {0x0483, 0x0489},
                                          {0x0591, 0x05bd},
                                          {0x064b, 0x065f},
                                          {0x0e34, 0x0e3a},
                                          {0x1ab0, 0x1aff},
                                          {0x1dc0, 0x1dff},
                                          {0x200b, 0x200d},
                                          {0x20d0, 0x20ff},
                                          {0xfe00, 0xfe0f},
                                          {0xfe20, 0xfe2f},
                                          {0xe0100, 0xe01ef}}};
// … and in two (East Asian Width W and F, emoji).
constexpr std::array<Range, 12> kTwoWide{{{0x1100, 0x115f},
                                          {0x2e80, 0x303e},
                                          {0x3041, 0x33ff},
                                          {0x3400, 0x4dbf},
                                          {0x4e00, 0x9fff},
                                          {0xa000, 0xa4cf},
                                          {0xac00, 0xd7a3},
                                          {0xf900, 0xfaff},
                                          {0xfe30, 0xfe6f},
                                          {0xff00, 0xff60},
                                          {0x1f300, 0x1f9ff},
                                          {0x20000, 0x3fffd}}};

bool within(const std::array<Range, 12>& ranges, std::uint32_t c) {
  return std::any_of(ranges.begin(), ranges.end(), [c](const Range& r) { return c >= r.first && c <= r.second; });
}

std::size_t width_of(std::uint32_t c) {
  if (c < 0x300) return 1;
  if (within(kNoWidth, c)) return 0;
  return within(kTwoWide, c) ? 2 : 1;
}

// The bytes of the character at `at`; 1 for a broken one.
std::size_t character_size(std::string_view text, std::size_t at) {
  const auto first = static_cast<unsigned char>(text[at]);
  const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
  return std::min(size, text.size() - at);
}

std::uint32_t character_at(std::string_view text, std::size_t at, std::size_t size) {
  const auto first = static_cast<unsigned char>(text[at]);
  if (size == 1) return first;
  std::uint32_t value = first & (0xffu >> (size + 1));
  for (std::size_t i = 1; i < size; ++i)
    value = (value << 6) | (static_cast<unsigned char>(text[at + i]) & 0x3fu);
  return value;
}

// How many bytes of `text` fit into `width` columns.
std::size_t bytes_that_fit(std::string_view text, std::size_t width) {
  std::size_t at = 0;
  for (std::size_t used = 0; at < text.size();) {
    const std::size_t size = character_size(text, at);
    used += width_of(character_at(text, at, size));
    if (used > width) break;
    at += size;
  }
  return at;
}

}  // namespace

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = character_size(text, at);
    width += width_of(character_at(text, at, size));
    at += size;
  }
  return width;
}

std::string cut_to_width(std::string_view text, std::size_t width, bool utf8) {
  if (display_width(text) <= width) return std::string(text);
  const std::string_view mark = utf8 ? "…" : "...";
  const std::size_t mark_width = utf8 ? 1 : 3;
  if (width < mark_width) return std::string(text.substr(0, bytes_that_fit(text, width)));
  return std::string(text.substr(0, bytes_that_fit(text, width - mark_width))).append(mark);
}

std::vector<std::string> wrap(std::string_view text, std::size_t width) {
  std::vector<std::string> lines;
  while (width != 0 && display_width(text) > width) {
    const std::size_t fits = std::max(bytes_that_fit(text, width), character_size(text, 0));
    const std::size_t space = text.rfind(' ', fits);
    const bool breaks = space != std::string_view::npos && space != 0;
    const std::size_t end = breaks ? space : fits;
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(text.size(), breaks ? end + 1 : end));
  }
  if (!text.empty() || lines.empty()) lines.emplace_back(text);
  return lines;
}

std::string to_ascii(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kKnown{
      {{"…", "..."}, {"“", "\""}, {"”", "\""}, {"’", "'"}, {"–", "-"}}};
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = character_size(text, at);
    const std::string_view character = text.substr(at, size);
    const auto* known = std::find_if(kKnown.begin(), kKnown.end(), [&](const auto& k) { return k.first == character; });
    const bool ascii = size == 1 && static_cast<unsigned char>(text[at]) < 0x80;
    out += ascii ? character : known != kKnown.end() ? known->second : std::string_view("?");
    at += size;
  }
  return out;
}

std::string shell_quote(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 2);  // nothing in a token needs more; growing would leave a copy of it
  out += '\'';
  for (const char c : text) {
    if (c == '\'')
      out += "'\\''";
    else
      out += c;
  }
  return out += '\'';
}

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::string join(const std::vector<std::string>& words, std::string_view separator) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += separator;
    out += word;
  }
  return out;
}

}  // namespace credsync::cli
