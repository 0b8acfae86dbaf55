#include <gtest/gtest.h>

#include <random>

#include "tests/unit/store/houses.h"

namespace credsync::store {
namespace {

using namespace credsync::store::testing;

// Both stores get the same random history, with restarts in between, and must say the same of it.
class Twins {
 public:
  explicit Twins(unsigned seed) : random_(seed) { open(); }
  ~Twins() {
    real_.close();
    model_.close();
  }

  void step() {
    switch (pick(21)) {
      case 0:
      case 1:
      case 2: return both([&] { return Change{next_install()}; });
      case 3:
        return both([&] {
          const auto about =
              turn_ % 3 == 0 ? std::nullopt : std::optional<Generation>(turn_ % 3 == 1 ? 1 : generation_);
          return Change{SetStanding{name_, turn_ % 2 != 0 ? standing() : troubled(), about}};
        });
      case 4:
        both([&] { return Change{Forget{name_}}; });
        return void(std::erase_if(slots_, [&](const Pair& p) { return p.account == name_; }));  // intents go with it
      case 5: return both([&] { return Change{sign_out()}; });
      case 6: return both([&] { return Change{Park{park(), turn_ % 4 == 0}}; });
      case 7: return both([&] { return Change{Restore{any(parked_), standing(), turn_ % 2 != 0 ? generation_ : 0}}; });
      case 8: return both([&] { return Change{RetireParked{any(parked_), {}}}; });
      case 9: return both([&] { return Change{RetirementTried{any(retired_), turn_ % 9, wall_from_seconds(99)}}; });
      case 10: return both([&] { return Change{RetirementOver{any(retired_)}}; });
      case 11:
      case 12:
        return both([&] {
          return Change{SetPromised{name_, std::max<Generation>(generation_, 3) - turn_ % 3, moment()}};
        });
      case 13:
        if (turn_ % 2 != 0) return both([&] { return Change{SetSpent{name_, generation_}}; });
        return both([&] { return Change{SetLastUsed{name_, moment()}}; });
      case 14:
      case 15: return rotation();
      case 16: shared_ = true; return with_a_slot([&](SlotId slot) { return Change{FreeRoom{name_, slot}}; });
      case 17:
        if (shared_) return;  // its place may be another's, and the two stores say so in different words
        return with_a_slot([&](SlotId slot) { return Change{CountResend{name_, slot, generation_}}; });
      case 18: return with_a_slot([&](SlotId slot) { return Change{DropIntent{name_, slot}}; });
      case 19:
        return with_a_slot([&](SlotId slot) {
          return Change{UpdateParked{turn_ % 2 != 0 ? any(parked_) : 77, generation_, tokens(name_), {}, slot}};
        });
      default: return open();
    }
  }

 private:
  unsigned pick(unsigned below) { return std::uniform_int_distribution<unsigned>(0, below - 1)(random_); }
  std::int64_t any(const std::vector<std::int64_t>& ids) { return ids.empty() ? 77 : ids[turn_ % ids.size()]; }
  WallTime moment() const { return wall_from_seconds(1'700'000'000 + turn_); }

  // An intent in both, each under a number of its own; or in neither.
  void rotation() {
    choose();
    const Intent one = intent(name_, generation_);
    const auto real = begin(real_.store(), real_.loop, one);
    const auto model = begin(model_.store(), model_.loop, one);
    ASSERT_EQ(real.has_value(), model.has_value()) << (real ? model : real).error().message();
    if (real) slots_.push_back({name_, *real, *model});
  }
  // The same of the same intent, which may be over; the account is its own.
  template <typename Make>
  void with_a_slot(Make&& make) {
    if (slots_.empty()) return;
    choose();
    const Pair pair = slots_[turn_ % slots_.size()];
    name_ = pair.account;
    const auto one = apply(real_.store(), real_.loop, make(pair.real));
    const auto other = apply(model_.store(), model_.loop, make(pair.model));
    ASSERT_EQ(one.has_value(), other.has_value()) << (one ? other : one).error().message();
    if (!one) {
      ASSERT_EQ(one.error().code(), other.error().code());
    }
    const Change change = make(pair.real);
    if (one && (std::holds_alternative<DropIntent>(change) || std::holds_alternative<UpdateParked>(change)))
      std::erase_if(slots_, [&](const Pair& p) { return p.model == pair.model; });
  }

  Install next_install() {
    Install change = install(name_, generation_ + 1);
    if (turn_ % 2 == 0) change.promised_until = moment();
    if (turn_ % 3 == 0) change.identity = "another";
    change.replace_kept_password = turn_ % 5 == 0;
    if (turn_ % 10 != 0) change.kept_password = Secret("kept-" + std::to_string(turn_));
    for (Retirement& r : change.retire)
      r.id = id_++, retired_.push_back(r.id);
    return change;
  }
  SignOut sign_out() {
    SignOut change{name_, {}, standing(State::kSignedOut), turn_ % 4 == 0 ? 1 : generation_ + 1};
    change.retire.push_back(retirement(name_, generation_, "out"));
    change.retire[0].id = id_++;
    return change;
  }
  ParkedGrant park() {
    ParkedGrant grant = parked(name_, generation_);
    if (turn_ % 3 == 0) grant.identity = "another";
    grant.id = turn_ % 12 == 0 ? any(parked_) : id_++;  // again, then
    parked_.push_back(grant.id);
    return grant;
  }

  void choose() {
    name_ = "account-" + std::to_string(pick(3));
    turn_ = pick(1000);
    generation_ = pick(6) == 0 ? 1 : ++last_;
  }

  template <typename Make>
  void both(Make&& make) {
    choose();
    const std::int64_t id = id_;
    const auto parked_before = parked_;
    const auto retired_before = retired_;
    const auto one = apply(real_.store(), real_.loop, make());
    id_ = id;  // the same change once more
    parked_ = parked_before;
    retired_ = retired_before;
    const auto other = apply(model_.store(), model_.loop, make());
    ASSERT_EQ(one.has_value(), other.has_value()) << (one ? other : one).error().message();
    if (one) {
      ASSERT_EQ(*one, *other);
    } else {
      ASSERT_EQ(one.error().code(), other.error().code());
    }
  }

  void open() {
    // Of two intents that had one place in turn the real store finds room for one only; the model counts each.
    while (shared_ && !slots_.empty()) {
      const Pair pair = slots_.back();
      slots_.pop_back();
      ASSERT_TRUE(apply(real_.store(), real_.loop, DropIntent{pair.account, pair.real}));
      ASSERT_TRUE(apply(model_.store(), model_.loop, DropIntent{pair.account, pair.model}));
    }
    shared_ = false;
    const auto one = real_.open();
    const auto other = model_.open();
    ASSERT_TRUE(one && other);
    ASSERT_EQ(describe(*one), describe(*other));
  }

  std::mt19937 random_;
  SqliteHouse real_;
  MemoryHouse model_;
  std::string name_;
  unsigned turn_ = 0;
  Generation generation_ = 0;
  Generation last_ = 0;
  std::int64_t id_ = 1000;
  std::vector<std::int64_t> parked_, retired_;
  struct Pair {
    std::string account;
    SlotId real = 0, model = 0;
  };
  std::vector<Pair> slots_;  // of intents
  bool shared_ = false;      // one of them gave its place to others
};

TEST(Twins, AgreeOnRandomHistories) {
  for (unsigned seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(seed);
    Twins twins(seed);
    for (int i = 0; i < 120 && !::testing::Test::HasFatalFailure(); ++i)
      twins.step();
  }
}

}  // namespace
}  // namespace credsync::store
