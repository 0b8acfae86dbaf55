// Templates: {name} in a profile's URLs and parameters stands for a variable the account gives a value to.
// `{{` and `}}` are braces. Two names are reserved, are never declared and stay as they are until a request
// is built: {token} and {client_id}. Pure; safe on any thread.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "daemon/provider/profile.h"

namespace credsync::provider {

inline constexpr std::string_view kTokenVariable = "token";
inline constexpr std::string_view kClientIdVariable = "client_id";
constexpr std::size_t kMaxVariableBytes =
    253;  // of a value: a host name is the longest thing meant; also bounds the regex

// The names used, each once, in order. Error: a brace that is not closed, an empty or odd name.
Result<std::vector<std::string>> names_in_template(std::string_view text);

// Whether `value` may stand for the variable: in `allowed` if that is not empty, else matching `pattern`
// whole. The error says what is allowed.
Result<void> check_value(const Variable& variable, std::string_view value);

// `given` and the defaults of what is not given. Errors: a name that is not declared, a value that is not
// allowed, a variable with neither value nor default; each begins with the variable's name.
Result<StringMap> resolve(const std::map<std::string, Variable>& declared, const StringMap& given);

// The text with every {name} replaced, values checked, braces unescaped. Reserved names stay, as {token}.
Result<std::string> expand(std::string_view text, const std::map<std::string, Variable>& declared,
                           const StringMap& given);

// The same with values that resolve() has checked already: no patterns are run.
Result<std::string> expand_resolved(std::string_view text, const StringMap& values);

// Puts `value` in the place of a reserved name. In a URL it must be percent-encoded by the caller.
std::string fill_reserved(std::string_view text, std::string_view name, std::string_view value);

}  // namespace credsync::provider
