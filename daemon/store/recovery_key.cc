#include "daemon/store/recovery_key.h"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <optional>

namespace credsync::store {
namespace {

constexpr char kAlphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::size_t kBytes = 20;
constexpr std::size_t kGroups = 8;
constexpr std::size_t kData = 4;  // characters of a group before the one that checks them
constexpr std::size_t kGroup = kData + 1;
constexpr std::size_t kCharacters = kGroups * kGroup;
static_assert(kGroups * kData * 5 == kBytes * 8);

using Symbols = std::array<unsigned char, kCharacters>;  // values from 0 to 31

// Twice `value` in the field of 32 elements (x^5 + x^2 + 1).
unsigned twice(unsigned value) {
  return ((value << 1) ^ ((value & 0x10) != 0 ? 0x25U : 0U)) & 0x1f;
}

// A sum whose weights are the field's different powers of 2: one wrong character, or two that changed places, never have
// the right sum; neither has a group in another's place.
unsigned check_of(const unsigned char* data, std::size_t group) {
  unsigned sum = static_cast<unsigned>(group);
  for (std::size_t i = 0; i < kData; ++i)
    sum = twice(sum) ^ data[i];
  return twice(sum);
}

std::optional<unsigned char> value_of(char c) {
  if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  if (c == 'I' || c == 'L') c = '1';
  if (c == 'O') c = '0';
  const char* end = kAlphabet + 32;
  const char* found = std::find(static_cast<const char*>(kAlphabet), end, c);
  if (found == end) return std::nullopt;
  return static_cast<unsigned char>(found - kAlphabet);
}

Result<void> read_symbols(std::string_view text, Symbols& symbols) {
  std::size_t count = 0;
  for (const char c : text) {
    if (c == '-' || c == ' ' || c == '\t' || c == '\r' || c == '\n') continue;
    const auto value = value_of(c);
    if (!value)
      return invalid("group " + std::to_string(count / kGroup + 1) + " has a character that no recovery key has");
    if (count < kCharacters) symbols[count] = *value;
    ++count;
  }
  if (count == kCharacters) return {};
  return invalid("a recovery key has " + std::to_string(kCharacters) + " letters and digits, these are " +
                 std::to_string(count));
}

Result<void> check(const Symbols& symbols) {
  std::string wrong;
  for (std::size_t group = 0; group < kGroups; ++group) {
    const unsigned char* data = &symbols[group * kGroup];
    if (check_of(data, group) != data[kData]) wrong += (wrong.empty() ? "" : ", ") + std::to_string(group + 1);
  }
  if (wrong.empty()) return {};
  return invalid("there is a mistake in group " + wrong + " of " + std::to_string(kGroups));
}

struct WipedSymbols {
  Symbols symbols{};
  ~WipedSymbols() { wipe(symbols.data(), symbols.size()); }
};

}  // namespace

RecoveryKey RecoveryKey::random() {
  start_sealing();
  char bytes[kBytes];
  ::randombytes_buf(bytes, sizeof bytes);
  Secret secret(std::string_view(bytes, sizeof bytes));
  wipe(bytes, sizeof bytes);
  return RecoveryKey(std::move(secret));
}

Result<RecoveryKey> RecoveryKey::parse(std::string_view text) {
  WipedSymbols read;
  CREDSYNC_TRY(read_symbols(text, read.symbols));
  CREDSYNC_TRY(check(read.symbols));
  char bytes[kBytes] = {};
  std::size_t bit = 0;
  for (std::size_t i = 0; i < kCharacters; ++i) {
    if (i % kGroup == kData) continue;
    for (int b = 4; b >= 0; --b, ++bit) {
      if (((read.symbols[i] >> b) & 1) != 0) bytes[bit / 8] = static_cast<char>(bytes[bit / 8] | (0x80 >> (bit % 8)));
    }
  }
  Secret secret(std::string_view(bytes, sizeof bytes));
  wipe(bytes, sizeof bytes);
  return RecoveryKey(std::move(secret));
}

WipedString RecoveryKey::text() const {
  const std::string_view bytes = bytes_.expose();
  WipedString out;
  out.text().reserve(kCharacters + kGroups);
  std::size_t bit = 0;
  for (std::size_t group = 0; group < kGroups; ++group) {
    unsigned char data[kData] = {};
    for (unsigned char& symbol : data) {
      for (int b = 0; b < 5; ++b, ++bit)
        symbol = static_cast<unsigned char>((symbol << 1) |
                                            ((static_cast<unsigned char>(bytes[bit / 8]) >> (7 - bit % 8)) & 1));
      out.text() += kAlphabet[symbol];
    }
    out.text() += kAlphabet[check_of(data, group)];
    if (group + 1 < kGroups) out.text() += '-';
    wipe(data, sizeof data);
  }
  return out;
}

Key RecoveryKey::key() const {
  static constexpr unsigned char kPurpose[] = "credsync recovery key";
  char hash[kKeyBytes];
  const std::string_view bytes = bytes_.expose();
  ::crypto_generichash(reinterpret_cast<unsigned char*>(hash), sizeof hash,
                       reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), kPurpose, sizeof kPurpose);
  Key key = Key::from({hash, sizeof hash});
  wipe(hash, sizeof hash);
  return key;
}

}  // namespace credsync::store
