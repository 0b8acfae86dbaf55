// What every TokenStore does with what belongs to a grant that leaves its account: the kept password, and an answer that comes
// late.
#include "tests/unit/store/contract_testing.h"

namespace credsync::store {
namespace {

using namespace credsync::store::testing;

// It would be sent with another's name, or to another provider.
TEST_P(Contract, AKeptPasswordIsErasedWithItsGrant) {
  const auto kept = [this] { return find(reopened(), "flume")->kept_password.clone(); };
  ASSERT_TRUE(apply(with_kept_password("flume", 1)));
  Install other = install("flume", 2);
  other.identity = "another";
  ASSERT_TRUE(apply(std::move(other)));
  EXPECT_TRUE(kept().empty()) << "its tokens were stored over";

  ASSERT_TRUE(apply(with_kept_password("flume", 3)));
  const auto first = apply(Park{parked("flume", 3)});
  ASSERT_TRUE(apply(RetireParked{first->at(0), {}}));
  EXPECT_TRUE(kept().empty()) << "what was parked is retired";

  ASSERT_TRUE(apply(with_kept_password("flume", 4)));
  const auto second = apply(Park{parked("flume", 4)});
  ASSERT_TRUE(apply(install("flume", 5)));
  ASSERT_TRUE(apply(RetireParked{second->at(0), {}}));
  EXPECT_EQ(kept().expose(), "kept") << "it is the account's own grant that it was given for";
}

TEST_P(Contract, AKeptPasswordIsOfItsGrantWhileThatIsParked) {
  ASSERT_TRUE(apply(with_kept_password("flume", 1)));
  const auto id = apply(Park{parked("flume", 1)});
  EXPECT_EQ(find(reopened(), "flume")->kept_identity, "identity-of-flume");
  Install other = install("flume", 2);
  other.identity = "another";
  ASSERT_TRUE(apply(std::move(other)));
  EXPECT_EQ(find(reopened(), "flume")->kept_identity, "identity-of-flume") << "not the one's that is in use";
  ParkedGrant leaving = parked("flume", 2);
  leaving.identity = "another";
  ASSERT_TRUE(apply(Park{std::move(leaving)}));
  ASSERT_TRUE(apply(Restore{id->at(0), standing()}));
  const Snapshot snapshot = reopened();
  EXPECT_EQ(find(snapshot, "flume")->identity, "identity-of-flume");
  EXPECT_EQ(find(snapshot, "flume")->kept_identity, "identity-of-flume");
  EXPECT_EQ(find(snapshot, "flume")->kept_password.expose(), "kept") << "it comes back with its grant";
}

}  // namespace
}  // namespace credsync::store
