// Signing in without a person at a browser: an imported refresh token, an imported access token, a password, or credentials that the
// configuration already has. The old grant stays untouched until the new one is complete and durable. Loop only.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <variant>

#include "daemon/account/accounts.h"
#include "daemon/oauth/authorization_server.h"
#include "daemon/oauth/token_endpoint.h"
#include "daemon/login/completion.h"
#include "daemon/refresh/exchanger.h"
#include "daemon/refresh/installer.h"
#include "daemon/retire/parking.h"

namespace credsync::login {

enum class Refusal {
  kNotThisWay,     // the account's grant cannot be signed in to like this
  kHeldElsewhere,  // another account holds this refresh token
  kBusy,           // a sign-in to this account is under way
  kProvider,       // the provider said no, for good
  kTransient,      // it could not be asked, or is ill: try again
  kStorage,        // the answer could not be stored
};

struct Refused {
  Refusal refusal = Refusal::kNotThisWay;
  std::string words;
  std::string next_step;  // a command; may be empty
};

struct SignedIn {};
using Outcome = std::variant<SignedIn, Refused>;
using Done = UniqueFunction<void(Outcome)>;

class SignIn {
 public:
  SignIn(account::Accounts& accounts, oauth::TokenEndpoint& endpoint, refresh::Exchanger& exchanger,
         refresh::Installer& installer, oauth::AuthorizationServer& server, retire::Parking& parking,
         const Clock& clock);
  ~SignIn();

  // `replace_identity`: somebody else than before may sign in (see same_person.h).

  // The token is used at once, so that a wrong one is known now and not at night.
  void with_refresh_token(account::Account& account, Secret refresh_token, bool replace_identity, Done done);
  // A personal access token, or one from elsewhere: kept as it is. Its end comes from the token (JWT) or the profile.
  // Nobody is asked whose it is.
  void with_access_token(account::Account& account, Secret access_token, Done done);
  void with_password(account::Account& account, std::string username, Secret password, bool replace_identity,
                     Done done);
  // client_credentials, or a password that the configuration names.
  void with_configured(account::Account& account, bool replace_identity, Done done);

  std::size_t under_way() const { return running_.size(); }

 private:
  struct Running;
  bool being_imported(const Secret& refresh_token, const account::Account& except) const;
  void exchange(account::Account& account, refresh::ExchangeOrder order, std::unique_ptr<Running> running);
  void exchanged(const std::string& account, refresh::Exchanged exchanged);
  void identify(const std::string& account);
  void identified(const std::string& account, oauth::Identified identified);
  void refuse(const std::string& account, NotCompleted why);
  void place(const std::string& account, refresh::Candidate candidate);
  void finish(const std::string& account, Outcome outcome);

  account::Accounts& accounts_;
  oauth::TokenEndpoint& endpoint_;
  refresh::Exchanger& exchanger_;
  refresh::Installer& installer_;
  oauth::AuthorizationServer& server_;
  retire::Parking& parking_;
  const Clock& clock_;
  std::map<std::string, std::unique_ptr<Running>> running_;  // by account: one at a time
};

}  // namespace credsync::login
