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
                           Result<Secret> order) mutable { settle(name, sign_in, std::move(order), std::move(done)); });
}

void SignOut::settle(const std::string& name, unsigned sign_in, Result<Secret> order,
                     UniqueFunction<void(Result<unsigned>)> done) {
  installer_.when_settled(name, [this, name, sign_in, order = std::move(order), done = std::move(done)]() mutable {
    commit(name, sign_in, std::move(order), std::move(done));
  });
}

void SignOut::commit(const std::string& name, unsigned sign_in, Result<Secret> order,
                     UniqueFunction<void(Result<unsigned>)> done) {
  Account* account = accounts_.find(name);
  if (account == nullptr || account->sign_in() != sign_in) {
    return done(Error(ErrorCode::kCancelled, "the account was signed in or out by somebody else meanwhile"));
  }
  std::vector<store::Retirement> plan;
  if (account->live() != nullptr) {
    const Secret later;
    const retire::Leaving leaving{name,
                                  account->config().identity,
                                  account->generation(),
                                  &account->live()->tokens,
                                  clock_.wall(),
                                  order ? &*order : &later,
                                  !order};
    plan = retire::plan_sign_out(*account->config().profile, leaving, clock_.wall());
    if (!order && !plan.empty()) {
      log::warning("what revoking takes cannot be had just now, and is asked for again",
                   {{"ACCOUNT", name}, {"REASON", order.error().message()}});
    }
  }
  for (store::Retirement& r : plan)
    r.id = store_.new_id();
  CREDSYNC_FAIL_POINT("sign-out.planned");
  parking_.do_not_come_back(*account);
  parking_.store_first(name);
  installer_.hold_answers(name);  // they belong to the grant that ends, or goes on if this cannot be stored
  store::SignOut change;
  change.account = name;
  change.up_to = account->generation();
  change.standing = {account::State::kSignedOut, clock_.wall(), std::nullopt};
  for (const store::Retirement& r : plan)
    change.retire.push_back(r.clone());
  auto held = std::make_shared<std::vector<store::Retirement>>(std::move(plan));
  store_.apply(std::move(change),
               [this, config = account->shared_config(), up_to = change.up_to, standing = change.standing, held,
                done = std::move(done)](Result<store::Ids> stored) mutable {
                 CREDSYNC_FAIL_POINT("sign-out.stored");
                 if (!stored) return installer_.let_go(config->name), done(stored.error());
                 const auto pending = static_cast<unsigned>(held->size());
                 over(*config, up_to, standing);
                 retirer_.add(std::move(*held));
                 installer_.let_go(config->name);
                 log::notice("signed out", {{"ACCOUNT", config->name}, {"REVOCATIONS", std::to_string(pending)}});
                 done(pending);
               });
}

// The account may have left the configuration, or have become another grant's, while this was on its way to the disk: then
// what was parked is what is over, and another grant that came back meanwhile, or is about to, is not.
void SignOut::over(const config::Account& config, account::Generation up_to, const account::Standing& standing) {
  Account* account = accounts_.find(config.name);
  parking_.signed_out(config.name, config.identity, up_to);
  if (account == nullptr) return accounts_.begin_sign_in(config.name);
  if (account->config().identity != config.identity && (account->live() != nullptr || account->coming_back())) return;
  accounts_.begin_sign_in(*account);
  accounts_.take_tokens(*account);
  accounts_.forget_password(*account);
  if (account->unknown()) installer_.give_back(config.name, account->unknown()->slot);
  accounts_.set_unknown(*account, std::nullopt);
  accounts_.set_standing(*account, standing);
}

}  // namespace credsync::login
