// The queue of tokens on their way out: waits for grace and promises, revokes at the provider, tries again until it is
// done or the token has ended by itself, then erases. The queue is the store's; here it is only worked off. Loop only.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/agenda.h"
#include "base/random.h"
#include "daemon/account/accounts.h"
#include "daemon/oauth/token_endpoint.h"
#include "daemon/store/token_store.h"

namespace credsync::retire {

constexpr unsigned kAtOnce = 8;              // revocations under way at a time: most of them are not urgent
constexpr unsigned kAtOnceOfOne = 4;         // of one provider
constexpr unsigned kAtOnceOfASilentOne = 1;  // that did not answer the last: each costs as long as an exchange may take
constexpr Duration kFirstRetry = 5s;         // doubling …
constexpr Duration kLongestRetry = 1h;       // … up to this

class Retirer {
 public:
  Retirer(account::Accounts& accounts, store::TokenStore& store, oauth::TokenEndpoint& endpoint, Agenda& agenda,
          const Clock& clock, Random& random);
  ~Retirer();

  // Retirements that are durable: with their ids.
  void add(std::vector<store::Retirement> retirements);

  struct Pending {
    unsigned count = 0;
    std::optional<WallTime> next;
  };
  Pending pending(std::string_view account) const;
  unsigned unrevoked(std::string_view account) const;
  std::size_t size() const { return queue_.size(); }

  void stop() { stopped_ = true; }
  std::size_t under_way() const { return under_way_; }
  void replan();  // after a step of the clock

  // Told of each token that was revoked, or erased without (`why` in plain words).
  using Observer = std::function<void(const store::Retirement&, bool revoked, std::string_view why)>;
  void observe(Observer observer) { observer_ = std::move(observer); }

  struct Counters {
    std::uint64_t revoked = 0, given_up = 0, retried = 0;
  };
  const Counters& counters() const { return counters_; }

 private:
  struct Item;
  // Those of one provider that wait for their turn. Somebody waits for what a sign-out queued.
  struct Line {
    std::deque<std::int64_t> of_sign_outs, others;
    unsigned under_way = 0;
    bool silent = false;
    bool has_room() const { return under_way < (silent ? kAtOnceOfASilentOne : kAtOnceOfOne); }
    bool idle() const { return of_sign_outs.empty() && others.empty() && under_way == 0 && !silent; }
  };
  template <typename Use>
  void each_of(std::string_view account, Use use) const;
  void leave_queue(std::int64_t id);
  void schedule(Item& item);
  void due(std::int64_t id);
  void next();
  std::optional<std::int64_t> take_next();
  std::string provider_of(const store::Retirement& r) const;
  void revoke(std::int64_t id);
  void answered(std::int64_t id, const oauth::RevocationOutcome& outcome);
  std::optional<WallTime> held_elsewhere(const store::Retirement& r) const;
  void over(std::int64_t id, bool revoked, std::string_view why);
  void erase(std::int64_t id);
  std::shared_ptr<const config::Account> present_config(const store::Retirement& r) const;

  account::Accounts& accounts_;
  store::TokenStore& store_;
  oauth::TokenEndpoint& endpoint_;
  Agenda& agenda_;
  const Clock& clock_;
  Random& random_;
  std::map<std::int64_t, std::unique_ptr<Item>> queue_;
  std::set<std::pair<std::string_view, std::int64_t>>
      of_accounts_;                                         // the queue by account, whose name lies in the item
  std::map<std::string, unsigned, std::less<>> unrevoked_;  // by account, since the start
  std::map<std::int64_t, std::unique_ptr<Agenda::Entry>> unerased_;  // over, but the store could not be told
  std::map<std::string, Line> lines_;                                // by provider
  std::string last_turn_;                                            // the provider that had it
  std::size_t under_way_ = 0;
  bool stopped_ = false;
  Observer observer_;
  Counters counters_;
};

}  // namespace credsync::retire
