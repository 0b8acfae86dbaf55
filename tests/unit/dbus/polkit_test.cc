// Administration on the system bus asks polkit, here a stand-in of our own on the private bus.
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "tests/unit/dbus/bus_harness.h"

namespace credsync::ipc::dbus {
namespace {

class FakePolkit {
 public:
  FakePolkit(Loop& loop, const std::string& address) : client(loop, address) {
    static const sd_bus_vtable kTable[] = {SD_BUS_VTABLE_START(0),
                                           SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})",
                                                         &FakePolkit::check, SD_BUS_VTABLE_UNPRIVILEGED),
                                           SD_BUS_VTABLE_END};
    EXPECT_GE(::sd_bus_add_object_vtable(client.bus(), nullptr, "/org/freedesktop/PolicyKit1/Authority",
                                         "org.freedesktop.PolicyKit1.Authority", kTable, this),
              0);
    EXPECT_GE(::sd_bus_request_name(client.bus(), "org.freedesktop.PolicyKit1", 0), 0);
  }

  static int check(sd_bus_message* message, void* self_, sd_bus_error*) {
    auto* self = static_cast<FakePolkit*>(self_);
    const char *kind = nullptr, *key = nullptr, *name = nullptr, *action = nullptr;
    std::uint32_t flags = 0;
    EXPECT_GT(::sd_bus_message_read(message, "(sa{sv})s", &kind, 1, &key, "s", &name, &action), 0);
    ::sd_bus_message_skip(message, "a{ss}");
    ::sd_bus_message_read(message, "u", &flags);
    self->asked.push_back(std::string(kind) + " " + key + " " + name + " " + action + " " + std::to_string(flags));
    if (self->silent) {
      self->kept.emplace_back(message);
      return 1;
    }
    return ::sd_bus_reply_method_return(message, "(bba{ss})", self->allows ? 1 : 0, 0, 0);
  }

  BusClient client;
  bool allows = false, silent = false;
  std::vector<std::string> asked;
  std::vector<Outcome> kept;
};

class PolkitTest : public BusTest {
 protected:
  PolkitTest() { service_.add("a"); }
  void SetUp() override {
    // Root needs no polkit: these tests call as somebody else (the broker says who, so the connection must be theirs).
    ASSERT_TRUE(on_the_bus());
    const uid_t own = ::geteuid();
    ASSERT_EQ(::seteuid(own == 0 ? kSomebody : own), 0);
    caller_ = connect();
    ASSERT_EQ(::seteuid(own), 0);
  }
  static constexpr uid_t kSomebody = 1;  // daemon: dbus-daemon lets in no user that the machine does not know
  const ipc::Caller& asked_as() { return service_.asked.back().caller; }

  std::unique_ptr<BusClient> caller_;
};

TEST_F(PolkitTest, WhatItAllowsIsMarkedForThatOneCall) {
  FakePolkit polkit(*loop_, bus_.address());
  polkit.allows = true;
  ASSERT_TRUE(call(*caller_, "Reload").ok());
  EXPECT_TRUE(asked_as().manages);
  ASSERT_EQ(polkit.asked.size(), 1U);
  EXPECT_EQ(polkit.asked[0], "system-bus-name name " + caller_->name() + " org.credsync.manage 0");
  polkit.allows = false;
  ASSERT_TRUE(call(*caller_, "SignOut", [](auto* m) { ::sd_bus_message_append(m, "s", "a"); }).ok());
  EXPECT_FALSE(asked_as().manages);
  EXPECT_EQ(polkit.asked.size(), 2U);
  ASSERT_TRUE(token(*caller_, "a").ok());
  EXPECT_FALSE(asked_as().manages);
  EXPECT_EQ(polkit.asked.size(), 2U) << "what is no administration needs no polkit";
}

TEST_F(PolkitTest, MayAskAPersonOnlyWhereTheCallerLetsIt) {
  FakePolkit polkit(*loop_, bus_.address());
  std::optional<Outcome> outcome;
  caller_->call("Reload", {}, outcome, nullptr, true);
  ASSERT_TRUE(until([&] { return outcome.has_value(); }));
  ASSERT_EQ(polkit.asked.size(), 1U);
  EXPECT_TRUE(polkit.asked[0].ends_with(" 1"));
}

TEST_F(PolkitTest, WithoutPolkitTheServiceDecidesAlone) {
  ASSERT_TRUE(call(*caller_, "Reload").ok());
  EXPECT_FALSE(asked_as().manages);
}

TEST_F(PolkitTest, WhileItIsSilentNobodyElseWaitsAndACallerMayLeave) {
  FakePolkit polkit(*loop_, bus_.address());
  polkit.silent = true;
  std::optional<Outcome> outcome;
  caller_->call("Reload", {}, outcome);
  ASSERT_TRUE(until([&] { return polkit.kept.size() == 1; }));
  EXPECT_TRUE(token(*caller_, "a").ok());
  EXPECT_FALSE(outcome);
  caller_.reset();
  ASSERT_TRUE(until([&] { return server_->counts().waiting == 0; }));
  ::sd_bus_reply_method_return(polkit.kept[0].body(), "(bba{ss})", 1, 0, 0);
  settle();
  EXPECT_NE(service_.asked.back().operation, "reload") << "who has left reloads nothing";
}

TEST_F(PolkitTest, RootIsNotAskedAbout) {
  if (::getuid() != 0) GTEST_SKIP() << "NOT TESTED: needs root";
  FakePolkit polkit(*loop_, bus_.address());
  auto root = connect();
  ASSERT_TRUE(call(*root, "Reload").ok());
  EXPECT_TRUE(polkit.asked.empty());
}

TEST_F(PolkitTest, TheSessionBusHasNoPolkit) {
  start(generous(), BusKind::kSession);
  ASSERT_TRUE(on_the_bus());
  FakePolkit polkit(*loop_, bus_.address());
  ASSERT_TRUE(call(*caller_, "Reload").ok());
  EXPECT_TRUE(polkit.asked.empty());
}

}  // namespace
}  // namespace credsync::ipc::dbus
