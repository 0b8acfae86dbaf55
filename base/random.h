// Chance, as an argument: what decides draws from a Random it is given. SystemRandom is the kernel's, good for keys.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace credsync {

class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::span<unsigned char> bytes) = 0;
  // A real number in [0, 1).
  double unit();
  // `bytes` random bytes as unpadded base64url.
  std::string base64url(std::size_t bytes);
};

class SystemRandom final : public Random {
 public:
  void fill(std::span<unsigned char> bytes) override;
};

}  // namespace credsync
