#include "daemon/oauth/authorize_request.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "daemon/oauth/answer_body.h"
#include "daemon/oauth/error_rules.h"
#include "daemon/oauth/lifetime.h"
#include "daemon/oauth/request_frame.h"
#include "daemon/provider/names.h"

namespace credsync::oauth {
namespace {

using provider::Pkce;
using provider::RequestKind;
using provider::StateUse;

constexpr std::size_t kSecretBytes = 32;  // 43 characters: 256 bits, and the least RFC 7636, 4.1 allows
constexpr std::size_t kLeastVerifier = 43;
constexpr std::size_t kMostVerifier = 128;
constexpr std::size_t kMaxRequestUriBytes = 2048;
constexpr Duration kShortestPushed = 5s;
constexpr Duration kLongestPushed = 1h;
constexpr double kUsualPushedSeconds = 60;  // where expires_in is missing: RFC 9126, 2.2 expects 5 to 600

bool has_openid(const std::vector<std::string>& scopes) {
  return std::find(scopes.begin(), scopes.end(), "openid") != scopes.end();
}

bool is_verifier(std::string_view text) {
  const auto unreserved = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
  };
  return text.size() >= kLeastVerifier && text.size() <= kMostVerifier &&
         std::all_of(text.begin(), text.end(), unreserved);
}

std::string_view method_name(Pkce pkce) {
  return pkce == Pkce::kPlain ? "plain" : "S256";
}

Result<void> add_challenge(const provider::Authorize& rules, const AuthorizeInput& input, ParameterList& out) {
  if (rules.pkce == Pkce::kOff || input.implicit) return {};  // without a code there is nothing to bind
  const std::string_view method = method_name(rules.pkce);
  const auto& offered = rules.offered_challenges;
  if (!offered.empty() && std::find(offered.begin(), offered.end(), method) == offered.end()) {
    return invalid("the provider's metadata does not know PKCE with " + std::string(method) +
                   "; authorize.pkce in its profile can say what it knows");
  }
  const std::string_view verifier = input.secrets.verifier.expose();
  if (!is_verifier(verifier)) return invalid("PKCE needs a verifier of 43 to 128 unreserved characters");
  const WipedString challenge(rules.pkce == Pkce::kPlain ? std::string(verifier) : s256_challenge(verifier));
  out.set("code_challenge", challenge.text());
  out.set("code_challenge_method", method);
  return {};
}

// By their RFC names.
Result<ParameterList> standard_parameters(const provider::Authorize& rules, std::string_view client_id,
                                          const AuthorizeInput& input) {
  const AuthorizeSecrets& secrets = input.secrets;
  ParameterList out;
  out.set("client_id", client_id);
  out.set("redirect_uri", input.redirect_uri);
  // OpenID Connect Core, 3.2.2.1: with an ID token, which binds the access token to this request.
  const bool with_id_token = input.implicit && has_openid(input.scopes);
  out.set("response_type", with_id_token ? "id_token token" : input.implicit ? "token" : "code");
  out.set(rules.scope_parameter, scope_list(input.scopes, rules.scope_separator));
  if (rules.state != StateUse::kOff) {
    if (secrets.state.empty()) return invalid("the profile wants a state, and there is none");
    out.set("state", secrets.state.expose());
  }
  if (rules.nonce || has_openid(input.scopes)) {
    if (secrets.nonce.empty()) return invalid("an ID token needs a nonce, and there is none");
    out.set("nonce", secrets.nonce.expose());
  }
  CREDSYNC_TRY(add_challenge(rules, input, out));
  return out;
}

const Parameter* find(const ParameterList& list, std::string_view name) {
  for (const Parameter& parameter : list.all()) {
    if (parameter.name == name) return &parameter;
  }
  return nullptr;
}

std::string_view name_at_provider(const provider::Parameters& rules, const std::string& name) {
  const auto renamed = rules.rename.find(name);
  return renamed == rules.rename.end() ? std::string_view(name) : std::string_view(renamed->second);
}

// What guards the sign-in must still be there, unchanged, after every rule.
Result<void> check_guards(const provider::Parameters& rules, const ParameterList& standard, const ParameterList& all) {
  for (const char* name : {"state", "nonce", "code_challenge", "code_challenge_method"}) {
    const Parameter* due = find(standard, name);
    if (due == nullptr) continue;
    const Parameter* sent = find(all, name_at_provider(rules, name));
    if (sent == nullptr || sent->value.text() != due->value.text()) {
      return invalid(std::string("parameters.authorize takes back `") + name +
                     "`; authorize.pkce, state and nonce say what is used");
    }
  }
  return {};
}

Result<ParameterList> authorize_parameters(const provider::Profile& profile, const Expander& expander,
                                           std::string_view client_id, const AuthorizeInput& input) {
  static const provider::Parameters kNoRules;
  const auto found = profile.parameters.find(RequestKind::kAuthorize);
  const provider::Parameters& rules = found == profile.parameters.end() ? kNoRules : found->second;
  auto standard = standard_parameters(profile.authorize, client_id, input);
  auto all = standard_parameters(profile.authorize, client_id, input);
  if (!standard || !all) return standard.error();
  auto set = expander.values(rules.set);
  if (!set) return set.error().within("parameters.authorize");
  apply_rules(rules, *set, *all);
  for (const auto& [name, value] : input.params) {
    const auto is_name = [&, &name = name](std::string_view one) {  // clang before 16 captures no bindings
      return name == one || name == name_at_provider(rules, std::string(one));
    };
    if (std::any_of(std::begin(provider::kOwnParameters), std::end(provider::kOwnParameters), is_name)) {
      return invalid("params: `" + name + "` is set by credsyncd itself");
    }
    all->set(name, value);
  }
  CREDSYNC_TRY(check_guards(rules, *standard, *all));
  return all;
}

Result<Secret> browser_url(const provider::Profile& profile, const Expander& expander, const ParameterList& parameters,
                           Random& random) {
  if (profile.endpoints.authorize.url.empty()) return invalid("the provider has no authorization endpoint");
  auto url = expander.url(profile.endpoints.authorize.url);
  if (!url) return url.error().within("endpoints.authorize");
  HttpRequest request;
  request.method = "GET";
  request.url = std::move(*url);
  CREDSYNC_TRY(encode_parameters(parameters, provider::Encoding::kQuery, random, request));
  if (request.url.size() > kMaxAuthorizeUrlBytes) return invalid("the authorization request is longer than 16 KiB");
  return Secret::take(std::move(request.url));
}

}  // namespace

AuthorizeSecrets make_authorize_secrets(const provider::Profile& profile, const std::vector<std::string>& scopes,
                                        bool implicit, Random& random) {
  const auto make = [&] { return Secret::take(random.base64url(kSecretBytes)); };
  AuthorizeSecrets secrets;
  if (profile.authorize.state != StateUse::kOff) secrets.state = make();
  if (profile.authorize.nonce || has_openid(scopes)) secrets.nonce = make();
  if (profile.authorize.pkce != Pkce::kOff && !implicit) secrets.verifier = make();
  return secrets;
}

std::string s256_challenge(std::string_view verifier) {
  std::array<unsigned char, 32> digest{};
  unsigned size = 0;
  EVP_Digest(verifier.data(), verifier.size(), digest.data(), &size, EVP_sha256(), nullptr);
  return encode_base64url({reinterpret_cast<const char*>(digest.data()), size});
}

Result<Secret> build_authorize_url(const provider::Profile& profile, const Vars& vars, std::string_view client_id,
                                   const AuthorizeInput& input, Random& random) {
  const Expander expander(profile, vars, client_id);
  auto parameters = authorize_parameters(profile, expander, client_id, input);
  if (!parameters) return parameters.error();
  return browser_url(profile, expander, *parameters, random);
}

Result<HttpRequest> build_push_request(const provider::Profile& profile, const Vars& vars,
                                       const ClientCredentials& client, const AuthorizeInput& input, WallTime now,
                                       Random& random) {
  if (profile.endpoints.push.url.empty()) {
    return invalid("authorization requests must be pushed, and the provider has no endpoint for them");
  }
  const Expander expander(profile, vars, client.client_id);
  auto parameters = authorize_parameters(profile, expander, client.client_id, input);
  if (!parameters) return parameters.error();
  auto frame = make_frame(profile, expander, profile.endpoints.push, RequestKind::kPush);
  if (!frame) return frame.error();
  auto proof = proof_for(profile, expander, client, now);
  if (!proof) return proof.error();
  return finish_request(std::move(*frame), std::move(*parameters), &*proof, client, random);
}

std::variant<Pushed, Failure> read_push_answer(const provider::Profile& profile, const HttpResponse& response,
                                               const std::vector<std::string_view>& secrets) {
  const AnswerBody body = read_answer_body(response, provider::AnswerFormat::kJson);
  const JsonValue* uri = body.value.member("request_uri");
  const bool good = response.status >= 200 && response.status < 300 && uri != nullptr &&
                    uri->kind() == JsonValue::Kind::kString && !uri->text().empty() &&
                    uri->text().size() <= kMaxRequestUriBytes && is_header_value(uri->text());
  if (!good) {
    Failure failure = classify_answer(profile, response, body, RequestKind::kPush, Redactor(secrets));
    if (failure.failure_class == FailureClass::kNoToken) {
      failure.failure_class = FailureClass::kRefused;
      failure.words = "the provider took the pushed request, but its answer names no request_uri";
    }
    return failure;
  }
  const JsonValue* life = body.value.member("expires_in");
  const double seconds = life != nullptr ? life->as_number().value_or(kUsualPushedSeconds) : kUsualPushedSeconds;
  return Pushed{Secret(uri->text()), std::clamp(to_duration(seconds), kShortestPushed, kLongestPushed)};
}

Result<Secret> build_pushed_url(const provider::Profile& profile, const Vars& vars, std::string_view client_id,
                                const Secret& request_uri, Random& random) {
  static const provider::Parameters kNoRules;
  const auto found = profile.parameters.find(RequestKind::kAuthorize);
  const provider::Parameters& rules = found == profile.parameters.end() ? kNoRules : found->second;
  ParameterList parameters;
  parameters.set(name_at_provider(rules, "client_id"), client_id);
  parameters.set("request_uri", request_uri.expose());
  return browser_url(profile, Expander(profile, vars, client_id), parameters, random);
}

}  // namespace credsync::oauth
