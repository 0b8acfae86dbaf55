#include "cli/users.h"

#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "cli/program.h"

namespace credsync::cli {
namespace {

std::optional<unsigned> number(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The field of the line that `getent DATABASE KEY` prints.
std::string field(const char* database, const std::string& key, std::size_t index) {
  const bool plain = !key.empty() && key.front() != '-' && key.find_first_of(":\n") == key.npos;
  if (!plain) return {};
  const auto line = output_of({"getent", database, key});
  if (!line) return {};
  std::string_view rest = std::string_view(*line).substr(0, line->find('\n'));
  for (std::size_t i = 0; i < index; ++i) {
    const std::size_t colon = rest.find(':');
    if (colon == rest.npos) return {};
    rest.remove_prefix(colon + 1);
  }
  return std::string(rest.substr(0, rest.find(':')));
}

}  // namespace

std::optional<uid_t> user_id(const std::string& name_or_number) {
  if (const auto uid = number(name_or_number)) return uid;
  return number(field("passwd", name_or_number, 2));
}

std::optional<gid_t> group_id(const std::string& name) {
  return number(field("group", name, 2));
}

std::string user_name(uid_t uid) {
  return field("passwd", std::to_string(uid), 0);
}

std::optional<uid_t> sudo_caller() {
  const char* variable = std::getenv("SUDO_UID");
  if (::geteuid() != 0 || variable == nullptr) return std::nullopt;
  const auto uid = number(variable);
  return uid && *uid != 0 ? uid : std::nullopt;
}

}  // namespace credsync::cli
