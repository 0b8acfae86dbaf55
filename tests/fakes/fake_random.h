// Chance that can be repeated: splitmix64 from a seed.
#pragma once

#include <cstdint>

#include "base/random.h"

namespace credsync::fakes {

class FakeRandom final : public Random {
 public:
  explicit FakeRandom(std::uint64_t seed = 1) : state_(seed) {}

  void fill(std::span<unsigned char> bytes) override {
    for (unsigned char& byte : bytes)
      byte = static_cast<unsigned char>(next());
  }

 private:
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  std::uint64_t state_;
};

}  // namespace credsync::fakes
