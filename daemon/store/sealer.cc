#include "daemon/store/sealer.h"

#include <sodium.h>

#include <array>
#include <limits>

#include "base/mutation.h"

namespace credsync::store {
namespace {

constexpr char kFormat = 1;  // the cipher and layout below; another one gets another number
constexpr std::size_t kNonceBytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t kTagBytes = crypto_aead_xchacha20poly1305_ietf_ABYTES;
static_assert(kKeyBytes == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
static_assert(kSealOverhead == 1 + kNonceBytes + kTagBytes);

void append_number(std::string& out, std::uint64_t number) {
  for (int shift = 0; shift < 64; shift += 8)
    out += static_cast<char>(number >> shift);
}

// Each text goes with its length, so that no two places share their bytes.
std::string associated_data(const Place& place) {
  std::string out = "credsync seal 1";
  for (const std::string_view text : {place.column, place.account}) {
    append_number(out, text.size());
    out.append(text);
  }
  append_number(out, place.generation);
  append_number(out, static_cast<std::uint64_t>(place.row));
  return out;
}

const unsigned char* raw(const char* bytes) {
  return reinterpret_cast<const unsigned char*>(bytes);
}
unsigned char* raw(char* bytes) {
  return reinterpret_cast<unsigned char*>(bytes);
}

}  // namespace

std::int64_t row_of(std::string_view text) {
  std::array<unsigned char, crypto_generichash_BYTES_MIN> hash{};
  ::crypto_generichash(hash.data(), hash.size(), raw(text.data()), text.size(), nullptr, 0);
  std::int64_t row = 0;
  for (std::size_t i = 0; i < sizeof row; ++i)
    row |= static_cast<std::int64_t>(std::uint64_t{hash[i]} << (8 * i));
  return row & std::numeric_limits<std::int64_t>::max();
}

std::string seal(const Key& key, std::string_view plain, const Place& place) {
  const std::string ad = associated_data(place);
  std::string sealed(kSealOverhead + plain.size(), '\0');
  if (mutated(Mutation::kStoreInClear)) return sealed.replace(kSealOverhead, plain.size(), plain);
  sealed[0] = kFormat;
  unsigned char* nonce = raw(sealed.data() + 1);
  ::randombytes_buf(nonce, kNonceBytes);
  ::crypto_aead_xchacha20poly1305_ietf_encrypt(nonce + kNonceBytes, nullptr, raw(plain.data()), plain.size(),
                                               raw(ad.data()), ad.size(), nullptr, nonce, key.read().bytes());
  return sealed;
}

Result<WipedString> open(const Key& key, std::string_view sealed, const Place& place) {
  if (sealed.size() < kSealOverhead) return corrupt("a sealed value is cut short");
  if (mutated(Mutation::kStoreInClear)) return WipedString(std::string(sealed.substr(kSealOverhead)));
  if (sealed[0] != kFormat) return corrupt("a sealed value has an unknown format");
  const std::string ad = associated_data(place);
  const unsigned char* nonce = raw(sealed.data() + 1);
  WipedString plain(std::string(sealed.size() - kSealOverhead, '\0'));
  const int result = ::crypto_aead_xchacha20poly1305_ietf_decrypt(raw(plain.text().data()), nullptr, nullptr,
                                                                  nonce + kNonceBytes, sealed.size() - 1 - kNonceBytes,
                                                                  raw(ad.data()), ad.size(), nonce, key.read().bytes());
  if (result != 0) return corrupt("a sealed value does not open: damaged, or not of this place");
  return plain;
}

}  // namespace credsync::store
