#include "daemon/oauth/discovery.h"

#include "base/text.h"
#include "daemon/config/secret_source.h"
#include "daemon/oauth/metadata.h"
#include "daemon/oauth/token_answer.h"
#include "daemon/provider/template.h"

namespace credsync::oauth {
namespace {

// Does what the profile's file says suffice?
bool suffices(const provider::Profile& profile, Purpose purpose) {
  const provider::Endpoints& at = profile.endpoints;
  switch (purpose) {
    case Purpose::kTokens:
      return !at.token.url.empty() && (profile.revoke.how != provider::RevokeHow::kRfc7009 || !at.revoke.url.empty());
    case Purpose::kAuthorize: return false;
    case Purpose::kDevice: return !at.token.url.empty() && !at.device.url.empty();
    case Purpose::kIdentity: return !at.jwks.url.empty() && !at.userinfo.url.empty();
  }
  return false;
}

}  // namespace

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

ExchangeOptions options_for(const config::Account& account, const ClientCredentials& client) {
  ExchangeOptions options = roots_of(account);
  options.client_certificate = account.client_certificate;
  if (!account.client_certificate.empty()) options.client_key = &client.private_key;
  return options;
}

HttpRequest plain_get(std::string url) {
  HttpRequest request;
  request.method = "GET";
  request.url = std::move(url);
  request.headers.push_back({"Accept", "application/json"});
  return request;
}

ExchangeOptions roots_of(const config::Account& account) {
  ExchangeOptions options;
  options.ca_file = account.ca_file;
  options.allow_http_loopback = account.allow_http_loopback;
  return options;
}

Failure spends_nothing(const TransportError& error) {
  Failure failure = read_transport_error(error);
  if (failure.failure_class == FailureClass::kAmbiguous) failure.failure_class = FailureClass::kNotSent;
  failure.sent = false;
  return failure;
}

Result<std::string> issuer_of(const config::Account& account) {
  return provider::expand(account.profile->issuer, account.profile->vars, account.vars);
}

std::variant<provider::Profile, Failure> Discovery::complete(const config::Account& account, Purpose purpose) {
  const provider::Profile& profile = *account.profile;
  if (profile.issuer.empty() || suffices(profile, purpose)) return profile;
  auto issuer = issuer_of(account);
  if (!issuer) return local_failure(issuer.error());
  const Key key{account.profile, *issuer, account.ca_file};
  if (auto known = remembered(key, purpose)) return std::move(*known);
  auto found = ask(account, *issuer);
  if (const auto* discovered = std::get_if<provider::Profile>(&found)) {
    const std::lock_guard lock(mutex_);
    if (found_.size() >= kMetadataCache) found_.clear();
    found_[key] = {*discovered, clock_.boot(), {}};
  } else if (auto known = remembered_unanswered(key, purpose)) {
    return std::move(*known);
  }
  return found;
}

std::optional<provider::Profile> Discovery::remembered(const Key& key, Purpose purpose) {
  const std::lock_guard lock(mutex_);
  const auto known = found_.find(key);
  if (known == found_.end()) return std::nullopt;
  const Found& found = known->second;
  const BootTime now = clock_.boot();
  const bool just_asked = purpose == Purpose::kTokens && found.unanswered && now - *found.unanswered < kMetadataRetry;
  if (now - found.at >= (just_asked ? kMetadataLifeUnanswered : kMetadataLife)) return std::nullopt;
  return found.profile;
}

std::optional<provider::Profile> Discovery::remembered_unanswered(const Key& key, Purpose purpose) {
  const std::lock_guard lock(mutex_);
  const auto known = found_.find(key);
  if (purpose != Purpose::kTokens || known == found_.end()) return std::nullopt;
  known->second.unanswered = clock_.boot();
  if (clock_.boot() - known->second.at >= kMetadataLifeUnanswered) return std::nullopt;
  return known->second.profile;
}

std::variant<provider::Profile, Failure> Discovery::ask(const config::Account& account, const std::string& issuer) {
  Failure last;
  last.failure_class = FailureClass::kTransient;
  for (const std::string& url : metadata_urls(issuer)) {
    ExchangeOutcome outcome = transport_.exchange(plain_get(url), roots_of(account));
    if (const auto* error = std::get_if<TransportError>(&outcome)) return spends_nothing(*error);
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
