// One test for both stores: TEST_P(Contract, …) runs against the real one and the one in memory.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "tests/unit/store/houses.h"

namespace credsync::store::testing {

class Contract : public ::testing::TestWithParam<const char*> {
 protected:
  Contract() {
    if (std::string(GetParam()) == "sqlite") {
      house_ = std::make_unique<SqliteHouse>();
    } else {
      house_ = std::make_unique<MemoryHouse>();
    }
    EXPECT_TRUE(house_->open());
  }
  ~Contract() override { house_->close(); }

  Result<Ids> apply(Change change) { return testing::apply(house_->store(), house_->loop, std::move(change)); }
  Result<SlotId> begin(Intent intent) { return testing::begin(house_->store(), house_->loop, std::move(intent)); }
  std::int64_t apply_queue_of_one() {
    QueueRetirements queue;
    queue.retire.push_back(retirement("a", 0, "one"));
    return apply(std::move(queue))->at(0);
  }
  Snapshot reopened() {
    auto snapshot = house_->open();
    EXPECT_TRUE(snapshot) << snapshot.error().message();
    return snapshot ? std::move(*snapshot) : Snapshot{};
  }
  static Install with_kept_password(const std::string& account, Generation generation) {
    Install change = install(account, generation);
    change.kept_password = Secret("kept");
    change.replace_kept_password = true;
    return change;
  }
  const std::string stored(const std::string& account) {
    last_ = reopened();
    Snapshot one;
    for (StoredAccount& a : last_.accounts) {
      if (a.name == account) one.accounts.push_back(std::move(a));
    }
    return describe(one);
  }

  std::unique_ptr<House> house_;
  Snapshot last_;
};

}  // namespace credsync::store::testing
