#include "daemon/oauth/https_token_endpoint.h"

#include "daemon/config/secret_source.h"

namespace credsync::oauth {
namespace {

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

Failure no_revocation() {
  return local_failure(Error(ErrorCode::kNotFound, "the provider has no revocation"));
}

}  // namespace

HttpsTokenEndpoint::HttpsTokenEndpoint(Transport& transport, Discovery& discovery, WorkerPool& workers,
                                       WorkerPool& order_workers, Executor& loop, const Clock& clock)
    : transport_(transport),
      discovery_(discovery),
      workers_(workers),
      order_workers_(order_workers),
      loop_(loop),
      clock_(clock) {}

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

void HttpsTokenEndpoint::make_order(std::shared_ptr<const config::Account> account,
                                    UniqueFunction<void(Result<Secret>)> done) {
  order_workers_.run([this, account = std::move(account), done = std::move(done)]() mutable {
    auto made = make_order_now(*account);
    Result<Secret> order(Secret{});
    if (auto* failure = std::get_if<Failure>(&made)) {
      order = Error(ErrorCode::kUnavailable, failure->words);
    } else {
      order = std::move(std::get<Secret>(made));
    }
    loop_.post([order = std::move(order), done = std::move(done)]() mutable { done(std::move(order)); });
  });
}

// The present secrets and addresses.
std::variant<Secret, Failure> HttpsTokenEndpoint::make_order_now(const config::Account& account) {
  auto client = read_client(account);
  if (!client) return local_failure(client.error());
  auto profile = discovery_.complete(account, Purpose::kTokens);
  if (auto* failure = std::get_if<Failure>(&profile)) return std::move(*failure);
  return order_for(std::get<provider::Profile>(profile), account, *client);
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
  auto completed = discovery_.complete(account, Purpose::kTokens);
  if (auto* failure = std::get_if<Failure>(&completed)) return {std::move(*failure), {}};
  const provider::Profile& profile = std::get<provider::Profile>(completed);
  auto request =
      build_token_request(profile, account.vars, *client, call.input, account.scopes, clock_.wall(), random_);
  if (!request) return {local_failure(request.error()), {}};

  ExchangeOptions options = options_for(account, *client);
  options.fresh_connection = call.fresh_connection;
  options.send_before = call.send_before;
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
  if (call.account != nullptr) {  // what is stored is older
    auto made = make_order_now(*call.account);
    auto* failure = std::get_if<Failure>(&made);
    if (failure == nullptr) {
      call.order = std::move(std::get<Secret>(made));
      if (call.order.empty()) return {RevocationResult::kRefused, no_revocation()};
    } else if (call.order.empty()) {
      return {RevocationResult::kRetry, std::move(*failure)};
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

}  // namespace credsync::oauth
