#include "daemon/store/sealer.h"

#include <sodium.h>

#include <cstring>
#include <new>

#include "base/check.h"
#include "base/encoding.h"

namespace credsync::store {
namespace {

constexpr char kFormat = 1;  // the cipher and layout below; another one gets another number
constexpr std::size_t kNonceBytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t kTagBytes = crypto_aead_xchacha20poly1305_ietf_ABYTES;
constexpr std::size_t kIdBytes = 8;
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

void start_sealing() {
  CHECK(::sodium_init() >= 0);
}

void Key::Free::operator()(unsigned char* memory) const {
  ::sodium_free(memory);
}

Key::Memory Key::allocate() {
  start_sealing();  // once is enough, and more is harmless
  Memory memory(static_cast<unsigned char*>(::sodium_malloc(kKeyBytes)));
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

Key Key::random() {
  Memory memory = allocate();
  ::randombytes_buf(memory.get(), kKeyBytes);
  ::sodium_mprotect_readonly(memory.get());
  return Key(std::move(memory));
}

Key Key::from(std::string_view bytes) {
  CHECK(bytes.size() == kKeyBytes);
  Memory memory = allocate();
  std::memcpy(memory.get(), bytes.data(), kKeyBytes);
  ::sodium_mprotect_readonly(memory.get());
  return Key(std::move(memory));
}

std::string Key::id() const {
  static constexpr unsigned char kPurpose[] = "credsync key id";
  unsigned char hash[crypto_generichash_BYTES];
  ::crypto_generichash(hash, sizeof hash, kPurpose, sizeof kPurpose, bytes(), kKeyBytes);
  return encode_hex({reinterpret_cast<const char*>(hash), kIdBytes});
}

std::string Sealer::seal(std::string_view plain, const Place& place) const {
  const std::string ad = associated_data(place);
  std::string sealed(kSealOverhead + plain.size(), '\0');
  sealed[0] = kFormat;
  unsigned char* nonce = raw(sealed.data() + 1);
  ::randombytes_buf(nonce, kNonceBytes);
  ::crypto_aead_xchacha20poly1305_ietf_encrypt(nonce + kNonceBytes, nullptr, raw(plain.data()), plain.size(),
                                               raw(ad.data()), ad.size(), nullptr, nonce, key_.bytes());
  return sealed;
}

Result<WipedString> Sealer::open(std::string_view sealed, const Place& place) const {
  if (sealed.size() < kSealOverhead) return corrupt("a sealed value is cut short");
  if (sealed[0] != kFormat) return corrupt("a sealed value has an unknown format");
  const std::string ad = associated_data(place);
  const unsigned char* nonce = raw(sealed.data() + 1);
  WipedString plain(std::string(sealed.size() - kSealOverhead, '\0'));
  const int result = ::crypto_aead_xchacha20poly1305_ietf_decrypt(raw(plain.text().data()), nullptr, nullptr,
                                                                  nonce + kNonceBytes, sealed.size() - 1 - kNonceBytes,
                                                                  raw(ad.data()), ad.size(), nonce, key_.bytes());
  if (result != 0) return corrupt("a sealed value does not open: damaged, or not of this place");
  return plain;
}

}  // namespace credsync::store
