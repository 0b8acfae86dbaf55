// How the client proves itself in a request: RFC 6749, 2.3; RFC 7521 and 7523; RFC 8705. Pure.
#pragma once

#include <vector>

#include "daemon/oauth/http.h"
#include "daemon/oauth/parameters.h"
#include "daemon/oauth/token_request.h"

namespace credsync::oauth {

// The first of the profile's methods that the client has the secret or key for; else `none` if it is listed
// (a public client); else the first, which then goes with an empty secret.
provider::ClientAuth choose_client_auth(const std::vector<provider::ClientAuth>& offered,
                                        const ClientCredentials& client);

struct ClientProof {
  provider::ClientAuth method = provider::ClientAuth::kBasic;
  provider::BasicEncoding basic_encoding = provider::BasicEncoding::kForm;
  std::string algorithm;  // of an assertion; empty: by the key
  std::string audience;   // of an assertion
  WallTime now;
};

// Adds what the method needs to `parameters` or `headers`. Errors: a key that cannot sign, a client_id Basic
// cannot carry.
Result<void> add_client_proof(const ClientProof& proof, const ClientCredentials& client, Random& random,
                              ParameterList& parameters, std::vector<Header>& headers);

}  // namespace credsync::oauth
