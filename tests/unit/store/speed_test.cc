// Gates far above what is normal, so that only a mistake (a sync per row, a look-up per row) trips them; the figures are
// printed.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>

#include "tests/unit/store/store_testing.h"

namespace credsync::store {
namespace {

using namespace credsync::store::testing;
using std::chrono::steady_clock;

constexpr int kAccounts = 10'000;

double since(steady_clock::time_point start) {
  return std::chrono::duration<double>(steady_clock::now() - start).count();
}

class Speed : public ::testing::Test {
 protected:
  void open() {
    store_.reset();
    SqliteStoreOptions options = options_for(folder_.state());
    options.slots = {};
    const auto start = steady_clock::now();
    store_ = std::move(*SqliteStore::open(options, loop_, clock_));
    opened_ = since(start);
  }
  // Until all are durable.
  void install_all(int count, Generation generation) {
    int done = 0;
    for (int i = 0; i < count; ++i) {
      store_->apply(install("account-" + std::to_string(i), generation), [&](Result<Ids> ids) { done += ids ? 1 : 0; });
    }
    ASSERT_TRUE(loop_.run_until([&] { return done == count; }));
  }

  TestLoop loop_;
  TestClock clock_;
  TemporaryFolder folder_{Where::kDisk};
  std::unique_ptr<SqliteStore> store_;
  double opened_ = 0;
};

TEST_F(Speed, LoadingTenThousandAccounts) {
  open();
  ASSERT_TRUE(store_->load());
  auto start = steady_clock::now();
  install_all(kAccounts, 1);
  std::printf("first start (files of slots made): %.3f s; %d installs: %.3f s\n", opened_, kAccounts, since(start));
  open();
  start = steady_clock::now();
  const auto snapshot = store_->load();
  const double loaded = since(start);
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->accounts.size(), static_cast<std::size_t>(kAccounts));
  std::printf("open: %.3f s; load of %d accounts: %.3f s\n", opened_, kAccounts, loaded);
  EXPECT_LT(loaded, 5.0);
}

TEST_F(Speed, AThousandRotationsAreCommittedTogether) {
  open();
  ASSERT_TRUE(store_->load());
  install_all(1000, 1);
  const auto start = steady_clock::now();
  install_all(1000, 2);
  const double took = since(start);
  std::printf("1000 installs with a retirement each: %.3f s\n", took);
  EXPECT_LT(took, 5.0);
}

TEST_F(Speed, OneRotationFromIntentToAcknowledgement) {
  open();
  ASSERT_TRUE(store_->load());
  constexpr int kTurns = 200;
  double begun = 0, answered = 0;
  for (Generation g = 1; g <= kTurns; ++g) {
    auto start = steady_clock::now();
    const auto slot = begin(*store_, loop_, intent("a", g));
    ASSERT_TRUE(slot);
    begun += since(start);
    start = steady_clock::now();
    ASSERT_TRUE(apply(*store_, loop_, install("a", g, *slot)));
    answered += since(start);
  }
  std::printf("intent: %.3f ms, answer: %.3f ms (mean of %d, one after another)\n", begun / kTurns * 1e3,
              answered / kTurns * 1e3, kTurns);
  EXPECT_LT(begun + answered, 60.0);
}

}  // namespace
}  // namespace credsync::store
