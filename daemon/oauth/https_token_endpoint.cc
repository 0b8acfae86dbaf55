#include "daemon/oauth/https_token_endpoint.h"

#include "base/text.h"
#include "daemon/config/secret_source.h"
#include "daemon/oauth/metadata.h"
#include "daemon/provider/template.h"

namespace credsync::oauth {
namespace {

Failure local_failure(const Error& error) {
  Failure failure;
  failure.failure_class = FailureClass::kLocal;
  failure.code = "local";
  failure.words = clean_foreign_text(error.message());
  return failure;
}

Result<ClientCredentials> read_client(const config::Account& account) {
  ClientCredentials client;
  client.client_id = account.client_id;
  client.key_id = account.client_key_id;
  if (account.client_secret.present()) {
    auto secret = config::read_secret(account.client_secret);
    if (!secret) return secret.error().within("client_secret");
    client.secret = std::move(*secret);
  }
  if (account.client_key.present()) {
    auto key = config::read_secret(account.client_key);
    if (!key) return key.error().within("client_key");
    client.private_key = std::move(*key);
  }
  return client;
}

// What must not be shown if the provider echoes it.
std::vector<std::string_view> secrets_of(const ClientCredentials& client, const GrantInput& input,
                                         const HttpRequest& request) {
  std::vector<std::string_view> secrets{client.secret.expose(), client.private_key.expose(),
                                        authorization_credentials(request)};
  if (const auto* p = std::get_if<PasswordInput>(&input)) secrets.push_back(p->password.expose());
  if (const auto* r = std::get_if<RefreshInput>(&input)) secrets.push_back(r->refresh_token.expose());
  if (const auto* a = std::get_if<AccessRefreshInput>(&input)) secrets.push_back(a->access_token.expose());
  if (const auto* d = std::get_if<DevicePollInput>(&input)) secrets.push_back(d->device_code.expose());
  if (const auto* c = std::get_if<CodeInput>(&input)) {
    secrets.push_back(c->code.expose());
    secrets.push_back(c->verifier.expose());
  }
  return secrets;
}

ExchangeOptions options_for(const config::Account& account, const ClientCredentials& client) {
  ExchangeOptions options;
  options.ca_file = account.ca_file;
  options.allow_http_loopback = account.allow_http_loopback;
  options.client_certificate = account.client_certificate;
  if (!account.client_certificate.empty()) options.client_key = &client.private_key;
  return options;
}

// Empty where the provider has no revocation.
Secret order_for(const provider::Profile& profile, const config::Account& account, const ClientCredentials& client) {
  if (profile.revoke.how == provider::RevokeHow::kNone || profile.endpoints.revoke.url.empty()) return {};
  auto order = make_revocation_order(profile, account.vars, client);
  if (!order) return {};
  order->ca_file = account.ca_file;
  order->allow_http_loopback = account.allow_http_loopback;
  order->client_certificate = account.client_certificate;
  return serialise(*order);
}

}  // namespace

HttpsTokenEndpoint::HttpsTokenEndpoint(Transport& transport, WorkerPool& workers, Executor& loop, const Clock& clock)
    : transport_(transport), workers_(workers), loop_(loop), clock_(clock) {}

void HttpsTokenEndpoint::call(TokenCall call, UniqueFunction<void(CallResult)> done) {
  workers_.run([this, call = std::move(call), done = std::move(done)]() mutable {
    CallResult result = call_now(call);
    loop_.post([result = std::move(result), done = std::move(done)]() mutable { done(std::move(result)); });
  });
}

void HttpsTokenEndpoint::revoke(RevokeCall call, UniqueFunction<void(RevocationOutcome)> done) {
  workers_.run([this, call = std::move(call), done = std::move(done)]() mutable {
    RevocationOutcome outcome = revoke_now(call);
    loop_.post([outcome = std::move(outcome), done = std::move(done)]() mutable { done(std::move(outcome)); });
  });
}

void HttpsTokenEndpoint::make_order(std::shared_ptr<const config::Account> account, UniqueFunction<void(Secret)> done) {
  workers_.run([this, account = std::move(account), done = std::move(done)]() mutable {
    Secret order;
    auto client = read_client(*account);
    auto profile = complete_profile(*account);
    if (client && std::holds_alternative<provider::Profile>(profile)) {
      order = order_for(std::get<provider::Profile>(profile), *account, *client);
    }
    loop_.post([order = std::move(order), done = std::move(done)]() mutable { done(std::move(order)); });
  });
}

CallResult HttpsTokenEndpoint::call_now(TokenCall& call) {
  const config::Account& account = *call.account;
  auto client = read_client(account);
  if (!client) return {local_failure(client.error()), {}};
  if (call.password_from_source) {
    auto password = config::read_secret(account.password);
    if (!password) return {local_failure(password.error().within("password")), {}};
    std::get<PasswordInput>(call.input).password = std::move(*password);
  }
  auto completed = complete_profile(account);
  if (auto* failure = std::get_if<Failure>(&completed)) return {std::move(*failure), {}};
  const provider::Profile& profile = std::get<provider::Profile>(completed);
  auto request =
      build_token_request(profile, account.vars, *client, call.input, account.scopes, clock_.wall(), random_);
  if (!request) return {local_failure(request.error()), {}};

  ExchangeOptions options = options_for(account, *client);
  options.fresh_connection = call.fresh_connection;
  ExchangeOutcome outcome = transport_.exchange(*request, options);
  if (const auto* error = std::get_if<TransportError>(&outcome)) return {read_transport_error(*error), {}};
  Asked asked{kind_of(call.input), account.scopes, secrets_of(*client, call.input, *request)};
  CallResult result{read_token_answer(profile, std::get<HttpResponse>(outcome), asked), {}};
  if (auto* tokens = std::get_if<account::TokenSet>(&result.outcome)) {
    result.order = order_for(profile, account, *client);
    // Only where nothing but time can be lost: an answer that rotates goes straight to its storage.
    if (profile.answer.introspect_expiry && !tokens->expires_at && !call.fresh_connection) {
      introspect_end(profile, account, *client, *tokens);
    }
  }
  return result;
}

void HttpsTokenEndpoint::introspect_end(const provider::Profile& profile, const config::Account& account,
                                        const ClientCredentials& client, account::TokenSet& tokens) {
  auto request =
      build_introspection_request(profile, account.vars, client, tokens.access_token, clock_.wall(), random_);
  if (!request) return;
  ExchangeOutcome outcome = transport_.exchange(*request, options_for(account, client));
  const auto* response = std::get_if<HttpResponse>(&outcome);
  if (response == nullptr) return;
  if (auto introspection = read_introspection(*response); introspection && introspection->active) {
    tokens.expires_at = introspection->expires_at;
  }
}

RevocationOutcome HttpsTokenEndpoint::revoke_now(RevokeCall& call) {
  const auto refused = [](const Error& error) {
    return RevocationOutcome{RevocationResult::kRetry, local_failure(error)};
  };
  if (call.account != nullptr) {  // the present secrets and addresses, where they can be had
    auto client = read_client(*call.account);
    auto profile = complete_profile(*call.account);
    if (client && std::holds_alternative<provider::Profile>(profile)) {
      call.order = order_for(std::get<provider::Profile>(profile), *call.account, *client);
    }
  }
  auto order = parse_revocation_order(call.order);
  if (!order) return refused(order.error());
  auto request = build_revocation_request(*order, call.kind, call.token, clock_.wall(), random_);
  if (!request) return refused(request.error());
  ExchangeOptions options;
  options.ca_file = order->ca_file;
  options.allow_http_loopback = order->allow_http_loopback;
  options.client_certificate = order->client_certificate;
  if (!order->client_certificate.empty()) options.client_key = &order->private_key;
  ExchangeOutcome outcome = transport_.exchange(*request, options);
  if (const auto* error = std::get_if<TransportError>(&outcome)) {
    return {RevocationResult::kRetry, read_transport_error(*error)};
  }
  const std::vector<std::string_view> secrets{call.token.expose(), order->client_secret.expose(),
                                              order->private_key.expose(), authorization_credentials(*request)};
  return read_revocation_answer(order->rules, std::get<HttpResponse>(outcome), secrets);
}

// Endpoints that are needed and left out are found by the issuer's metadata (RFC 8414).
HttpsTokenEndpoint::ProfileOrFailure HttpsTokenEndpoint::complete_profile(const config::Account& account) {
  const provider::Profile& profile = *account.profile;
  const bool revocation_missing =
      profile.revoke.how == provider::RevokeHow::kRfc7009 && profile.endpoints.revoke.url.empty();
  const bool complete = !profile.endpoints.token.url.empty() && !revocation_missing;
  if (profile.issuer.empty() || complete) return profile;
  auto issuer = provider::expand(profile.issuer, profile.vars, account.vars);
  if (!issuer) return local_failure(issuer.error());
  const MetadataKey key{account.profile, *issuer, account.ca_file};
  {
    const std::lock_guard lock(mutex_);
    const auto known = metadata_.find(key);
    if (known != metadata_.end() && clock_.boot() - known->second.at < kMetadataLife) return known->second.profile;
  }
  auto found = discover(account, *issuer);
  if (const auto* discovered = std::get_if<provider::Profile>(&found)) {
    const std::lock_guard lock(mutex_);
    if (metadata_.size() >= kMetadataCache) metadata_.clear();
    metadata_[key] = {*discovered, clock_.boot()};
  }
  return found;
}

HttpsTokenEndpoint::ProfileOrFailure HttpsTokenEndpoint::discover(const config::Account& account,
                                                                  const std::string& issuer) {
  Failure last;
  last.failure_class = FailureClass::kTransient;
  for (const std::string& url : metadata_urls(issuer)) {
    HttpRequest request;
    request.method = "GET";
    request.url = url;
    request.headers.push_back({"Accept", "application/json"});
    ExchangeOptions options;
    options.ca_file = account.ca_file;
    options.allow_http_loopback = account.allow_http_loopback;
    ExchangeOutcome outcome = transport_.exchange(request, options);
    if (const auto* error = std::get_if<TransportError>(&outcome)) {
      Failure failure = read_transport_error(*error);
      // Discovery spends nothing: whatever happened to it, the token request was not sent.
      if (failure.failure_class == FailureClass::kAmbiguous) failure.failure_class = FailureClass::kNotSent;
      failure.sent = false;
      return failure;
    }
    auto profile =
        apply_metadata(*account.profile, issuer, std::get<HttpResponse>(outcome), account.allow_http_loopback);
    if (profile) return std::move(*profile);
    last.code = "discovery";
    last.words = "discovery at " + clean_foreign_text(url) + ": " + profile.error().message();
    last.status = std::get<HttpResponse>(outcome).status;
  }
  return last;
}

}  // namespace credsync::oauth
