#include "daemon/oauth/https_authorization_server.h"

#include <algorithm>

#include "base/text.h"
#include "daemon/oauth/id_token.h"
#include "daemon/oauth/request_frame.h"
#include "daemon/oauth/token_answer.h"
#include "daemon/oauth/userinfo.h"

namespace credsync::oauth {
namespace {

constexpr Duration kUserinfoPatience = 10s;  // a person waits, and can do without it

Failure refused_id_token(std::string words) {
  Failure failure;
  failure.failure_class = FailureClass::kRefused;
  failure.code = "id-token";
  failure.words = std::move(words);
  failure.sent = true;
  return failure;
}

// An implicit answer comes through the browser: without its ID token nothing binds the access token to this sign-in.
bool lacks_id_token(const IdentifyCall& call) {
  const auto& scopes = call.account->scopes;
  return call.account->grant == provider::Grant::kImplicit && !call.nonce.empty() && call.tokens.id_token.empty() &&
         std::find(scopes.begin(), scopes.end(), "openid") != scopes.end();
}

// Where the key that signed `token` is published; empty where it is no published key, or the profile does not say.
Result<std::string> jwks_url(const provider::Profile& profile, const config::Account& account, std::string_view token) {
  if (key_needed(token) != IdTokenKey::kIssuers || profile.endpoints.jwks.url.empty()) return std::string();
  return Expander(profile, account.vars, account.client_id).url(profile.endpoints.jwks.url);
}

}  // namespace

void HttpsAuthorizationServer::authorize(AuthorizeCall call,
                                         UniqueFunction<void(std::variant<AuthorizeAnswer, Failure>)> done) {
  workers_.run([this, call = std::move(call), done = std::move(done)]() mutable {
    auto result = authorize_now(call);
    loop_.post([result = std::move(result), done = std::move(done)]() mutable { done(std::move(result)); });
  });
}

void HttpsAuthorizationServer::start_device(std::shared_ptr<const config::Account> account,
                                            UniqueFunction<void(std::variant<DeviceAnswer, Failure>)> done) {
  workers_.run([this, account = std::move(account), done = std::move(done)]() mutable {
    auto result = start_device_now(*account);
    loop_.post([result = std::move(result), done = std::move(done)]() mutable { done(std::move(result)); });
  });
}

void HttpsAuthorizationServer::identify(IdentifyCall call, UniqueFunction<void(Identified)> done) {
  workers_.run([this, call = std::move(call), done = std::move(done)]() mutable {
    Identified result = identify_now(call);
    loop_.post([result = std::move(result), done = std::move(done)]() mutable { done(std::move(result)); });
  });
}

std::variant<AuthorizeAnswer, Failure> HttpsAuthorizationServer::authorize_now(const AuthorizeCall& call) {
  const config::Account& account = *call.account;
  // Before a person is sent anywhere: what will redeem the code must be at hand.
  auto client = read_client(account);
  if (!client) return local_failure(client.error());
  auto completed = discovery_.complete(account, Purpose::kAuthorize);
  if (auto* failure = std::get_if<Failure>(&completed)) return std::move(*failure);
  auto profile = std::make_shared<const provider::Profile>(std::move(std::get<provider::Profile>(completed)));
  auto issuer = issuer_of(account);
  if (!issuer) return local_failure(issuer.error());

  AuthorizeAnswer answer;
  answer.issuer = std::move(*issuer);
  answer.iss_required = profile->authorize.iss_required;
  const AuthorizeInput input{call.implicit, call.redirect_uri, call.secrets, account.scopes, account.params};
  Result<Secret> url = Secret();
  if (profile->authorize.push_required) {
    auto pushed = push_now(call, input, *client, *profile);
    if (auto* failure = std::get_if<Failure>(&pushed)) return std::move(*failure);
    const Pushed& got = std::get<Pushed>(pushed);
    answer.expires_in = got.expires_in;
    url = build_pushed_url(*profile, account.vars, account.client_id, got.request_uri, random_);
  } else {
    url = build_authorize_url(*profile, account.vars, account.client_id, input, random_);
  }
  if (!url) return local_failure(url.error());
  answer.url = std::move(*url);
  answer.profile = std::move(profile);
  return answer;
}

std::variant<Pushed, Failure> HttpsAuthorizationServer::push_now(const AuthorizeCall& call, const AuthorizeInput& input,
                                                                 const ClientCredentials& client,
                                                                 const provider::Profile& profile) {
  auto request = build_push_request(profile, call.account->vars, client, input, clock_.wall(), random_);
  if (!request) return local_failure(request.error());
  ExchangeOutcome outcome = transport_.exchange(*request, options_for(*call.account, client));
  if (const auto* error = std::get_if<TransportError>(&outcome)) return spends_nothing(*error);
  return read_push_answer(profile, std::get<HttpResponse>(outcome),
                          {client.secret.expose(), client.private_key.expose(), authorization_credentials(*request),
                           call.secrets.state.expose(), call.secrets.nonce.expose(), call.secrets.verifier.expose()});
}

std::variant<DeviceAnswer, Failure> HttpsAuthorizationServer::start_device_now(const config::Account& account) {
  auto client = read_client(account);
  if (!client) return local_failure(client.error());
  auto completed = discovery_.complete(account, Purpose::kDevice);
  if (auto* failure = std::get_if<Failure>(&completed)) return std::move(*failure);
  const provider::Profile& profile = std::get<provider::Profile>(completed);
  if (profile.endpoints.device.url.empty()) {
    return local_failure(Error(ErrorCode::kInvalid,
                               "this provider has no sign-in by device code: neither its profile nor "
                               "its issuer names an endpoint for it"));
  }
  auto request =
      build_token_request(profile, account.vars, *client, DeviceStartInput{}, account.scopes, clock_.wall(), random_);
  if (!request) return local_failure(request.error());
  ExchangeOutcome outcome = transport_.exchange(*request, options_for(account, *client));
  if (const auto* error = std::get_if<TransportError>(&outcome)) return spends_nothing(*error);
  const Asked asked{provider::RequestKind::kDeviceStart,
                    account.scopes,
                    {client->secret.expose(), client->private_key.expose(), authorization_credentials(*request)}};
  return read_device_answer(profile, std::get<HttpResponse>(outcome), asked);
}

Identified HttpsAuthorizationServer::identify_now(IdentifyCall& call) {
  Identified out;
  if (lacks_id_token(call)) {
    out.failure = refused_id_token("the provider sent no ID token, which an implicit sign-in with openid rests on");
  } else if (!call.tokens.id_token.empty()) {
    out.failure = believe_id_token(call, out);
  }
  std::string believed = std::move(out.tokens.subject);
  out.tokens = std::move(call.tokens);
  if (out.failure) return out;
  if (!believed.empty()) {
    out.tokens.subject = std::move(believed);
  } else {
    ask_userinfo(*call.account, out);
  }
  return out;
}

// Sets the subject and display of `out` from the ID token, if it is to be believed.
std::optional<Failure> HttpsAuthorizationServer::believe_id_token(const IdentifyCall& call, Identified& out) {
  const config::Account& account = *call.account;
  const auto key = key_needed(call.tokens.id_token.expose());
  // Only where our secret is the key: what the issuer signed with its own need not be doubted for want of ours.
  ClientCredentials client;
  if (key == IdTokenKey::kClientSecret) {
    auto read = read_client(account);
    if (!read) return local_failure(read.error());
    client = std::move(*read);
  }
  auto completed = discovery_.complete(account, Purpose::kIdentity);
  if (auto* failure = std::get_if<Failure>(&completed)) return std::move(*failure);
  const provider::Profile& profile = std::get<provider::Profile>(completed);
  auto issuer = issuer_of(account);
  if (!issuer) return local_failure(issuer.error());
  auto jwks = jwks_url(profile, account, call.tokens.id_token.expose());
  if (!jwks) return local_failure(jwks.error());
  const bool implicit = account.grant == provider::Grant::kImplicit;
  if (implicit && jwks->empty() && key != IdTokenKey::kClientSecret) {
    return refused_id_token("the ID token cannot be checked: the provider's profile names no keys (endpoints.jwks)");
  }
  const IdTokenExpectation expected{*issuer,
                                    account.client_id,
                                    client.secret.expose(),
                                    profile.answer.id_token_algorithms,
                                    nullptr,
                                    call.nonce.expose(),
                                    call.tokens.access_token.expose(),
                                    implicit,
                                    clock_.wall()};
  auto checked = check(call.tokens.id_token.expose(), expected, *jwks, account);
  if (auto* failure = std::get_if<Failure>(&checked)) return std::move(*failure);
  const IdTokenClaims& claims = std::get<IdTokenClaims>(checked);
  out.tokens.subject = clean_foreign_text(claims.subject, {}, kMaxSubjectBytes);
  out.display = claims.display;
  return std::nullopt;
}

// A key that is not known is asked for once more: the issuer may have changed its keys since.
std::variant<IdTokenClaims, Failure> HttpsAuthorizationServer::check(std::string_view token,
                                                                     IdTokenExpectation expected,
                                                                     const std::string& jwks,
                                                                     const config::Account& account) {
  std::shared_ptr<const KeySet> keys;
  IdTokenRefused refused;
  for (const auto ask : {&KeySource::get, &KeySource::renew}) {
    if (!jwks.empty()) {
      auto got = (keys_.*ask)(jwks, account);
      if (auto* failure = std::get_if<Failure>(&got)) return std::move(*failure);
      keys = std::move(std::get<std::shared_ptr<const KeySet>>(got));
      expected.keys = keys.get();
    }
    auto checked = check_id_token(token, expected);
    if (auto* claims = std::get_if<IdTokenClaims>(&checked)) return std::move(*claims);
    refused = std::move(std::get<IdTokenRefused>(checked));
    if (refused.fault != IdTokenFault::kUnknownKey) break;
  }
  return refused_id_token(std::move(refused.words));
}

// What fails here is not known, nothing more. A subject that the token answer named stays: it is there again next time.
void HttpsAuthorizationServer::ask_userinfo(const config::Account& account, Identified& out) {
  auto completed = discovery_.complete(account, Purpose::kIdentity);
  const auto* profile = std::get_if<provider::Profile>(&completed);
  if (profile == nullptr) return;
  auto request = build_userinfo_request(*profile, account.vars, account.client_id, out.tokens.access_token, random_);
  if (!request) return;
  ExchangeOptions options = roots_of(account);
  options.deadline = kUserinfoPatience;
  ExchangeOutcome outcome = transport_.exchange(*request, options);
  const auto* response = std::get_if<HttpResponse>(&outcome);
  if (response == nullptr) return;
  Userinfo userinfo = read_userinfo(*response, out.tokens.access_token);
  if (out.tokens.subject.empty()) out.tokens.subject = std::move(userinfo.subject);
  out.display = std::move(userinfo.display);
}

}  // namespace credsync::oauth
