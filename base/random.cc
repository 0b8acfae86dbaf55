#include "base/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "base/encoding.h"

namespace credsync {

double Random::unit() {
  std::uint64_t bits = 0;
  unsigned char bytes[sizeof bits];
  fill(bytes);
  std::memcpy(&bits, bytes, sizeof bits);
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

std::string Random::base64url(std::size_t count) {
  std::vector<unsigned char> bytes(count);
  fill(bytes);
  return encode_base64url({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

void SystemRandom::fill(std::span<unsigned char> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = ::getrandom(bytes.data(), bytes.size(), 0);
    CHECK(got > 0 || errno == EINTR);  // getrandom of a sane kernel fails in no other way
    if (got > 0) bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace credsync
