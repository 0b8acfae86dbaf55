// Lists of accounts that are made in parts: in which order, for how many at a time, and what others notice of it.
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "ipc/dbus/message.h"
#include "tests/unit/dbus/bus_harness.h"

namespace credsync::ipc::dbus {
namespace {

constexpr unsigned kAccounts = 50;

class BusListsTest : public BusTest {
 protected:
  BusListsTest() {
    service_.accounts_at_once = 1;
    for (unsigned i = 0; i < kAccounts; ++i)
      service_.add("account-" + std::to_string(100 + i));
  }

  // One more part for this user; `first`: of a list that nothing has been made of.
  struct Part {
    uid_t user;
    bool first;
  };
  std::vector<Part> parts() const {
    std::vector<Part> made;
    for (const auto& asked : service_.asked) {
      if (asked.operation == "list") made.push_back({asked.caller.uid, asked.account.empty()});
    }
    return made;
  }
  std::size_t begun() const {
    const std::vector<Part> made = parts();
    return static_cast<std::size_t>(
        std::count_if(made.begin(), made.end(), [](const Part& part) { return part.first; }));
  }

  bool all_came(const std::vector<std::optional<Outcome>>& outcomes) {
    return until([&] { return std::all_of(outcomes.begin(), outcomes.end(), [](auto& o) { return o.has_value(); }); });
  }
};

TEST_F(BusListsTest, TheFirstOfAUserIsWholeBeforeTheSecondBegins) {
  auto client = connect();
  std::vector<std::optional<Outcome>> lists(3);
  for (auto& one : lists)
    client->call("ListAccounts", {}, one);
  ASSERT_TRUE(all_came(lists));
  const std::vector<Part> made = parts();
  ASSERT_EQ(made.size(), lists.size() * kAccounts);
  for (std::size_t i = 0; i < made.size(); ++i)
    EXPECT_EQ(made[i].first, i % kAccounts == 0) << i;
  for (const auto& one : lists)
    EXPECT_TRUE(one->ok()) << one->message();
}

TEST_F(BusListsTest, UsersHaveTheirPartsInTurn) {
  if (::getuid() != 0) GTEST_SKIP() << "NOT TESTED: needs root, to be another user";
  constexpr uid_t kOther = 1;  // daemon: dbus-daemon lets in no user that the machine does not know
  auto client = connect();
  ASSERT_EQ(::seteuid(kOther), 0);
  auto other = connect();
  ASSERT_EQ(::seteuid(0), 0);
  ASSERT_TRUE(call(*client, "WhoAmI").ok() && call(*other, "WhoAmI").ok()) << "both are known";
  std::vector<std::optional<Outcome>> many(5), one(1);
  for (auto& list : many)
    client->call("ListAccounts", {}, list);
  let_the_bus_bring(*client);
  other->call("ListAccounts", {}, one[0]);
  let_the_bus_bring(*other);
  ASSERT_TRUE(all_came(many) && all_came(one));
  const std::vector<Part> made = parts();
  const auto is_theirs = [](const Part& part) { return part.user == kOther; };
  const auto first = std::find_if(made.begin(), made.end(), is_theirs);
  const auto last = std::find_if(made.rbegin(), made.rend(), is_theirs).base();
  EXPECT_EQ(std::count_if(first, last, is_theirs), kAccounts);
  EXPECT_LE(last - first, 2 * kAccounts) << "however many lists somebody else asks for";
  EXPECT_TRUE(one[0]->ok());
  EXPECT_TRUE(std::all_of(many.begin(), many.end(), [](auto& list) { return list->ok(); }));
}

// Each is as large as hundreds of other answers: what the bus does not take is not made.
TEST_F(BusListsTest, NoneIsMadeWhileTheBusTakesNoAnswers) {
  constexpr std::size_t kLists = 40;
  constexpr std::size_t kList = 3 << 20;   // bytes
  constexpr std::size_t kInTheSocket = 8;  // such lists; sd-bus asks for 8 MiB
  static_assert(kList < kMaxBody);
  for (unsigned i = 0; i < 3; ++i)
    service_.account("account-" + std::to_string(100 + i)).scope.assign(kList / 3 / 1024, std::string(1000, 'x'));
  auto client = connect();
  ASSERT_TRUE(call(*client, "WhoAmI").ok()) << "its credentials are known";
  std::vector<std::optional<Outcome>> lists(kLists);
  for (auto& one : lists)
    client->call("ListAccounts", {}, one);
  let_the_bus_bring(*client);
  bus_.pause();
  EXPECT_FALSE(until([&] { return begun() > kInTheSocket + 1; }, std::chrono::milliseconds(500)));
  EXPECT_GT(begun(), 0U);
  bus_.go_on();
  ASSERT_TRUE(all_came(lists));
  EXPECT_TRUE(std::all_of(lists.begin(), lists.end(), [](auto& one) { return one->ok(); }));
}

TEST_F(BusListsTest, ManyBeforeTheCallerIsKnownDoNotHoldTheLoop) {
  service_.accounts_at_once = kAccounts;
  auto client = connect();
  std::vector<std::optional<Outcome>> lists(20);
  for (auto& one : lists)
    client->call("ListAccounts", {}, one);
  std::size_t most = 0;
  for (std::size_t before = 0; begun() < lists.size(); before = begun()) {
    ASSERT_TRUE(until([&] { return begun() > before; }));
    most = std::max(most, begun() - before);
  }
  EXPECT_EQ(most, 1U) << "in one turn";
  ASSERT_TRUE(all_came(lists));
  EXPECT_TRUE(std::all_of(lists.begin(), lists.end(), [](auto& one) { return one->ok(); }));
}

}  // namespace
}  // namespace credsync::ipc::dbus
