// The keys of issuers, fetched and remembered. Blocking: worker threads only; one KeySource is shared by all of them.
// A failure means that an ID token cannot be checked now, never that it may be believed.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <variant>

#include "base/time.h"
#include "daemon/oauth/discovery.h"
#include "daemon/oauth/jwks.h"

namespace credsync::oauth {

constexpr Duration kKeysLife = 1h;        // as long as metadata
constexpr Duration kKeysPause = 60s;      // unknown key ids must not make us knock more often
constexpr std::size_t kKeysCache = 1024;  // key sets remembered

using KeysOrFailure = std::variant<std::shared_ptr<const KeySet>, Failure>;

class KeySource {
 public:
  KeySource(Transport& transport, const Clock& clock) : transport_(transport), clock_(clock) {}

  // Thread-safe. `url` is an expanded jwks_uri.
  KeysOrFailure get(const std::string& url, const config::Account& account) { return find(url, account, kKeysLife); }
  // After a token named a key that is not known: asks anew, unless that was done within kKeysPause.
  KeysOrFailure renew(const std::string& url, const config::Account& account) { return find(url, account, kKeysPause); }

 private:
  struct Found {
    std::shared_ptr<const KeySet> keys;
    BootTime at;
  };
  KeysOrFailure find(const std::string& url, const config::Account& account, Duration fresh);
  KeysOrFailure ask(const std::string& url, const config::Account& account);

  Transport& transport_;
  const Clock& clock_;
  std::mutex mutex_;                                            // guards found_, which all workers share
  std::map<std::pair<std::string, std::string>, Found> found_;  // by address and roots
};

}  // namespace credsync::oauth
