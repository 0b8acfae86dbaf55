#include "tests/fuzz/fuzz.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/encoding.h"

namespace credsync::fuzz {
namespace {

const std::array<std::string, 5>& canary_forms() {
  static const std::array<std::string, 5> forms{std::string(kCanary), encode_form(kCanary), encode_percent(kCanary),
                                                std::string(kOddCanary), encode_form(kOddCanary)};
  return forms;
}

// One character of UTF-8 (RFC 3629, 4) and its length; a length of 0 where there is none.
std::pair<std::uint32_t, std::size_t> character_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return at + i < text.size() ? static_cast<std::uint32_t>(static_cast<unsigned char>(text[at + i])) : 0U;
  };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
  if (byte(0) < 0x80) return {byte(0), 1};
  if ((byte(0) & 0xe0) == 0xc0 && tail(1)) {
    const std::uint32_t c = (byte(0) & 0x1f) << 6 | (byte(1) & 0x3f);
    return {c, c >= 0x80 ? 2 : 0};
  }
  if ((byte(0) & 0xf0) == 0xe0 && tail(1) && tail(2)) {
    const std::uint32_t c = (byte(0) & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
    return {c, c >= 0x800 && (c < 0xd800 || c > 0xdfff) ? 3 : 0};
  }
  if ((byte(0) & 0xf8) == 0xf0 && tail(1) && tail(2) && tail(3)) {
    const std::uint32_t c = (byte(0) & 0x07) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f);
    return {c, c >= 0x10000 && c <= 0x10ffff ? 4 : 0};
  }
  return {0, 0};
}

bool steers_a_display(std::uint32_t c) {
  const bool control = c < 0x20 || (c >= 0x7f && c <= 0x9f);
  const bool bidirectional =
      c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
  return control || bidirectional || c == 0x2028 || c == 0x2029;
}

}  // namespace

void broken(const char* promise, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, promise);
  std::abort();
}

std::size_t Input::choice(std::size_t count) {
  if (rest_.empty()) return 0;
  const char c = rest_.front();
  rest_.remove_prefix(1);
  if (c >= '0' && c <= '9') return static_cast<std::size_t>(c - '0') % count;
  if (c >= 'a' && c <= 'z') return static_cast<std::size_t>(c - 'a' + 10) % count;
  return static_cast<unsigned char>(c) % count;
}

std::uint64_t Input::number() {
  std::uint64_t value = 0;
  for (const char c : bytes(8))
    value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

std::string_view Input::line() {
  const std::string_view line = rest_.substr(0, rest_.find('\n'));
  rest_.remove_prefix(std::min(line.size() + 1, rest_.size()));
  return line;
}

std::string_view Input::bytes(std::size_t count) {
  const std::string_view taken = rest_.substr(0, count);
  rest_.remove_prefix(taken.size());
  return taken;
}

std::string with_canaries(std::string_view text) {
  constexpr std::size_t kMost = 64;
  std::size_t planted = 0;
  std::string out;
  for (const char c : text) {
    if (c >= 2 && c <= 6 && planted < kMost) {
      out += canary_forms()[static_cast<std::size_t>(c - 2)];
      ++planted;
    } else {
      out += c;
    }
  }
  return out;
}

bool shows_canary(std::string_view shown) {
  const auto& forms = canary_forms();
  return std::any_of(forms.begin(), forms.begin() + 3,
                     [&](const std::string& f) { return shown.find(f) != shown.npos; });
}

bool shows_either_canary(std::string_view shown) {
  // The odd one as it looks once what is not shown has gone.
  constexpr std::string_view kOddShown = "Wx8 canary\xc3\xa9-tail";
  const auto& forms = canary_forms();
  return std::any_of(forms.begin(), forms.end(), [&](const std::string& f) { return shown.find(f) != shown.npos; }) ||
         shown.find(kOddShown) != shown.npos;
}

std::string with_repeats(std::string_view text, std::size_t most) {
  std::string out;
  std::size_t line = 0;
  for (const char c : text) {
    if (c != '\1') {
      out += c;
      if (c == '\n') line = out.size();
      continue;
    }
    const std::string unit = out.substr(line);
    while (!unit.empty() && out.size() + unit.size() <= most)
      out += unit;
  }
  return out;
}

bool is_fit_to_show(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto [c, size] = character_at(text, at);
    if (size == 0 || steers_a_display(c)) return false;
    at += size;
  }
  return true;
}

void in_pieces(std::string_view text, std::uint64_t how, const std::function<bool(std::string_view)>& take) {
  std::uint64_t state = how;
  while (!text.empty()) {
    std::size_t size = how == kWhole ? text.size() : 1;
    if (how != 0 && how != kWhole) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;  // Knuth's, from MMIX
      size = 1 + static_cast<std::size_t>(state >> 33) % ((state >> 20) % 4 == 0 ? 400 : 9);
    }
    if (!take(text.substr(0, size))) return;
    text.remove_prefix(std::min(size, text.size()));
  }
}

const std::string& scratch_folder() {
  struct Folder {
    Folder() {
      path = std::filesystem::is_directory("/dev/shm") ? "/dev/shm/credsync-fuzz-XXXXXX" : "/tmp/credsync-fuzz-XXXXXX";
      HOLDS(::mkdtemp(path.data()) != nullptr);
    }
    ~Folder() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
    std::string path;
  };
  static const Folder folder;
  return folder.path;
}

}  // namespace credsync::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  run(credsync::fuzz::Input(data, size));
  return 0;
}
