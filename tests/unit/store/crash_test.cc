// kill -9 at any moment: a child rotates tokens and says through a pipe what was acknowledged; whoever opens the state
// afterwards finds all of it, and nothing half done.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "tests/unit/store/store_testing.h"

namespace credsync::store {
namespace {

using namespace credsync::store::testing;

constexpr int kRounds = 250;
constexpr unsigned kAccounts = 6;

std::string name_of(unsigned account) {
  return "account-" + std::to_string(account);
}

enum class Said : std::uint8_t { kReady, kBegun, kInstalled, kOver };
// One acknowledgement; smaller than PIPE_BUF, so it arrives whole or not at all.
struct Word {
  Said said;
  unsigned account;
  std::uint64_t number;
};

// The child: every account begins a rotation, installs its answer, and again; every other one without a slot.
class Rotator {
 public:
  Rotator(const std::string& state, int pipe) : pipe_(pipe) {
    auto opened = SqliteStore::open(options_for(state), loop_, clock_);
    if (!opened) ::_exit(2);
    store_ = std::move(*opened);
    auto snapshot = store_->load();
    if (!snapshot) ::_exit(3);
    for (const Intent& intent : snapshot->intents)
      store_->apply(DropIntent{intent.account, intent.slot}, {});
    for (const StoredAccount& account : snapshot->accounts)
      generations_[account.name] = account.generation;
    for (const Retirement& retirement : snapshot->retirements)
      end(retirement.id);
  }
  [[noreturn]] void run() {
    say({Said::kReady, 0, 0});
    for (unsigned account = 0; account < kAccounts; ++account)
      rotate(account);
    loop_.run_until([] { return false; });
    ::_exit(4);
  }

 private:
  void say(Word word) { [[maybe_unused]] const ssize_t put = ::write(pipe_, &word, sizeof word); }
  void rotate(unsigned account) {
    if (account % 2 == 1) return answer(account, std::nullopt);
    store_->begin_rotation(intent(name_of(account), generations_[name_of(account)]),
                           [this, account](Result<SlotId> slot) {
                             if (!slot) return rotate(account);
                             say({Said::kBegun, account, *slot});
                             answer(account, *slot);
                           });
  }
  void answer(unsigned account, std::optional<SlotId> slot) {
    const Generation generation = generations_[name_of(account)] + 1;
    store_->apply(install(name_of(account), generation, slot), [this, account, generation](Result<Ids> ids) {
      if (!ids) ::_exit(5);
      generations_[name_of(account)] = generation;
      say({Said::kInstalled, account, generation});
      rotate(account);
    });
  }
  void end(std::int64_t id) {
    store_->apply(RetirementOver{id}, [this, id](Result<Ids> done) {
      if (done) say({Said::kOver, 0, static_cast<std::uint64_t>(id)});
    });
  }

  int pipe_;
  TestLoop loop_;
  TestClock clock_;
  std::unique_ptr<SqliteStore> store_;
  std::map<std::string, Generation> generations_;
};

// What the parent knows to be acknowledged.
struct Known {
  std::map<std::string, Generation> installed;
  std::set<std::int64_t> over;
};

class Crash : public ::testing::Test {
 protected:
  // Runs a child and kills it after `pause`; half of the time counted from the moment it is ready.
  void round(std::chrono::microseconds pause, bool when_ready) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(ends[0]);
      Rotator(folder_.state(), ends[1]).run();
    }
    ::close(ends[1]);
    if (when_ready) {
      pollfd ready{ends[0], POLLIN, 0};
      ASSERT_EQ(::poll(&ready, 1, 30'000), 1);
    }
    std::this_thread::sleep_for(pause);  // the moment of the crash is what this test draws
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << WEXITSTATUS(status);
    hear(ends[0]);
    ::close(ends[0]);
  }

  void hear(int pipe) {
    Word word{};
    while (::read(pipe, &word, sizeof word) == static_cast<ssize_t>(sizeof word)) {
      if (word.said == Said::kInstalled) {
        Generation& generation = known_.installed[name_of(word.account)];
        EXPECT_GT(word.number, generation) << "generations only grow";
        generation = word.number;
        ++acknowledged_;
      }
      if (word.said == Said::kOver) known_.over.insert(static_cast<std::int64_t>(word.number));
    }
  }

  void look() {
    TestLoop loop;
    TestClock clock;
    auto store = SqliteStore::open(options_for(folder_.state()), loop, clock);
    ASSERT_TRUE(store) << store.error().message();
    const auto snapshot = (*store)->load();
    ASSERT_TRUE(snapshot) << snapshot.error().message();
    EXPECT_TRUE(snapshot->damage.empty()) << snapshot->damage.front();
    std::map<std::string, std::set<Generation>> queued;
    for (const Retirement& r : snapshot->retirements) {
      EXPECT_EQ(r.token.expose(), "retired-" + r.account + "-" + std::to_string(r.generation));
      EXPECT_TRUE(queued[r.account].insert(r.generation).second) << "queued twice";
      EXPECT_FALSE(known_.over.contains(r.id)) << "over is over";
    }
    for (const auto& [account, generation] : known_.installed) {
      const StoredAccount* stored = find(*snapshot, account);
      ASSERT_NE(stored, nullptr) << account;
      EXPECT_GE(stored->generation, generation) << account << " lost what was acknowledged";
    }
    for (const StoredAccount& stored : snapshot->accounts)
      expect_whole(stored, queued[stored.name]);
    EXPECT_LE(snapshot->intents.size(), 4u);
  }

  // The tokens are those of the generation, and all it replaced since the last look is queued: all or nothing.
  void expect_whole(const StoredAccount& stored, const std::set<Generation>& queued) {
    ASSERT_TRUE(stored.tokens) << stored.name;
    EXPECT_EQ(stored.tokens->access_token.expose(), "access-" + stored.name + "-" + std::to_string(stored.generation));
    const Generation since = last_seen_[stored.name];
    EXPECT_GE(stored.generation, since) << stored.name << " went back";
    for (Generation g = std::max<Generation>(since, 1); g < stored.generation; ++g) {
      EXPECT_TRUE(queued.contains(g)) << stored.name << " generation " << g << " was superseded and not queued";
    }
    EXPECT_TRUE(queued.empty() || *queued.rbegin() < stored.generation) << stored.name << " queued its current one";
    last_seen_[stored.name] = stored.generation;
  }

  TemporaryFolder folder_{Where::kDisk};
  Known known_;
  std::map<std::string, Generation> last_seen_;
  unsigned acknowledged_ = 0;
};

TEST_F(Crash, NothingAcknowledgedIsLostAndNothingIsHalf) {
  std::mt19937 random(20260101);
  std::uniform_int_distribution<int> pause(0, 30'000);
  for (int i = 0; i < kRounds && !HasFatalFailure() && !HasNonfatalFailure(); ++i) {
    SCOPED_TRACE("round " + std::to_string(i));
    round(std::chrono::microseconds(pause(random)), i % 4 != 0);
    look();
  }
  EXPECT_GT(acknowledged_, 100u) << "the children must get somewhere";
  RecordProperty("acknowledged", static_cast<int>(acknowledged_));
  std::printf("%d kills, %u acknowledged installs\n", kRounds, acknowledged_);
}

}  // namespace
}  // namespace credsync::store
