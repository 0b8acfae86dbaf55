// The second half of a sign-in that a person began in a browser or on another device: what came back becomes tokens, it is
// found out whose they are, and only then, durable, they take the place of the old grant. Until that moment the old grant
// is untouched; what is not to take its place is retired. Loop only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "daemon/account/accounts.h"
#include "daemon/oauth/authorization_server.h"
#include "daemon/oauth/token_endpoint.h"
#include "daemon/refresh/exchanger.h"
#include "daemon/refresh/installer.h"
#include "daemon/retire/parking.h"
#include "daemon/retire/retirer.h"

namespace credsync::login {

// Tokens that are on their way to a place, with what is needed to store or to retire them.
struct NewGrant {
  account::TokenSet tokens;
  Secret order;
  std::optional<store::SlotId> slot;
};

struct CompletionOrder {
  std::shared_ptr<const config::Account> config;
  std::variant<oauth::CodeInput, NewGrant> from;  // a code, or tokens that came by themselves (implicit, device)
  std::map<std::string, std::string> kept;        // callback fields to keep
  Secret nonce;
  bool replace_identity = false;
};

struct Completed {
  account::Generation generation = 0;
  std::vector<std::string> granted;
  std::string identity;  // for people
};
// Why the account has no new grant. Its old one is as it was.
struct NotCompleted {
  std::string error_class;  // "invalid_grant", "identity", "storage", …
  std::string words;
  bool may_pass = false;  // the same sign-in can succeed when tried again later
  bool abandoned = false;
};
using CompletionOutcome = std::variant<Completed, NotCompleted>;

class Completion {
 public:
  struct Parts {
    account::Accounts& accounts;
    oauth::TokenEndpoint& endpoint;
    oauth::AuthorizationServer& server;
    refresh::Exchanger& exchanger;
    refresh::Installer& installer;
    store::TokenStore& store;
    retire::Parking& parking;
    retire::Retirer& retirer;
    const Clock& clock;
  };
  using Number = std::uint64_t;

  explicit Completion(const Parts& parts);
  ~Completion();

  // `done` is called once, later or before this returns: when nothing of it is under way any more.
  Number begin(CompletionOrder order, UniqueFunction<void(CompletionOutcome)> done);
  // Nobody wants it any more: what comes is retired, and `done` hears no success. False: too late, it is being stored.
  bool abandon(Number number);
  // Not in anybody's place: revoked where that cannot harm the live grant, else erased.
  void retire(const std::shared_ptr<const config::Account>& config, NewGrant grant);

  std::size_t under_way() const { return running_.size(); }

 private:
  struct Running;
  void exchanged(Number number, refresh::Exchanged exchanged);
  void ordered(Number number, Secret order);
  void identify(Number number);
  void identified(Number number, oauth::Identified identified);
  void place(Number number);
  void placed(Number number, refresh::Placed placed, const std::string& words);
  void refuse(Number number, NotCompleted why);
  void finish(Number number, CompletionOutcome outcome);

  const Parts parts_;
  std::map<Number, std::unique_ptr<Running>> running_;
  Number next_ = 1;
};

// The refresh token's known end, from what its profile says, unless the answer told.
void complete_refresh_end(const provider::Profile& profile, account::TokenSet& tokens);

}  // namespace credsync::login
