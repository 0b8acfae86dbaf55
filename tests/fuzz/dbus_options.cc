// The options of D-Bus methods, whatever names and types a caller puts into its a{sv}.
//
// Lines "TYPE name value": the type is b, t, x, s, S (a secret) or anything else for a type that no option has.
#include "ipc/dbus/options.h"

#include <cstdlib>

#include "ipc/dbus/limits.h"
#include "tests/fuzz/fuzz.h"

using namespace credsync;
using namespace credsync::fuzz;
using ipc::dbus::Option;

namespace {

std::vector<Option> read_options(Input& input) {
  std::vector<Option> options;
  while (!input.rest().empty() && options.size() < ipc::dbus::kMaxOptions) {
    const std::string_view line = input.line();
    const std::size_t name_end = std::min(line.find(' ', 2), line.size());
    Option option;
    option.name = line.substr(std::min<std::size_t>(2, line.size()), name_end - std::min<std::size_t>(2, name_end));
    const std::string value = with_canaries(line.substr(std::min(name_end + 1, line.size())));
    switch (line.empty() ? '?' : line.front()) {
      case 'b': option.value = value == "true"; break;
      case 't': option.value = std::uint64_t{std::strtoull(value.c_str(), nullptr, 10)}; break;
      case 'x': option.value = std::int64_t{std::strtoll(value.c_str(), nullptr, 10)}; break;
      case 's': option.value = value; break;
      case 'S': option.value = Secret(value); break;
      default: break;
    }
    options.push_back(std::move(option));
  }
  return options;
}

void check_words(const Error& error) {
  HOLDS(is_fit_to_show(error.message()) && !shows_canary(error.message()));
}

}  // namespace

void run(Input input) {
  std::vector<Option> options = read_options(input);
  if (const auto token = ipc::dbus::read_token_options(options)) {
    HOLDS(token->min_valid >= Duration::zero() && token->min_valid <= days(365));
    HOLDS(token->wait >= Duration::zero() && token->wait <= std::chrono::seconds(ipc::dbus::kLongestWait));
  } else {
    check_words(token.error());
  }
  if (const auto wait = ipc::dbus::read_wait_option(options)) {
    HOLDS(*wait >= Duration::zero() && *wait <= std::chrono::seconds(ipc::dbus::kLongestWait));
  } else {
    check_words(wait.error());
  }
  if (const auto login = ipc::dbus::read_login_options(options)) {
    HOLDS(!login->browser_user || *login->browser_user != static_cast<uid_t>(-1));  // as the HTTP door has it
  } else {
    check_words(login.error());
  }
}
