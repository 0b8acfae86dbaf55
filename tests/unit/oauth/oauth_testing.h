// What the tests of the messages share: answers at a fixed time, profiles, a request taken apart.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/text.h"
#include "daemon/oauth/token_answer.h"
#include "daemon/oauth/token_request.h"
#include "tests/fakes/fake_random.h"

namespace credsync::oauth::testing {

constexpr WallTime kSent = wall_from_seconds(1'800'000'000);  // Fri, 15 Jan 2027 08:00:00 GMT
constexpr WallTime kReceived = kSent + 200ms;

HttpResponse answer(int status, std::string body, std::vector<Header> headers = {});

// A profile with every endpoint on https://as.example and the RFCs' defaults, client in the body.
provider::Profile plain_profile();
ClientCredentials plain_client();  // s6BhdRkqt3 / gX1fBat3bV, the client of RFC 6749's examples

TokenOutcome read(const provider::Profile& profile, const HttpResponse& response,
                  provider::RequestKind kind = provider::RequestKind::kRefresh, std::vector<std::string> scopes = {});
account::TokenSet tokens_of(TokenOutcome outcome);  // fails the test when there are none
Failure failure_of(TokenOutcome outcome);           // fails the test when there is none

std::string header_of(const HttpRequest& request, std::string_view name);  // empty if there is none
// A form body or query, decoded; fails the test on a name that is there twice.
std::map<std::string, std::string> form_of(std::string_view text);

HttpRequest request_for(const provider::Profile& profile, const GrantInput& input, const Vars& vars = {},
                        const std::vector<std::string>& scopes = {});
HttpRequest request_for(const provider::Profile& profile, const ClientCredentials& client, const GrantInput& input);

// A JWT with that payload and a signature of no worth.
std::string jwt(std::string_view payload);

}  // namespace credsync::oauth::testing
