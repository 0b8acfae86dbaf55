#include "daemon/login/sign_out.h"

#include "base/fail_point.h"
#include "base/log.h"
#include "daemon/config/config.h"
#include "daemon/retire/plan.h"

namespace credsync::login {

using account::Account;

void SignOut::run(Account& account, UniqueFunction<void(Result<unsigned>)> done) {
  endpoint_.make_order(account.shared_config(),
                       [this, name = account.name(), sign_in = account.sign_in(), done = std::move(done)](
                           Secret order) mutable { settle(name, sign_in, std::move(order), std::move(done)); });
}

void SignOut::settle(const std::string& name, unsigned sign_in, Secret order,
                     UniqueFunction<void(Result<unsigned>)> done) {
  installer_.when_settled(name, [this, name, sign_in, order = std::move(order), done = std::move(done)]() mutable {
    commit(name, sign_in, std::move(order), std::move(done));
  });
}

void SignOut::commit(const std::string& name, unsigned sign_in, Secret order,
                     UniqueFunction<void(Result<unsigned>)> done) {
  Account* account = accounts_.find(name);
  if (account == nullptr || account->sign_in() != sign_in) {
    return done(Error(ErrorCode::kCancelled, "the account was signed in or out by somebody else meanwhile"));
  }
  std::vector<store::Retirement> plan;
  if (account->live() != nullptr) {
    const retire::Leaving leaving{
        name, account->config().identity, account->generation(), &account->live()->tokens, clock_.wall(), &order};
    plan = retire::plan_sign_out(*account->config().profile, leaving, clock_.wall());
  }
  for (store::Retirement& r : plan)
    r.id = store_.new_id();
  CREDSYNC_FAIL_POINT("sign-out.planned");
  installer_.hold_answers(name);  // they belong to the grant that ends, or goes on if this cannot be stored
  store::SignOut change;
  change.account = name;
  change.up_to = account->generation();
  change.standing = {account::State::kSignedOut, clock_.wall(), std::nullopt};
  for (const store::Retirement& r : plan)
    change.retire.push_back(r.clone());
  const account::Standing standing = change.standing;
  auto held = std::make_shared<std::vector<store::Retirement>>(std::move(plan));
  store_.apply(std::move(change),
               [this, name, standing, held, done = std::move(done)](Result<store::Ids> stored) mutable {
                 CREDSYNC_FAIL_POINT("sign-out.stored");
                 if (!stored) return installer_.let_go(name), done(stored.error());
                 const auto pending = static_cast<unsigned>(held->size());
                 if (Account* signed_out = accounts_.find(name)) {
                   accounts_.begin_sign_in(*signed_out);
                   accounts_.take_tokens(*signed_out);
                   accounts_.forget_password(*signed_out);
                   if (signed_out->unknown()) installer_.give_back(name, signed_out->unknown()->slot);
                   accounts_.set_unknown(*signed_out, std::nullopt);
                   accounts_.set_standing(*signed_out, standing);
                 }
                 retirer_.add(std::move(*held));
                 installer_.let_go(name);
                 log::notice("signed out", {{"ACCOUNT", name}, {"REVOCATIONS", std::to_string(pending)}});
                 done(pending);
               });
}

}  // namespace credsync::login
