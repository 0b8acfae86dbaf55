// What a sign-out does with the tokens when their revocation cannot be prepared.
#include "daemon/login/sign_out.h"

#include <gtest/gtest.h>

#include "tests/fakes/core_world.h"

namespace credsync::login {
namespace {

class SignOutTest : public testing::Test {
 protected:
  SignOutTest() {
    world.add(fakes::make_account("flat", fakes::make_profile()),
              fakes::make_tokens(world.clock, "access-7", "refresh-7", 1h), 7);
  }
  unsigned sign_out() {
    unsigned pending = 0;
    world.sign_out.run(*world.accounts.find("flat"), [&](Result<unsigned> done) {
      ASSERT_TRUE(done);
      pending = *done;
    });
    world.settle();
    return pending;
  }
  fakes::CoreWorld world;
};

TEST_F(SignOutTest, WhatCannotBeRevokedNowIsRevokedWithTheSecretThatIsThereThen) {
  world.endpoint.order_fails = Error(ErrorCode::kIo, "the client's secret cannot be read");
  EXPECT_EQ(sign_out(), 2U);
  EXPECT_EQ(world.accounts.find("flat")->live(), nullptr);
  EXPECT_EQ(world.disk.retirements.size(), 2U) << "the refresh token would live on, and nobody knew";
  ASSERT_EQ(world.endpoint.revocations.size(), 2U);
  EXPECT_NE(world.endpoint.revocations.front().call.account, nullptr) << "from the configuration";
  EXPECT_EQ(world.endpoint.revocations.front().call.token.expose(), "refresh-7");
}

TEST_F(SignOutTest, WhatNobodyCanRevokeIsToldToBeUnrevoked) {
  world.endpoint.order_fails = Error(ErrorCode::kIo, "the client's secret cannot be read");
  sign_out();
  for (int i = 0; i < 2; ++i)
    world.endpoint.answer_revocation({oauth::RevocationResult::kRefused, {}});
  world.settle();
  EXPECT_EQ(world.retirer.unrevoked("flat"), 2U);
  EXPECT_TRUE(world.disk.retirements.empty());
}

TEST_F(SignOutTest, WhereTheProviderHasNoRevocationNothingIsPending) {
  world.endpoint.made_order = Secret();
  EXPECT_EQ(sign_out(), 0U);
  EXPECT_TRUE(world.disk.retirements.empty());
  EXPECT_EQ(world.retirer.unrevoked("flat"), 0U);
}

}  // namespace
}  // namespace credsync::login
