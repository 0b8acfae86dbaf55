#include "tests/unit/oauth/oauth_testing.h"

#include "base/encoding.h"

namespace credsync::oauth::testing {

HttpResponse answer(int status, std::string body, std::vector<Header> headers) {
  HttpResponse response;
  response.status = status;
  response.body = WipedString(std::move(body));
  response.headers = std::move(headers);
  response.sent_at = kSent;
  response.received_at = kReceived;
  return response;
}

provider::Profile plain_profile() {
  provider::Profile profile;
  profile.id = "plain";
  profile.endpoints.token.url = "https://as.example/token";
  profile.endpoints.device.url = "https://as.example/device";
  profile.endpoints.introspect.url = "https://as.example/introspect";
  profile.endpoints.revoke.url = "https://as.example/revoke";
  profile.revoke.how = provider::RevokeHow::kRfc7009;
  profile.client.auth = {provider::ClientAuth::kPost, provider::ClientAuth::kNone};
  return profile;
}

ClientCredentials plain_client() {
  ClientCredentials client;
  client.client_id = "s6BhdRkqt3";
  client.secret = Secret("gX1fBat3bV");
  return client;
}

TokenOutcome read(const provider::Profile& profile, const HttpResponse& response, provider::RequestKind kind,
                  std::vector<std::string> scopes) {
  return read_token_answer(profile, response, Asked{kind, std::move(scopes), {}});
}

account::TokenSet tokens_of(TokenOutcome outcome) {
  if (auto* failure = std::get_if<Failure>(&outcome)) {
    ADD_FAILURE() << "no tokens: " << to_string(failure->failure_class) << ": " << failure->words;
    return {};
  }
  return std::move(std::get<account::TokenSet>(outcome));
}

Failure failure_of(TokenOutcome outcome) {
  if (auto* failure = std::get_if<Failure>(&outcome)) return std::move(*failure);
  ADD_FAILURE() << "tokens, where a failure was due";
  return {};
}

std::string header_of(const HttpRequest& request, std::string_view name) {
  std::string found;
  int count = 0;
  for (const Header& header : request.headers) {
    if (!same_header_name(header.name, name)) continue;
    found = header.value;
    ++count;
  }
  EXPECT_LE(count, 1) << name << " is there twice";
  return found;
}

std::map<std::string, std::string> form_of(std::string_view text) {
  std::map<std::string, std::string> fields;
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
    const std::size_t equals = pair.find('=');
    const auto name = decode_percent(pair.substr(0, equals), true);
    const auto value = decode_percent(equals == pair.npos ? "" : pair.substr(equals + 1), true);
    EXPECT_TRUE(name && value) << pair;
    if (name && value) {
      EXPECT_TRUE(fields.emplace(*name, *value).second) << *name << " is there twice";
    }
  }
  return fields;
}

HttpRequest request_for(const provider::Profile& profile, const GrantInput& input, const Vars& vars,
                        const std::vector<std::string>& scopes) {
  fakes::FakeRandom random;
  auto request = build_token_request(profile, vars, plain_client(), input, scopes, kSent, random);
  EXPECT_TRUE(request) << (request ? "" : request.error().message());
  return request ? std::move(*request) : HttpRequest();
}

HttpRequest request_for(const provider::Profile& profile, const ClientCredentials& client, const GrantInput& input) {
  fakes::FakeRandom random;
  auto request = build_token_request(profile, {}, client, input, {}, kSent, random);
  EXPECT_TRUE(request) << (request ? "" : request.error().message());
  return request ? std::move(*request) : HttpRequest();
}

std::string jwt(std::string_view payload) {
  return encode_base64url(R"({"alg":"RS256","typ":"JWT"})") + "." + encode_base64url(payload) + ".c2lnbmF0dXJl";
}

}  // namespace credsync::oauth::testing
