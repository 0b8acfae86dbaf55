// What every request to a provider is made of: an expanded URL, headers, the client's proof, parameters.
// Pure.
#pragma once

#include <string>
#include <string_view>

#include "daemon/oauth/client_auth.h"
#include "daemon/oauth/http.h"
#include "daemon/oauth/parameters.h"
#include "daemon/oauth/token_request.h"

namespace credsync::oauth {

// Fills in the variables of one profile's templates, {client_id} among them. Borrows what it is made from.
class Expander {
 public:
  Expander(const provider::Profile& profile, const Vars& vars, std::string_view client_id)
      : profile_(profile), vars_(vars), client_id_(client_id) {}

  // An absolute http(s) URL; whether plain http is allowed is for configuration and transport to say. {token}
  // stays.
  Result<std::string> url(std::string_view text) const;
  Result<std::string> text(std::string_view text) const;
  Result<provider::StringMap> values(const provider::StringMap& templates) const;

 private:
  const provider::Profile& profile_;
  const Vars& vars_;
  std::string_view client_id_;
};

struct Frame {
  std::string method;
  std::string url;  // expanded
  provider::Encoding encoding = provider::Encoding::kForm;
  provider::StringMap headers;                  // expanded; they replace ours
  const provider::Parameters* rules = nullptr;  // may be null
  provider::StringMap set;                      // rules->set, expanded
};

// Frame of a request to `endpoint` of kind `kind`. Error: a template without its variable.
Result<Frame> make_frame(const provider::Profile& profile, const Expander& expander, const provider::Endpoint& endpoint,
                         provider::RequestKind kind);

// How the client proves itself in a request of this profile. Error: an assertion whose audience cannot be told.
Result<ClientProof> proof_for(const provider::Profile& profile, const Expander& expander,
                              const ClientCredentials& client, WallTime now);

// The finished request. `proof` null: the client is not named at all.
Result<HttpRequest> finish_request(Frame frame, ParameterList parameters, const ClientProof* proof,
                                   const ClientCredentials& client, Random& random);

}  // namespace credsync::oauth
