// Signing out: everything of the grant that can be revoked is queued for it, durably, and the account forgets it. Loop only.
#pragma once

#include <string>

#include "base/result.h"
#include "daemon/account/accounts.h"
#include "daemon/oauth/token_endpoint.h"
#include "daemon/refresh/installer.h"
#include "daemon/retire/parking.h"
#include "daemon/retire/retirer.h"
#include "daemon/store/token_store.h"

namespace credsync::login {

class SignOut {
 public:
  SignOut(account::Accounts& accounts, store::TokenStore& store, oauth::TokenEndpoint& endpoint,
          retire::Retirer& retirer, retire::Parking& parking, refresh::Installer& installer, const Clock& clock)
      : accounts_(accounts),
        store_(store),
        endpoint_(endpoint),
        retirer_(retirer),
        parking_(parking),
        installer_(installer),
        clock_(clock) {}

  // `done` gets the number of revocations that are pending, once the sign-out is durable.
  void run(account::Account& account, UniqueFunction<void(Result<unsigned>)> done);

 private:
  // A generation that is on its way to the disk is waited for, so that the one the database holds is what is revoked.
  void settle(const std::string& name, unsigned sign_in, Result<Secret> order,
              UniqueFunction<void(Result<unsigned>)> done);
  void commit(const std::string& name, unsigned sign_in, Result<Secret> order,
              UniqueFunction<void(Result<unsigned>)> done);
  void over(const config::Account& config, account::Generation up_to, const account::Standing& standing);

  account::Accounts& accounts_;
  store::TokenStore& store_;
  oauth::TokenEndpoint& endpoint_;
  retire::Retirer& retirer_;
  retire::Parking& parking_;
  refresh::Installer& installer_;
  const Clock& clock_;
};

}  // namespace credsync::login
