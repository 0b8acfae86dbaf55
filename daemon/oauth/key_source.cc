#include "daemon/oauth/key_source.h"

#include "base/text.h"

namespace credsync::oauth {

KeysOrFailure KeySource::find(const std::string& url, const config::Account& account, Duration fresh) {
  const std::pair key{url, account.ca_file};
  {
    const std::lock_guard lock(mutex_);
    const auto known = found_.find(key);
    if (known != found_.end() && clock_.boot() - known->second.at < fresh) return known->second.keys;
  }
  auto asked = ask(url, account);
  if (const auto* keys = std::get_if<std::shared_ptr<const KeySet>>(&asked)) {
    const std::lock_guard lock(mutex_);
    if (found_.size() >= kKeysCache) found_.clear();
    found_[key] = {*keys, clock_.boot()};
  }
  return asked;
}

KeysOrFailure KeySource::ask(const std::string& url, const config::Account& account) {
  ExchangeOutcome outcome = transport_.exchange(plain_get(url), roots_of(account));
  if (const auto* error = std::get_if<TransportError>(&outcome)) return spends_nothing(*error);
  const HttpResponse& response = std::get<HttpResponse>(outcome);
  auto keys = response.status == 200 ? KeySet::parse(response.body.text())
                                     : Result<KeySet>(unavailable("HTTP " + std::to_string(response.status)));
  if (keys) return std::make_shared<const KeySet>(std::move(*keys));
  Failure failure;
  failure.failure_class = FailureClass::kTransient;
  failure.code = "jwks";
  failure.words = "the issuer's keys at " + clean_foreign_text(url) + ": " + keys.error().message();
  failure.status = response.status;
  return failure;
}

}  // namespace credsync::oauth
