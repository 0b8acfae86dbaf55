// Authorization server metadata (RFC 8414, OpenID Connect Discovery 1.0). Pure.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "daemon/oauth/http.h"
#include "daemon/provider/profile.h"

namespace credsync::oauth {

// Where the metadata of `issuer` may be, in the order to try: RFC 8414 with the path inserted, then OpenID's
// appended.
std::vector<std::string> metadata_urls(std::string_view issuer);

// Fills the fields of `profile` that its file left empty from a metadata document. The document's issuer must
// equal `issuer` exactly (RFC 8414, 3.3), endpoints must be https (http on loopback when
// `allow_http_loopback`).
Result<provider::Profile> apply_metadata(provider::Profile profile, std::string_view issuer,
                                         const HttpResponse& response, bool allow_http_loopback);

}  // namespace credsync::oauth
