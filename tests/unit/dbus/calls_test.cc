// What the methods take and give.
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <map>

#include "tests/unit/dbus/bus_harness.h"

namespace credsync::ipc::dbus {
namespace {

// An a{sv} as "signature value", for those of one basic type; others as their signature alone.
std::map<std::string, std::string> read_dictionary(sd_bus_message* message) {
  std::map<std::string, std::string> read;
  if (::sd_bus_message_enter_container(message, 'a', "{sv}") <= 0) return read;
  while (::sd_bus_message_enter_container(message, 'e', "sv") > 0) {
    const char *key = nullptr, *contents = nullptr;
    ::sd_bus_message_read_basic(message, 's', &key);
    ::sd_bus_message_peek_type(message, nullptr, &contents);
    const std::string signature(contents);
    ::sd_bus_message_enter_container(message, 'v', contents);
    std::string& value = read[key] = signature;
    if (signature == "s") {
      const char* text = nullptr;
      ::sd_bus_message_read_basic(message, 's', &text);
      value += std::string(" ") + text;
    } else if (signature == "t") {
      std::uint64_t number = 0;
      ::sd_bus_message_read_basic(message, 't', &number);
      value += " " + std::to_string(number);
    } else if (signature == "b" || signature == "u") {
      std::uint32_t number = 0;
      ::sd_bus_message_read_basic(message, signature.front(), &number);
      value += " " + std::to_string(number);
    } else {
      ::sd_bus_message_skip(message, signature.c_str());
    }
    ::sd_bus_message_exit_container(message);
    ::sd_bus_message_exit_container(message);
  }
  ::sd_bus_message_exit_container(message);
  return read;
}

class BusCallsTest : public BusTest {};

TEST_F(BusCallsTest, HandsOutATokenWithWhatTheHttpAnswerHas) {
  auto& account = service_.add("flat");
  account.extra = {{"instance_url", "https://a.example"}};
  auto client = connect();
  const Outcome outcome = token(*client, "flat");
  ASSERT_TRUE(outcome.ok()) << outcome.message();
  const char* value = nullptr;
  std::uint64_t expires = 0;
  ASSERT_GT(::sd_bus_message_read(outcome.body(), "st", &value, &expires), 0);
  EXPECT_STREQ(value, "token-of-an-account");
  EXPECT_EQ(expires, 1'900'000'000'000'000U);
  const auto details = read_dictionary(outcome.body());
  const std::map<std::string, std::string> wanted{
      {"account", "s flat"},    {"token_type", "s Bearer"},
      {"expires_in", "t 3600"}, {"scope", "as"},
      {"generation", "t 7"},    {"min_valid_met", "b 1"},
      {"state", "s ok"},        {"header_name", "s Authorization"},
      {"extra", "a{ss}"},       {"header_value", "s Bearer token-of-an-account"},
  };
  EXPECT_EQ(details, wanted);
  ASSERT_EQ(service_.asked.size(), 1U);
  EXPECT_EQ(service_.asked[0].caller.uid, ::getuid());
  EXPECT_EQ(service_.asked[0].caller.pid, ::getpid());
  EXPECT_EQ(service_.asked[0].wait, 10s);
  EXPECT_EQ(service_.asked[0].min_valid, 0s);
}

TEST_F(BusCallsTest, SaysZeroWhereTheEndIsNotKnown) {
  auto& account = service_.add("flat");
  account.expires_at.reset();
  account.expires_in.reset();
  auto client = connect();
  const Outcome outcome = token(*client, "flat");
  const char* value = nullptr;
  std::uint64_t expires = 1;
  ASSERT_GT(::sd_bus_message_read(outcome.body(), "st", &value, &expires), 0) << outcome.message();
  EXPECT_EQ(expires, 0U);
  EXPECT_EQ(read_dictionary(outcome.body()).count("expires_in"), 0U);
}

}  // namespace
}  // namespace credsync::ipc::dbus
