// The one owner of account state. Lives on the loop. What must be durable is so before it comes here ("persist, then
// publish"): Accounts only makes it visible, and tells those who watch.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/account/account.h"

namespace credsync::account {

enum class What { kToken, kState, kConfig, kRemoved, kForewarned };

// What is known of an account before this run.
struct Known {
  Generation generation = 0;
  Generation spent = 0;  // numbers up to this are not given again
  std::optional<TokenSet> tokens;
  WallTime promised_until;  // for these tokens, as far as it was stored
  Standing standing;
  bool password_used = false;
  Secret kept_password;
  std::optional<WallTime> last_used;
};

class Accounts {
 public:
  using Map = std::map<std::string, std::unique_ptr<Account>, std::less<>>;
  using Watcher = std::function<void(Account&, What)>;

  explicit Accounts(const Clock& clock) : clock_(clock) {}

  const Map& all() const { return all_; }
  Account* find(std::string_view name) const;

  // Called after each visible change, in the order of registration.
  void watch(Watcher watcher) { watchers_.push_back(std::move(watcher)); }

  Account& add(std::shared_ptr<const config::Account> config, Known known);
  // The generation survives the removal in the store; which sign-in it was, and which numbers are on their way through the
  // store, survive here: what is under way for the account finds the same one if its configuration comes back.
  void remove(Account& account);
  void replace_config(Account& account, std::shared_ptr<const config::Account> config);

  // The number of the next token set. Taken before it goes to the store, so that two on their way never share one.
  Generation next_generation(Account& account);
  // The same for a grant of this identity, whose account may be another grant's or have left the configuration; above `last`.
  Generation next_generation(std::string_view name, std::string_view identity, Generation last);
  // What was to be stored under this number was refused: nothing of it is on its way.
  void not_stored(std::string_view name, Generation number);
  // The number under which a parked grant of the account's identity comes back; `own`: the one that it has. It keeps that unless
  // another grant of the account came after it, or is on its way to the disk, so that no number means two tokens. While newer
  // tokens of the grant itself are on their way it keeps it too: they bring the next. `stored`: the disk has not refused it; on
  // one that fails what is on its way will hardly come there, and after a crash nothing would tell that a new number was seen.
  Generation restored_generation(Account& account, Generation own, bool stored);
  void set_coming_back(Account& account, bool comes) { account.coming_back_ = comes; }
  // Makes a durable generation visible. `promised`: what is stored with it of promises for its access token. `expires_boot`:
  // its end by the boot clock, where that is known better than by the wall clock as it is now, which may have been set since.
  void install(Account& account, Generation generation, TokenSet tokens, Standing standing, WallTime promised = {},
               std::optional<BootTime> expires_boot = {});
  // A new sign-in or a sign-out: late answers to what went before find another number.
  void begin_sign_in(Account& account) { ++account.sign_in_; }
  // The same for one that has left the configuration in this run.
  void begin_sign_in(const std::string& departed) { ++departed_[departed].sign_in; }
  void set_standing(Account& account, Standing standing);
  void set_password_used(Account& account, Secret kept);
  void set_unknown(Account& account, std::optional<UnknownOutcome> unknown) { account.unknown_ = unknown; }
  // The tokens leave the account (sign-out, parking). The generation stays.
  std::optional<TokenSet> take_tokens(Account& account);
  // The grant that the password brought is over; the next one may use it again.
  void forget_password(Account& account) {
    account.kept_password_.wipe();
    account.password_used_ = false;
  }

  // A caller was told the access token is good until then, which is `length` from now.
  void promise(Account& account, WallTime until, Duration length);
  // The promises of the present tokens, for who makes them durable.
  Live* promises(Account& account) { return account.live_ ? &*account.live_ : nullptr; }
  // People are told that the account will need a sign-in before long.
  void forewarn(Account& account) { tell(account, What::kForewarned); }
  void used(Account& account, WallTime at) { account.last_used_ = at; }
  Secret& memo(Account& account) { return account.live_->memo; }

  // Another account that holds this refresh token, if any: two rotators of one grant destroy it.
  const Account* holder_of(const Secret& refresh_token, const Account& except) const;

 private:
  void tell(Account& account, What what);

  struct Departed {
    unsigned sign_in = 0;
    Generation reserved = 0;
    Ordered ordered;
  };

  const Clock& clock_;
  Map all_;
  std::map<std::string, Departed, std::less<>> departed_;
  std::vector<Watcher> watchers_;
};

}  // namespace credsync::account
