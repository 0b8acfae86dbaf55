// Chance that a seed decides, in streams that do not disturb one another: who draws more in one place changes nothing in
// another, so that a failing world can be made smaller without becoming another one.
#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>

#include "base/random.h"
#include "base/time.h"

namespace credsync::simulation {

constexpr std::uint64_t kFnvBasis = 0xcbf29ce484222325ULL;
constexpr std::uint64_t kFnvPrime = 0x100000001b3ULL;

constexpr std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  return (hash ^ value) * kFnvPrime;
}
constexpr std::uint64_t mix(std::uint64_t hash, std::string_view text) {
  for (const char c : text)
    hash = mix(hash, static_cast<std::uint64_t>(static_cast<unsigned char>(c)));
  return hash;
}

// splitmix64.
class Chance final : public Random {
 public:
  Chance(std::uint64_t seed, std::string_view stream, std::uint64_t number = 0)
      : state_(mix(mix(mix(kFnvBasis, seed), stream), number)) {
    next();
  }

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  void fill(std::span<unsigned char> bytes) override {
    for (unsigned char& byte : bytes)
      byte = static_cast<unsigned char>(next());
  }

  double real() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  bool odds(double probability) { return real() < probability; }
  // A whole number in [least, most].
  std::int64_t between(std::int64_t least, std::int64_t most) {
    return least + static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(most - least + 1));
  }
  Duration between(Duration least, Duration most) { return Duration(between(least.count(), most.count())); }
  // Even in orders of magnitude: as many of seconds as of days.
  Duration spread(Duration least, Duration most) {
    const double low = std::log(static_cast<double>(least.count()));
    const double high = std::log(static_cast<double>(most.count()));
    return Duration(static_cast<Duration::rep>(std::exp(low + (high - low) * real())));
  }
  // When the next of something comes that comes every `mean`.
  Duration wait(Duration mean) {
    return Duration(static_cast<Duration::rep>(-std::log(1 - real()) * static_cast<double>(mean.count())));
  }

 private:
  std::uint64_t state_;
};

}  // namespace credsync::simulation
