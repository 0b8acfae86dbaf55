// What comes before every exchange with a provider: the client's secrets, the options of the transport, and a profile
// whose gaps the issuer's metadata has filled (RFC 8414, OpenID Connect Discovery). Blocking: worker threads only; one
// Discovery is shared by all of them. A failure says that nothing was sent to the token endpoint.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <variant>

#include "base/time.h"
#include "daemon/config/config.h"
#include "daemon/oauth/failure.h"
#include "daemon/oauth/token_request.h"
#include "daemon/oauth/transport.h"

namespace credsync::oauth {

constexpr Duration kMetadataLife = 1h;  // discovery documents change seldom; a failure asks again at once
// Tokens are asked for where the issuer last said, while it does not answer: its metadata often comes from another machine
// than its tokens. A sign-in is not begun so (decision 021).
constexpr Duration kMetadataLifeUnanswered = 24h;
constexpr Duration kMetadataRetry = 1min;     // an issuer that hangs must not cost each refresh a whole deadline
constexpr std::size_t kMetadataCache = 1024;  // issuers remembered

// Something of ours is wrong, before anything was sent.
Failure local_failure(const Error& error);

// Reads the client's secrets from where the account says. Error: a source that cannot be read.
Result<ClientCredentials> read_client(const config::Account& account);

// `client` must outlive the exchange.
ExchangeOptions options_for(const config::Account& account, const ClientCredentials& client);

// A GET for a public document, under the roots that hold for this account's provider.
HttpRequest plain_get(std::string url);
ExchangeOptions roots_of(const config::Account& account);
// Of an exchange that spends nothing: whatever happened to it, it may be repeated.
Failure spends_nothing(const TransportError& error);

// The issuer after the variables are filled in; empty where the profile names none.
Result<std::string> issuer_of(const config::Account& account);

// What a profile is needed for decides which gaps make it ask the issuer. A sign-in asks whenever there is an issuer:
// its metadata says what guards the answer (RFC 9207, RFC 9126, PKCE), and a network that blocks it must not weaken that.
enum class Purpose { kTokens, kAuthorize, kDevice, kIdentity };

class Discovery {
 public:
  Discovery(Transport& transport, const Clock& clock) : transport_(transport), clock_(clock) {}

  // Thread-safe.
  std::variant<provider::Profile, Failure> complete(const config::Account& account, Purpose purpose);

 private:
  // The profile as it was configured (kept alive, so that its address means it), the issuer, the roots it was asked under.
  using Key = std::tuple<std::shared_ptr<const provider::Profile>, std::string, std::string>;
  struct Found {
    provider::Profile profile;
    BootTime at;
    std::optional<BootTime> unanswered;  // when it was last asked for again, in vain
  };

  // What will do without asking.
  std::optional<provider::Profile> remembered(const Key& key, Purpose purpose);
  // What will do although asking failed.
  std::optional<provider::Profile> remembered_unanswered(const Key& key, Purpose purpose);
  std::variant<provider::Profile, Failure> ask(const config::Account& account, const std::string& issuer);

  Transport& transport_;
  const Clock& clock_;
  std::mutex mutex_;  // guards found_, which all workers share
  std::map<Key, Found> found_;
};

}  // namespace credsync::oauth
