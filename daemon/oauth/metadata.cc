#include "daemon/oauth/metadata.h"

#include <algorithm>

#include "base/text.h"
#include "daemon/oauth/answer_body.h"
#include "daemon/provider/names.h"
#include "daemon/provider/url.h"

namespace credsync::oauth {
namespace {

using provider::ClientAuth;
using provider::Grant;
using provider::is_said;

Result<void> take_endpoint(const JsonValue& document, std::string_view name, bool allow_http_loopback,
                           provider::Endpoint& endpoint) {
  const JsonValue* value = document.member(name);
  if (value == nullptr || value->text().empty() || !endpoint.url.empty()) return {};
  const std::string_view url = value->text();
  if (url.find_first_of("{}") != url.npos)
    return invalid(std::string(name) + " holds a brace");  // it becomes a template
  if (auto checked = provider::check_endpoint_url(url, allow_http_loopback); !checked)
    return checked.error().within(name);
  endpoint.url = url;
  return {};
}

template <typename Enum>
struct Word {
  std::string_view name;
  Enum value;
};
// RFC 8414, 2, and the registry of token endpoint authentication methods.
constexpr Word<ClientAuth> kMethods[] = {{"client_secret_basic", ClientAuth::kBasic},
                                         {"client_secret_post", ClientAuth::kPost},
                                         {"private_key_jwt", ClientAuth::kPrivateKeyJwt},
                                         {"client_secret_jwt", ClientAuth::kClientSecretJwt},
                                         {"tls_client_auth", ClientAuth::kTls},
                                         {"self_signed_tls_client_auth", ClientAuth::kTls},
                                         {"none", ClientAuth::kNone}};
constexpr Word<Grant> kGrants[] = {{"authorization_code", Grant::kAuthorizationCode},
                                   {"implicit", Grant::kImplicit},
                                   {"password", Grant::kPassword},
                                   {"client_credentials", Grant::kClientCredentials},
                                   {"refresh_token", Grant::kRefreshToken},
                                   {"urn:ietf:params:oauth:grant-type:device_code", Grant::kDeviceCode}};

// The known words of a list, each once, in its order.
template <typename Enum, std::size_t N>
std::vector<Enum> words_in(const JsonValue& document, std::string_view name, const Word<Enum> (&known)[N]) {
  std::vector<Enum> found;
  const JsonValue* list = document.member(name);
  if (list == nullptr) return found;
  for (const JsonValue& item : list->items()) {
    for (const Word<Enum>& word : known) {
      if (word.name != item.text() || std::find(found.begin(), found.end(), word.value) != found.end()) continue;
      found.push_back(word.value);
    }
  }
  return found;
}

Result<void> take_endpoints(const JsonValue& document, bool allow_http_loopback, provider::Endpoints& endpoints) {
  const std::pair<std::string_view, provider::Endpoint*> names[] = {
      {"authorization_endpoint", &endpoints.authorize},
      {"token_endpoint", &endpoints.token},
      {"revocation_endpoint", &endpoints.revoke},
      {"device_authorization_endpoint", &endpoints.device},
      {"introspection_endpoint", &endpoints.introspect},
      {"userinfo_endpoint", &endpoints.userinfo},
      {"pushed_authorization_request_endpoint", &endpoints.push},
      {"jwks_uri", &endpoints.jwks}};
  for (const auto& [name, endpoint] : names)
    CREDSYNC_TRY(take_endpoint(document, name, allow_http_loopback, *endpoint));
  return {};
}

bool says_true(const JsonValue& document, std::string_view name) {
  const JsonValue* value = document.member(name);
  return value != nullptr && value->kind() == JsonValue::Kind::kBool && value->as_bool() == true;
}

// The texts of a list; none if it is no list or too long to be meant.
provider::Strings texts_in(const JsonValue& document, std::string_view name) {
  constexpr std::size_t kMost = 64;
  const JsonValue* list = document.member(name);
  if (list == nullptr || list->items().size() > kMost) return {};
  provider::Strings found;
  for (const JsonValue& item : list->items()) {
    if (!item.text().empty()) found.emplace_back(item.text());
  }
  return found;
}

// What guards a sign-in. A file can ask for more than the document says, never for less.
void take_guards(const JsonValue& document, provider::Profile& profile) {
  provider::Authorize& rules = profile.authorize;
  if (says_true(document, "authorization_response_iss_parameter_supported")) rules.iss_required = true;  // RFC 9207, 3
  if (says_true(document, "require_pushed_authorization_requests")) rules.push_required = true;          // RFC 9126, 5
  rules.offered_challenges = texts_in(document, "code_challenge_methods_supported");                     // RFC 8414, 2
  if (!is_said(profile, "answer.id_token_algorithms")) {
    profile.answer.id_token_algorithms = texts_in(document, "id_token_signing_alg_values_supported");
  }
}

}  // namespace

std::vector<std::string> metadata_urls(std::string_view issuer) {
  while (issuer.ends_with('/'))
    issuer.remove_suffix(1);  // RFC 8414, 3.1 and OpenID Discovery, 4.1
  const std::size_t scheme = issuer.find("://");
  if (scheme == issuer.npos) return {};
  const std::size_t path = std::min(issuer.find('/', scheme + 3), issuer.size());
  const std::string origin(issuer.substr(0, path));
  return {origin + "/.well-known/oauth-authorization-server" + std::string(issuer.substr(path)),
          std::string(issuer) + "/.well-known/openid-configuration"};
}

Result<provider::Profile> apply_metadata(provider::Profile profile, std::string_view issuer,
                                         const HttpResponse& response, bool allow_http_loopback) {
  if (response.status != 200) {
    return unavailable("the issuer's metadata: HTTP " + std::to_string(response.status));
  }
  const AnswerBody body = read_answer_body(response, provider::AnswerFormat::kJson);
  if (body.kind != AnswerBody::Kind::kObject || !body.value.is_object()) {
    return invalid("the issuer's metadata is not a JSON object");
  }
  const JsonValue& document = body.value;
  const JsonValue* told = document.member("issuer");
  if (told == nullptr || told->text() != issuer) {  // RFC 8414, 3.3: else anybody could speak for it
    return invalid("the metadata is of another issuer: " +
                   (told == nullptr ? std::string("none") : clean_foreign_text(told->text())));
  }
  const bool had_revocation = !profile.endpoints.revoke.url.empty();
  CREDSYNC_TRY(take_endpoints(document, allow_http_loopback, profile.endpoints));
  if (!had_revocation && !profile.endpoints.revoke.url.empty() && !is_said(profile, "revoke.how")) {
    profile.revoke.how = provider::RevokeHow::kRfc7009;
  }
  if (!is_said(profile, "client.auth")) {
    auto methods = words_in(document, "token_endpoint_auth_methods_supported", kMethods);
    if (!methods.empty()) profile.client.auth = std::move(methods);
  }
  take_guards(document, profile);
  if (profile.grants.empty()) profile.grants = words_in(document, "grant_types_supported", kGrants);
  return profile;
}

}  // namespace credsync::oauth
