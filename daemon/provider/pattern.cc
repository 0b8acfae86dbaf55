#include "daemon/provider/pattern.h"

#include <algorithm>
#include <optional>
#include <regex>
#include <vector>

namespace credsync::provider {
namespace {

constexpr std::size_t kTooMany = kMaxPatternCharacters + 1;

std::size_t bounded(std::size_t count) {
  return std::min(count, kTooMany);
}

// Counts what the library would make states of, before it does. It need not be right about what the library refuses.
class Size {
 public:
  explicit Size(std::string_view pattern) : rest_(pattern) {
    while (!rest_.empty())
      take_one();
    while (groups_.size() > 1)
      close();
  }

  std::size_t characters() const { return bounded(groups_.front().before + groups_.front().last); }
  bool nested_lookahead() const { return nested_lookahead_; }

 private:
  struct Group {
    std::size_t before = 0, last = 0;  // characters of what is complete, and of what a repetition would repeat
    bool looks_ahead = false;          // it or one around it
  };

  char next() {
    const char c = rest_.empty() ? '\0' : rest_.front();
    rest_.remove_prefix(std::min<std::size_t>(1, rest_.size()));
    return c;
  }

  void add(std::size_t characters) {
    Group& group = groups_.back();
    group.before = bounded(group.before + group.last);
    group.last = characters;
  }

  void take_one() {
    switch (const char c = next(); c) {
      case '\\': next(), add(1); break;
      case '[': skip_set(), add(1); break;
      case '(': open(); break;
      case ')':
        if (groups_.size() > 1) close();
        break;
      case '{': repeat(); break;
      default: add(1);
    }
  }

  void open() {
    const bool outer = groups_.back().looks_ahead;
    const bool own = rest_.starts_with("?=") || rest_.starts_with("?!");
    nested_lookahead_ = nested_lookahead_ || (outer && own);
    groups_.push_back({.looks_ahead = outer || own});
  }

  void close() {
    const std::size_t inside = groups_.back().before + groups_.back().last;
    groups_.pop_back();
    add(bounded(inside + 2));  // its begin and end
  }

  // "[…]": a backslash protects one character, "[:alpha:]" and its like are one.
  void skip_set() {
    while (!rest_.empty() && !rest_.starts_with(']')) {
      const char c = next();
      if (c == '\\') next();
      const bool named =
          c == '[' && !rest_.empty() && std::string_view(":.=").find(rest_.front()) != std::string_view::npos;
      if (!named) continue;
      const std::size_t end = rest_.find(std::string{rest_.front(), ']'}, 1);
      rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 2);
    }
    next();
  }

  std::size_t number() {
    std::size_t value = 0;
    while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9')
      value = bounded(value * 10 + static_cast<std::size_t>(next() - '0'));
    return value;
  }

  // "{3}", "{3,}", "{3,5}"
  void repeat() {
    std::size_t most = number();
    if (rest_.starts_with(',')) {
      next();
      most = std::max(most + 1, number());
    }
    if (rest_.starts_with('}')) next();
    groups_.back().last = bounded(groups_.back().last * std::max<std::size_t>(most, 1));
  }

  std::string_view rest_;
  std::vector<Group> groups_ = std::vector<Group>(1);
  bool nested_lookahead_ = false;
};

Result<std::regex> compile(const std::string& pattern) {
  if (pattern.size() > kMaxPatternBytes)
    return invalid("is longer than " + std::to_string(kMaxPatternBytes) + " bytes");
  const Size size(pattern);
  if (size.characters() > kMaxPatternCharacters)
    return invalid("stands for more than " + std::to_string(kMaxPatternCharacters) +
                   " characters, repetitions counted");
  if (size.nested_lookahead()) return invalid("has a lookahead inside another");
  try {
    // libstdc++ since GCC 5: never goes back, and refuses what would need it. nosubs: groups are not remembered.
    return std::regex(pattern, std::regex::ECMAScript | std::regex::nosubs | std::regex_constants::__polynomial);
  } catch (const std::regex_error& error) {
    return invalid(error.code() == std::regex_constants::error_complexity ? "has a back reference"
                                                                          : "is not a regular expression (ECMAScript)");
  }
}

}  // namespace

Result<void> check_pattern(const std::string& pattern) {
  auto compiled = compile(pattern);
  if (!compiled) return compiled.error();
  return {};
}

Result<bool> matches_pattern(const std::string& pattern, std::string_view value) {
  auto compiled = compile(pattern);
  if (!compiled) return compiled.error();
  try {
    return std::regex_match(value.begin(), value.end(), *compiled);
  } catch (const std::regex_error&) {
    return invalid("cannot be matched");
  }
}

}  // namespace credsync::provider
