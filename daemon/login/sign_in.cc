#include "daemon/login/sign_in.h"

#include <algorithm>

#include "base/fail_point.h"
#include "base/log.h"
#include "base/text.h"
#include "daemon/config/config.h"
#include "daemon/login/completion.h"
#include "daemon/login/same_person.h"
#include "daemon/login/session_words.h"

namespace credsync::login {

using account::Account;
using provider::Grant;
using refresh::ExchangeOrder;

struct SignIn::Running {
  std::shared_ptr<const config::Account> config;
  unsigned sign_in = 0;
  Secret refresh_token;  // that was sent: kept when the answer has none, and nobody else's until this is over
  Secret keep_password;
  bool password = false;
  bool person = false;  // tokens of a person, not of a program
  bool replace_identity = false;
  bool same_grant = false;  // the account's own refresh token was sent: it is who it was
  bool same_token = false;  // the refresh token is still the one that was sent
  refresh::Candidate candidate;
  Done done;
};

SignIn::SignIn(account::Accounts& accounts, oauth::TokenEndpoint& endpoint, refresh::Exchanger& exchanger,
               refresh::Installer& installer, oauth::AuthorizationServer& server, retire::Parking& parking,
               const Clock& clock)
    : accounts_(accounts),
      endpoint_(endpoint),
      exchanger_(exchanger),
      installer_(installer),
      server_(server),
      parking_(parking),
      clock_(clock) {}
SignIn::~SignIn() = default;

namespace {

Refused not_this_way(const Account& account, std::string words, std::string_view option) {
  return {Refusal::kNotThisWay, std::move(words), "credsync login " + account.name() + std::string(option)};
}

Refused from_failure(const Account* account, const oauth::Failure& failure) {
  using oauth::FailureClass;
  const std::string retry = account != nullptr ? "credsync login " + account->name() : "";
  switch (failure.failure_class) {
    case FailureClass::kNotSent:
    case FailureClass::kTransient:
    case FailureClass::kUntrusted:
    case FailureClass::kAmbiguous: return {Refusal::kTransient, failure.words, retry};
    default: return {Refusal::kProvider, failure.words, retry};
  }
}

}  // namespace

void SignIn::with_refresh_token(Account& account, Secret refresh_token, bool replace_identity, Done done) {
  const config::Account& config = account.config();
  const bool possible = config.profile->refresh.how == provider::RefreshHow::kRefreshToken &&
                        config.grant != Grant::kClientCredentials && config.grant != Grant::kStatic &&
                        config.grant != Grant::kImplicit;
  if (!possible) return done(not_this_way(account, "this account's grant has no refresh token", ""));
  if (const Account* holder = accounts_.holder_of(refresh_token, account)) {
    return done(Refused{Refusal::kHeldElsewhere,
                        "another account already holds this refresh token; two that renew one grant destroy it",
                        "credsync logout " + holder->name()});
  }
  if (being_imported(refresh_token, account)) {
    return done(Refused{
        Refusal::kBusy,
        "another account is being signed in to with this refresh token; two that renew one grant destroy it", ""});
  }
  ExchangeOrder order;
  order.input = oauth::RefreshInput{refresh_token.clone()};
  const account::TokenSet* live = live_tokens(accounts_, config);
  auto running = std::make_unique<Running>();
  running->same_grant = live != nullptr && same_secret(live->refresh_token, refresh_token);
  running->refresh_token = std::move(refresh_token);
  running->person = true;
  running->replace_identity = replace_identity;
  running->done = std::move(done);
  exchange(account, std::move(order), std::move(running));
}

// It is nobody's yet, but sent or about to be: a second time it would count as stolen.
bool SignIn::being_imported(const Secret& refresh_token, const Account& except) const {
  return std::any_of(running_.begin(), running_.end(), [&](const auto& other) {
    return other.first != except.name() && same_secret(other.second->refresh_token, refresh_token);
  });
}

void SignIn::with_password(Account& account, std::string username, Secret password, bool replace_identity, Done done) {
  if (account.config().grant != Grant::kPassword) {
    return done(not_this_way(account, "this account does not sign in with a password", ""));
  }
  if (username.empty()) username = account.config().username;
  ExchangeOrder order;
  auto running = std::make_unique<Running>();
  if (account.config().keep_password) running->keep_password = password.clone();
  order.input = oauth::PasswordInput{std::move(username), std::move(password)};
  running->password = running->person = true;
  running->replace_identity = replace_identity;
  running->done = std::move(done);
  exchange(account, std::move(order), std::move(running));
}

void SignIn::with_configured(Account& account, bool replace_identity, Done done) {
  const config::Account& config = account.config();
  ExchangeOrder order;
  switch (config.grant) {
    case Grant::kClientCredentials: order.input = oauth::ClientCredentialsInput{}; break;
    case Grant::kPassword:
      if (!config.password.present()) return done(not_this_way(account, "this account needs its password", ""));
      order.input = oauth::PasswordInput{config.username, {}};
      order.password_from_source = true;
      break;
    case Grant::kStatic:
      return done(not_this_way(account, "this account needs a token from its provider", " --token-stdin"));
    case Grant::kRefreshToken:
      return done(not_this_way(account, "this account needs a refresh token from elsewhere", " --refresh-token-stdin"));
    default: return done(not_this_way(account, "signing in to this account needs a person", ""));
  }
  auto running = std::make_unique<Running>();
  running->password = running->person = config.grant == Grant::kPassword;
  running->replace_identity = replace_identity;
  running->done = std::move(done);
  exchange(account, std::move(order), std::move(running));
}

void SignIn::exchange(Account& account, ExchangeOrder order, std::unique_ptr<Running> running) {
  const std::string name = account.name();
  if (running_.contains(name)) {
    return running->done(Refused{Refusal::kBusy, "a sign-in to this account is under way", ""});
  }
  running->config = account.shared_config();
  running->sign_in = account.sign_in();
  running_.emplace(name, std::move(running));
  order.account = account.shared_config();
  order.urgency = WallTime{};  // a person waits
  order.rotates = true;        // room for the answer is reserved: what a sign-in brings must not meet a full disk
  order.generation = 0;        // of no grant in use
  exchanger_.run(std::move(order), [this, name](refresh::Exchanged e) { exchanged(name, std::move(e)); });
}

void SignIn::exchanged(const std::string& name, refresh::Exchanged exchanged) {
  Running& running = *running_.at(name);
  if (const auto* failure = std::get_if<oauth::Failure>(&exchanged.outcome)) {
    installer_.give_back(name, exchanged.slot);
    return finish(name, from_failure(accounts_.find(name), *failure));
  }
  CREDSYNC_FAIL_POINT("sign-in.answered");
  refresh::Candidate candidate;
  candidate.config = running.config;
  candidate.sign_in = running.sign_in;
  candidate.new_sign_in = true;
  candidate.tokens = std::move(std::get<account::TokenSet>(exchanged.outcome));
  account::TokenSet& tokens = candidate.tokens;
  running.same_token = tokens.refresh_token.empty() || same_secret(tokens.refresh_token, running.refresh_token);
  if (tokens.refresh_token.empty()) tokens.refresh_token = running.refresh_token.clone();
  if (tokens.scope.empty()) tokens.scope = running.config->scopes;
  complete_refresh_end(*running.config->profile, tokens);
  candidate.order = std::move(exchanged.order);
  candidate.slot = exchanged.slot;
  candidate.clock_offset = exchanged.clock_offset;
  candidate.password_used = running.password;
  candidate.kept_password = std::move(running.keep_password);
  candidate.forget_kept_password = running.password;
  if (!running.person) return place(name, std::move(candidate));
  running.candidate = std::move(candidate);
  identify(name);
}

void SignIn::identify(const std::string& name) {
  oauth::IdentifyCall call;
  call.account = running_.at(name)->config;
  call.tokens = running_.at(name)->candidate.tokens.clone();  // ours stay here, whatever comes back
  server_.identify(std::move(call), [this, name](oauth::Identified who) { identified(name, std::move(who)); });
}

void SignIn::identified(const std::string& name, oauth::Identified identified) {
  Running& running = *running_.at(name);
  CREDSYNC_FAIL_POINT("sign-in.identified");
  account::TokenSet& tokens = running.candidate.tokens;
  const account::TokenSet* live = live_tokens(accounts_, *running.config);
  const bool to_compare = live != nullptr && !live->subject.empty() && !running.replace_identity;
  if (running.same_grant) {  // whatever it is called now; and its old refresh token may be used up
    if (live != nullptr && !live->subject.empty()) tokens.subject = live->subject;
    return place(name, std::move(running.candidate));
  }
  if (identified.failure) {
    NotCompleted why = from_failure(*identified.failure);
    // That the keys, or a secret of ours, could not be had just now is no reason to lose a grant that there is nothing to
    // compare with: what was imported may be used up.
    const bool not_known = why.may_pass || identified.failure->failure_class == oauth::FailureClass::kLocal;
    if (!not_known || to_compare) return refuse(name, std::move(why));
    return place(name, std::move(running.candidate));
  }
  tokens.subject = identified.tokens.subject;
  const std::string shown = clean_foreign_text(identified.display.empty() ? tokens.subject : identified.display);
  if (to_compare) {
    if (auto why = not_the_same_person(live, tokens.subject, shown)) return refuse(name, std::move(*why));
  }
  place(name, std::move(running.candidate));
}

// The tokens are retired like those of a stranger; but a refresh token that is still as it came is not ours to revoke.
void SignIn::refuse(const std::string& name, NotCompleted why) {
  Running& running = *running_.at(name);
  refresh::Candidate candidate = std::move(running.candidate);
  candidate.stranger = true;
  if (running.same_token) candidate.tokens.refresh_token = Secret{};
  log::notice("a sign-in failed", {{"ACCOUNT", name}, {"CLASS", why.error_class}, {"REASON", why.words}});
  Refused refused{why.may_pass ? Refusal::kTransient : Refusal::kProvider, std::move(why.words),
                  "credsync login " + name};
  installer_.place(std::move(candidate),
                   [this, name, refused = std::move(refused)](refresh::Placed, const std::string&) mutable {
                     finish(name, std::move(refused));
                   });
}

void SignIn::with_access_token(Account& account, Secret access_token, Done done) {
  const config::Account& config = account.config();
  const std::string name = account.name();
  if (config.grant == Grant::kClientCredentials || config.grant == Grant::kPassword) {
    return done(not_this_way(account, "this account gets its tokens by itself", ""));
  }
  const bool never_renews = config.grant == Grant::kStatic || config.grant == Grant::kImplicit ||
                            config.profile->refresh.how == provider::RefreshHow::kNever;
  if (!never_renews) {  // a bare access token would replace a grant that renews itself by one that ends
    return done(not_this_way(account, "this account renews itself; it needs a refresh token, not an access token",
                             " --refresh-token-stdin"));
  }
  if (running_.contains(name)) return done(Refused{Refusal::kBusy, "a sign-in to this account is under way", ""});
  auto running = std::make_unique<Running>();
  running->config = account.shared_config();
  running->done = std::move(done);
  running_.emplace(name, std::move(running));
  refresh::Candidate candidate;
  candidate.config = account.shared_config();
  candidate.sign_in = account.sign_in();
  candidate.new_sign_in = true;
  candidate.tokens.obtained_at = clock_.wall();
  candidate.tokens.expires_at = oauth::jwt_expiry(access_token.expose());
  if (!candidate.tokens.expires_at && config.profile->answer.default_lifetime) {
    candidate.tokens.expires_at = saturating_add(clock_.wall(), *config.profile->answer.default_lifetime);
  }
  candidate.tokens.access_token = std::move(access_token);
  candidate.tokens.scope = config.scopes;
  // What revoking it will take once it is replaced, or the one that it replaces now.
  endpoint_.make_order(account.shared_config(),
                       [this, name, candidate = std::move(candidate)](Result<Secret> order) mutable {
                         if (order) candidate.order = std::move(*order);
                         place(name, std::move(candidate));
                       });
}

void SignIn::place(const std::string& name, refresh::Candidate candidate) {
  installer_.place(std::move(candidate), [this, name](refresh::Placed placed, std::string words) {
    if (placed == refresh::Placed::kNotStored) return finish(name, Refused{Refusal::kStorage, std::move(words), ""});
    if (placed != refresh::Placed::kInstalled) {
      return finish(name, Refused{Refusal::kTransient, "the account changed while the sign-in was under way",
                                  "credsync login " + name});
    }
    parking_.retire_all_of(name);
    log::notice("signed in", {{"ACCOUNT", name}});
    finish(name, SignedIn{});
  });
}

void SignIn::finish(const std::string& name, Outcome outcome) {
  const auto at = running_.find(name);
  Done done = std::move(at->second->done);
  running_.erase(at);
  done(std::move(outcome));
}

}  // namespace credsync::login
