// Reads the bodies of requests: one JSON object (RFC 8259) whose members are strings, numbers, true and false, nothing
// nested. Pure and strict; a refusal says in plain words what is wrong and never repeats what was sent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"

namespace credsync::ipc::http {

class FlatObject {
 public:
  enum class Kind { kString, kNumber, kFlag };
  struct Member {
    std::string key;
    Kind kind = Kind::kString;
    Secret text;  // a string's characters, the spelling of the others
  };

  // At most kMostMembers members, each key once. NUL, lone surrogates and broken UTF-8 are refused.
  static Result<FlatObject> parse(std::string_view body);
  static constexpr std::size_t kMostMembers = 8;  // the largest request has 5

  const std::vector<Member>& members() const { return members_; }
  // Moves the string out; nothing when there is no such member or it is another kind.
  std::optional<Secret> take_string(std::string_view key);
  // Nothing when there is no such member, or it is not a whole number from 0 to 2^64 - 1.
  std::optional<std::uint64_t> whole_number(std::string_view key) const;
  // Nothing when there is no such member, or it is neither true nor false.
  std::optional<bool> flag(std::string_view key) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }

 private:
  const Member* find(std::string_view key) const;

  std::vector<Member> members_;
};

}  // namespace credsync::ipc::http
