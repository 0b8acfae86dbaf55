#include "base/text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

namespace credsync {
namespace {

constexpr std::uint32_t kBroken = 0xffffffff;

// Reads one UTF-8 character at `i` and moves past it. Overlong forms, surrogates and cut sequences are kBroken.
std::uint32_t next_character(std::string_view text, std::size_t& i) {
  const auto byte = [&](std::size_t at) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[at])); };
  const std::uint32_t first = byte(i);
  std::size_t size = 1;
  std::uint32_t value = first;
  if (first >= 0xf0 && first < 0xf5) {
    size = 4;
    value = first & 0x07;
  } else if (first >= 0xe0) {
    size = 3;
    value = first & 0x0f;
  } else if (first >= 0xc2) {
    size = 2;
    value = first & 0x1f;
  }
  if ((size == 1 && first >= 0x80) || first >= 0xf5) {
    ++i;
    return kBroken;
  }
  for (std::size_t n = 1; n < size; ++n) {
    if (i + n >= text.size() || (byte(i + n) & 0xc0) != 0x80) {
      ++i;
      return kBroken;
    }
    value = (value << 6) | (byte(i + n) & 0x3f);
  }
  constexpr std::uint32_t kSmallest[5] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  if (value < kSmallest[size] || surrogate || value > 0x10ffff) {
    ++i;
    return kBroken;
  }
  i += size;
  return value;
}

// Controls (C0, DEL, C1), line and paragraph separators, bidirectional marks and overrides, zero-width, BOM, tags.
bool is_treacherous(std::uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2060 && c <= 0x206f) || c == 0x061c || c == 0xfeff || (c >= 0xe0000 && c <= 0xe007f);
}

std::string redact(std::string_view text, std::span<const std::string_view> secrets) {
  constexpr std::size_t kShortestSecret = 4;
  std::string out(text);
  for (const std::string_view secret : secrets) {
    if (secret.size() < kShortestSecret) continue;
    for (std::size_t at = out.find(secret); at != std::string::npos; at = out.find(secret, at)) {
      out.replace(at, secret.size(), "[redacted]");
      at += std::string_view("[redacted]").size();
    }
  }
  return out;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
    }
  }
  return row[b.size()];
}

}  // namespace

namespace {

std::string without_treacherous(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t start = i;
    const std::uint32_t c = next_character(text, i);
    const bool space = c == '\n' || c == '\t' || c == '\r';
    if (space && !out.empty() && out.back() != ' ') out += ' ';
    if (space || c == kBroken || is_treacherous(c)) continue;
    out.append(text, start, i - start);
  }
  return out;
}

}  // namespace

// Secrets are searched after the odd characters have gone: one that was echoed with such a character inside is one still.
std::string clean_foreign_text(std::string_view text, std::span<const std::string_view> secrets, std::size_t limit) {
  std::string out = redact(without_treacherous(redact(text, secrets)), secrets);
  std::size_t end = std::min(limit, out.size());
  while (end > 0 && end < out.size() && (static_cast<unsigned char>(out[end]) & 0xc0) == 0x80)
    --end;
  out.resize(end);
  while (out.ends_with(' '))
    out.pop_back();
  return out;
}

void append_json_string(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  const auto is_plain = [](char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; };
  out += '"';
  for (std::size_t i = 0; i < text.size();) {
    std::size_t start = i;
    while (i < text.size() && is_plain(text[i]))
      ++i;
    out.append(text, start, i - start);
    if (i == text.size()) break;
    start = i;
    const std::uint32_t c = next_character(text, i);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < 0x20 || c == 0x7f) {
      out += "\\u00";
      out += kHex[(c >> 4) & 15];
      out += kHex[c & 15];
    } else if (c == kBroken) {
      out += "\xef\xbf\xbd";
    } else {
      out.append(text, start, i - start);
    }
  }
  out += '"';
}

std::string json_string(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 2);
  append_json_string(out, text);
  return out;
}

bool is_utf8_text(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte != 0 && byte < 0x80) {
      ++i;
      continue;
    }
    const std::uint32_t c = next_character(text, i);
    if (c == kBroken || c == 0) return false;
  }
  return true;
}

std::string to_utf8_text(std::string_view text) {
  constexpr std::string_view kReplacement = "\xef\xbf\xbd";
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t start = i;
    const std::uint32_t c = next_character(text, i);
    if (c == kBroken) {
      out.append(kReplacement);
    } else if (c != 0) {
      out.append(text, start, i - start);
    }
  }
  return out;
}

bool is_account_name(std::string_view name) {
  constexpr std::size_t kLongest = 64;
  const auto alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (name.empty() || name.size() > kLongest || !alnum(name.front())) return false;
  return std::all_of(name.begin(), name.end(), [&](char c) { return alnum(c) || c == '.' || c == '_' || c == '-'; });
}

bool is_unit_name(std::string_view name) {
  constexpr std::size_t kLongest = 255;  // UNIT_NAME_MAX
  constexpr std::array<std::string_view, 6> kEndings{".service", ".scope", ".socket", ".mount", ".swap", ".slice"};
  if (name.size() > kLongest) return false;
  const auto ending = std::find_if(kEndings.begin(), kEndings.end(), [&](auto e) { return name.ends_with(e); });
  if (ending == kEndings.end()) return false;
  name.remove_suffix(ending->size());
  if (name.empty() || name.front() == '@' || name.ends_with('@')) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view(":-_.\\@").find(c) != std::string_view::npos;
  });
}

std::string_view nearest_word(std::string_view word, std::span<const std::string_view> known) {
  constexpr std::size_t kLongestCompared = 64;  // the distance costs the product of the lengths
  if (word.size() > kLongestCompared) return {};
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string_view candidate : known) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace credsync
