// The parameters of a request, as a profile wants them named, and the body or query they become. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "daemon/oauth/http.h"
#include "daemon/provider/profile.h"

namespace credsync::oauth {

struct Parameter {
  std::string name;
  WipedString value;
};

// In the order of the calls; a name is there once.
class ParameterList {
 public:
  void set(std::string_view name, std::string_view value);
  void remove(std::string_view name);
  void rename(std::string_view from, std::string_view to);
  void remove_empty();
  const std::vector<Parameter>& all() const { return all_; }

 private:
  std::vector<Parameter> all_;
};

// Scopes as one parameter. RFC 6749, 3.3 separates them by spaces; some providers do otherwise.
std::string scope_list(const std::vector<std::string>& scopes, std::string_view separator);

// What a profile adds and changes: leaves out, then sets (`set` holds expanded values), then renames, then
// drops the empty.
void apply_rules(const provider::Parameters& rules, const provider::StringMap& set, ParameterList& parameters);

// Puts the parameters where `encoding` says: into the body with its Content-Type, or into the URL's query. A
// GET has no body, so its parameters go into the query whatever the encoding. Errors: text that JSON cannot
// carry.
Result<void> encode_parameters(const ParameterList& parameters, provider::Encoding encoding, Random& random,
                               HttpRequest& request);

}  // namespace credsync::oauth
