// Who an access token belongs to, asked at the provider's userinfo endpoint (OpenID Connect Core, 5.3, and what others
// call so). Pure; every input is hostile.
#pragma once

#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "daemon/oauth/http.h"
#include "daemon/oauth/token_request.h"
#include "daemon/provider/profile.h"

namespace credsync::oauth {

// A GET, unless the profile's file names another method, with the token as callers deliver it. Errors: the profile has
// no such endpoint, a template without its variable, a token that cannot stand in a header.
Result<HttpRequest> build_userinfo_request(const provider::Profile& profile, const Vars& vars,
                                           std::string_view client_id, const Secret& access_token, Random& random);

struct Userinfo {
  std::string subject;  // `sub`, `id`, `user_id` or `username`, the first that is there; cleaned; may be empty
  std::string display;  // an e-mail address or a name; cleaned; may be empty
};
// Empty texts where the answer is not 200 with a JSON object.
Userinfo read_userinfo(const HttpResponse& response, const Secret& access_token);

}  // namespace credsync::oauth
