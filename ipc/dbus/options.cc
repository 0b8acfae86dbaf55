#include "ipc/dbus/options.h"

#include <array>
#include <limits>

#include "ipc/dbus/limits.h"
#include "ipc/names.h"

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

Result<Duration> read_wait_option(const std::vector<Option>& options) {
  Duration wait = std::chrono::seconds(kDefaultWait);
  for (const Option& option : options) {
    if (option.name != "wait") return unknown_option();
    const auto seconds = read_seconds(option, kLongestWait);
    if (!seconds) return seconds.error();
    wait = *seconds;
  }
  return wait;
}

namespace {

constexpr std::array<std::pair<std::string_view, LoginMethod>, 6> kLoginMethods{
    {{kLoginAuto, LoginMethod::kAuto},
     {kLoginBrowser, LoginMethod::kBrowser},
     {kLoginDevice, LoginMethod::kDevice},
     {kLoginRefreshToken, LoginMethod::kRefreshToken},
     {kLoginToken, LoginMethod::kToken},
     {kLoginPassword, LoginMethod::kPassword}}};

Result<void> read_method(const Option& option, LoginRequest& login) {
  if (const auto* name = std::get_if<std::string>(&option.value)) {
    for (const auto& [word, method] : kLoginMethods) {
      if (word == *name) return login.method = method, Result<void>();
    }
  }
  return invalid("method must be auto, browser, device, refresh_token, token or password");
}

Result<void> read_login_option(Option& option, LoginRequest& login) {
  if (option.name == "method") return read_method(option, login);
  if (option.name == "secret") {
    auto* secret = std::get_if<Secret>(&option.value);
    if (secret == nullptr || secret->empty()) return invalid("secret must be a string that is not empty");
    login.secret = std::move(*secret);
  } else if (option.name == "username") {
    const auto* name = std::get_if<std::string>(&option.value);
    if (name == nullptr) return invalid("username must be a string");
    login.username = *name;
  } else if (option.name == "browser_uid") {
    const auto* uid = std::get_if<std::uint64_t>(&option.value);
    // The highest number means "none" to the kernel.
    if (uid == nullptr || *uid >= std::numeric_limits<uid_t>::max())
      return invalid("browser_uid must be a user's number");
    login.browser_user = static_cast<uid_t>(*uid);
  } else if (option.name == "replace_identity") {
    const auto* flag = std::get_if<bool>(&option.value);
    if (flag == nullptr) return invalid("replace_identity must be a boolean");
    login.replace_identity = *flag;
  } else {
    return unknown_option();
  }
  return {};
}

}  // namespace

Result<LoginRequest> read_login_options(std::vector<Option>& options) {
  LoginRequest login;
  for (Option& option : options) {
    if (auto read = read_login_option(option, login); !read) return read.error();
  }
  return login;
}

}  // namespace credsync::ipc::dbus
