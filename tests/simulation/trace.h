// What happened, in a form that is cheap to keep: the last lines of each account, and one hash over all that ever was. Two
// runs of one seed have the same hash, whatever was built and wherever memory lies.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/simulation/chance.h"
#include "tests/simulation/timeline.h"

namespace credsync::simulation {

// An invariant does not hold. Thrown by who notices, caught by who runs the world.
struct Broken : std::runtime_error {
  Broken(std::string which, std::string account_name, const std::string& words)
      : std::runtime_error(words), invariant(std::move(which)), account(std::move(account_name)) {}
  std::string invariant;  // "2 persist then publish"
  std::string account;    // may be empty
};

class Trace {
 public:
  explicit Trace(const Timeline& time) : time_(time) {}

  // `what` is a literal. `about`: a token, a word.
  void note(const std::string& account, const char* what, std::string_view about = {}, std::int64_t number = 0);
  // Printed only, where a world is looked at: neither kept nor part of the hash.
  void aside(const char* what, const std::string& about) const;
  bool shown() const { return print_; }
  std::uint64_t hash() const { return hash_; }
  std::uint64_t lines() const { return lines_; }
  // The last lines of an account and of the world as a whole, merged by time.
  std::vector<std::string> last(const std::string& account) const;
  void print_all() { print_ = true; }

 private:
  static constexpr std::size_t kKept = 80;
  static constexpr std::size_t kAbout = 36;
  struct Line {
    std::uint64_t turn = 0;
    True at{0};
    const char* what = "";
    std::array<char, kAbout> about{};
    std::int64_t number = 0;
  };
  struct Ring {
    std::array<Line, kKept> lines;
    std::size_t count = 0;
  };
  static std::string to_text(const Line& line, const std::string& account);

  const Timeline& time_;
  std::uint64_t hash_ = kFnvBasis;
  std::uint64_t lines_ = 0;
  std::map<std::string, Ring, std::less<>> rings_;
  bool print_ = false;
};

}  // namespace credsync::simulation
