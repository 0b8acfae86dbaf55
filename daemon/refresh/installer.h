// Gives an answer its place, whenever it comes: the next generation of its account if its sign-in and identity are still
// current, beside the parked grant it belongs to, or the retirement queue. Nothing a provider gave us is dropped.
// Lives on the loop. "Persist, then publish" is here.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/agenda.h"
#include "base/random.h"
#include "daemon/account/accounts.h"
#include "daemon/config/config.h"
#include "daemon/retire/parking.h"
#include "daemon/retire/retirer.h"
#include "daemon/store/token_store.h"

namespace credsync::refresh {

struct Candidate {
  std::shared_ptr<const config::Account> config;  // as it was when the request was made
  unsigned sign_in = 0;                           // account::Account::sign_in() then
  account::Generation replaces = 0;               // the generation that was refreshed
  bool new_sign_in = false;                       // replaces whatever grant the account has
  bool stranger = false;     // the tokens are somebody else's: never installed, whatever is current
  account::TokenSet tokens;  // complete: a refresh token that was not answered is carried over
  Secret order;
  std::optional<store::SlotId> slot;
  std::optional<Duration> clock_offset;  // Exchanged::clock_offset; unset: nothing was sent for it
  bool password_used = false;
  Secret kept_password;  // to keep; only with new_sign_in
  bool forget_kept_password = false;
};

enum class Placed { kInstalled, kParked, kRetired, kNotStored };

class Installer {
 public:
  Installer(account::Accounts& accounts, store::TokenStore& store, retire::Parking& parking, retire::Retirer& retirer,
            Agenda& agenda, const Clock& clock, Random& random)
      : accounts_(accounts),
        store_(store),
        parking_(parking),
        retirer_(retirer),
        agenda_(agenda),
        clock_(clock),
        random_(random) {
    parking_.connect(
        [this](const std::string& account, UniqueFunction<void()> then) { when_settled(account, std::move(then)); });
  }

  // `done` is called once, when the answer is durable where it belongs (or with kNotStored and why).
  void place(Candidate candidate, UniqueFunction<void(Placed, std::string)> done);

  // Runs `then` when no generation of this account is between the order to store it and the store's word: now, if none
  // is. What the account shows is then what the database holds.
  void when_settled(const std::string& account, UniqueFunction<void()> then);

  // The account's grant is about to be replaced or ended, if the store takes that. Until it has spoken nobody knows whether
  // an answer for the grant is late or its newest tokens: answers wait for let_go(). Once at a time, when settled.
  void hold_answers(const std::string& account);
  void let_go(const std::string& account);
  // Runs `then` when it is known whether the grant goes on: now, if no answers are held, else by let_go().
  void when_known(const std::string& account, UniqueFunction<void()> then);

  // The intent of this slot says nothing of a grant in use, and no answer will come into it: tried until it is free.
  void give_back(const std::string& account, std::optional<store::SlotId> slot);

 private:
  struct Commit;
  bool current(const Candidate& candidate) const;
  void decide(Candidate candidate, UniqueFunction<void(Placed, std::string)> done);
  void stored(std::shared_ptr<Commit> commit, Result<store::Ids> ids);
  void install(Candidate candidate, UniqueFunction<void(Placed, std::string)> done);
  void installed(std::shared_ptr<Commit> commit, Result<store::Ids> ids);
  void settled(const std::string& account);
  void place_late(Candidate candidate, UniqueFunction<void(Placed, std::string)> done);
  void update_parked(Candidate candidate, std::int64_t id, account::Generation generation, bool durable,
                     UniqueFunction<void(Placed, std::string)> done);
  void mind_the_clock(Candidate& candidate) const;
  static std::optional<BootTime> boot_end(const Candidate& candidate);
  void give_up(Candidate candidate, UniqueFunction<void(Placed, std::string)> done);
  void queue(std::vector<store::Retirement> retire, const store::Ids& ids);
  WallTime promised_of(const account::Live& live) const;
  void remember_promise(const account::Account& account);
  WallTime promised_before(const std::string& account, const Secret& access_token) const;
  WallTime keep_longer(std::vector<store::Retirement>& retire, const account::Live& old) const;
  void keep_promises(Commit& commit, const store::Ids& ids);

  account::Accounts& accounts_;
  store::TokenStore& store_;
  retire::Parking& parking_;
  retire::Retirer& retirer_;
  Agenda& agenda_;
  const Clock& clock_;
  Random& random_;
  struct OnTheWay {
    unsigned orders = 0;  // without the store's word
    bool holding = false;
    std::string identity;                         // of the last that was ordered: what the row holds in the end
    std::vector<UniqueFunction<void()>> held;     // answers, until let_go()
    std::vector<UniqueFunction<void()>> waiting;  // for the last order
  };
  std::map<std::string, OnTheWay> on_the_way_;  // by account
  std::map<store::SlotId, std::unique_ptr<Agenda::Entry>> unfreed_;
  // What callers were promised of an access token that a sign-in replaced, until that is over: a late answer for the old
  // grant may bring the same token again.
  struct Left {
    Left(Secret token, WallTime until, Agenda& agenda, std::function<void()> on_over)
        : access_token(std::move(token)), promised_until(until), over(agenda, std::move(on_over)) {}
    Secret access_token;
    WallTime promised_until;
    Agenda::Entry over;
  };
  std::map<std::string, std::unique_ptr<Left>> left_;  // by account: the last one
};

}  // namespace credsync::refresh
