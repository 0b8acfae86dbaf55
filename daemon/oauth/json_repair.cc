#include "daemon/oauth/json_repair.h"

#include <cstdint>
#include <string>

namespace credsync::oauth {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr std::size_t kLongestNumber = 18;  // any integer of 18 digits fits 64 bits

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
bool in_number(char c) {
  return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

class Repair {
 public:
  explicit Repair(std::string_view text) : text_(text) {
    // A replaced byte grows to three, a number gains two quotes: reserve, so that no old copy stays behind.
    out_.text().reserve(text.size() * 3 + 16);
  }

  std::optional<WipedString> run() {
    if (text_.starts_with(kByteOrderMark)) at_ = kByteOrderMark.size();
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        if (!copy_string()) return std::nullopt;
      } else if (c == '-' || (c >= '0' && c <= '9')) {
        copy_number();
      } else {
        put(1);
      }
    }
    return std::move(out_);
  }

 private:
  void put(std::size_t count) {
    out_.text().append(text_.substr(at_, count));
    at_ += count;
  }
  void replace(std::size_t count) {
    out_.text().append(kReplacement);
    at_ += count;
  }

  void copy_number() {
    std::size_t size = 1;
    while (at_ + size < text_.size() && in_number(text_[at_ + size]))
      ++size;
    const bool exponent = text_.substr(at_, size).find_first_of("eE") != std::string_view::npos;
    const bool quote = size > kLongestNumber || exponent;
    if (quote) out_.text() += '"';
    put(size);
    if (quote) out_.text() += '"';
  }

  // The value of the \uXXXX escape at `at`, or -1.
  int unicode_escape(std::size_t at) const {
    if (at + 6 > text_.size() || text_[at] != '\\' || text_[at + 1] != 'u') return -1;
    int value = 0;
    for (std::size_t i = at + 2; i < at + 6; ++i) {
      const char c = text_[i];
      if (c >= '0' && c <= '9')
        value = value * 16 + (c - '0');
      else if (c >= 'a' && c <= 'f')
        value = value * 16 + (c - 'a' + 10);
      else if (c >= 'A' && c <= 'F')
        value = value * 16 + (c - 'A' + 10);
      else
        return -1;
    }
    return value;
  }

  void copy_escape() {
    const int value = unicode_escape(at_);
    if (value < 0) return put(at_ + 1 < text_.size() ? 2 : 1);
    if (value == 0) has_nul_ = true;
    const bool high = value >= 0xd800 && value < 0xdc00;
    const bool low = value >= 0xdc00 && value < 0xe000;
    if (!high && !low) return put(6);
    const int next = high ? unicode_escape(at_ + 6) : -1;
    if (next >= 0xdc00 && next < 0xe000) return put(12);
    replace(6);
  }

  // False when the string is a key and holds a NUL.
  bool copy_string() {
    has_nul_ = false;
    put(1);
    while (at_ < text_.size() && text_[at_] != '"') {
      const char c = text_[at_];
      if (c == '\\')
        copy_escape();
      else if (static_cast<unsigned char>(c) < 0x20) {
        has_nul_ = has_nul_ || c == '\0';
        replace(1);
      } else if (const std::size_t size = utf8_length(text_, at_); size != 0)
        put(size);
      else
        replace(1);
    }
    if (at_ < text_.size()) put(1);
    std::size_t next = at_;
    while (next < text_.size() && is_space(text_[next]))
      ++next;
    return !has_nul_ || next >= text_.size() || text_[next] != ':';
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool has_nul_ = false;
  WipedString out_;
};

}  // namespace

std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])); };
  const std::uint32_t first = byte(at);
  if (first < 0x80) return 1;
  const std::size_t size = first >= 0xf5 ? 0 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (size == 0 || at + size > text.size()) return 0;
  std::uint32_t value = first & (0x7fU >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
    value = (value << 6) | (byte(at + i) & 0x3f);
  }
  constexpr std::uint32_t kSmallest[5] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kSmallest[size] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return 0;
  return size;
}

std::optional<WipedString> repair_json(std::string_view text) {
  return Repair(text).run();
}

}  // namespace credsync::oauth
