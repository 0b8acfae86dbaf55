#include "ipc/dbus/options.h"

#include "ipc/dbus/limits.h"

namespace credsync::ipc::dbus {
namespace {

// The name comes from the caller and is not repeated.
Error unknown_option() {
  return invalid("there is an unknown option");
}

Result<Duration> read_seconds(const Option& option, std::uint64_t most) {
  const auto* value = std::get_if<std::uint64_t>(&option.value);
  if (value == nullptr || *value > most)
    return invalid(option.name + " must be whole seconds from 0 to " + std::to_string(most));
  return Duration(std::chrono::seconds(static_cast<std::int64_t>(*value)));
}

}  // namespace

Result<TokenOptions> read_token_options(const std::vector<Option>& options) {
  TokenOptions read;
  read.wait = std::chrono::seconds(kDefaultWait);
  for (const Option& option : options) {
    const bool min_valid = option.name == "min_valid";
    if (!min_valid && option.name != "wait") return unknown_option();
    const auto seconds = read_seconds(option, min_valid ? kLongestMinValid : std::uint64_t{kLongestWait});
    if (!seconds) return seconds.error();
    (min_valid ? read.min_valid : read.wait) = *seconds;
  }
  return read;
}

}  // namespace credsync::ipc::dbus
