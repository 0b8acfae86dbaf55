#include "daemon/store/migrations.h"

#include <gtest/gtest.h>

#include "tests/unit/store/store_testing.h"

namespace credsync::store {
namespace {

using namespace credsync::store::testing;

class Migrations : public ::testing::Test {
 protected:
  Migrations() {
    write_all(path_, "");
    database_ = std::move(*Database::open(path_));
  }
  std::int64_t version() { return *database_->integer("PRAGMA user_version"); }

  TemporaryFolder folder_;
  const std::string path_ = folder_.path() + "/state.db";
  std::unique_ptr<Database> database_;
};

constexpr Migration kSteps[] = {{"CREATE TABLE a (x INTEGER)"}, {"INSERT INTO a VALUES (1); INSERT INTO a VALUES (2)"}};

TEST_F(Migrations, AreMadeInOrderAndOnce) {
  ASSERT_TRUE(migrate(*database_, std::span(kSteps).first(1)));
  EXPECT_EQ(version(), 1);
  ASSERT_TRUE(migrate(*database_, kSteps));
  EXPECT_EQ(version(), 2);
  ASSERT_TRUE(migrate(*database_, kSteps));
  EXPECT_EQ(*database_->integer("SELECT COUNT(*) FROM a"), 2);
}

TEST_F(Migrations, OneThatFailsLeavesTheSchemaBeforeIt) {
  constexpr Migration broken[] = {kSteps[0], {"INSERT INTO a VALUES (1); INSERT INTO missing VALUES (1)"}};
  const auto result = migrate(*database_, broken);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message().find("schema step 2"), std::string::npos);
  EXPECT_EQ(version(), 1);
  EXPECT_EQ(*database_->integer("SELECT COUNT(*) FROM a"), 0) << "no half step";
  EXPECT_TRUE(migrate(*database_, kSteps)) << "a mended step goes on from there";
}

TEST_F(Migrations, ANewerDatabaseIsRefused) {
  ASSERT_TRUE(migrate(*database_, kSteps));
  EXPECT_EQ(migrate(*database_, std::span(kSteps).first(1)).error().code(), ErrorCode::kTooNew);
  EXPECT_EQ(version(), 2);
}

TEST_F(Migrations, TheRealOnesWork) {
  ASSERT_TRUE(migrate(*database_, migrations()));
  EXPECT_EQ(version(), static_cast<std::int64_t>(migrations().size()));
}

}  // namespace
}  // namespace credsync::store
