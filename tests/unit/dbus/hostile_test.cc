// Messages of every shape to every member: nothing ends, nobody else notices.
#include <systemd/sd-bus.h>

#include <random>

#include "ipc/dbus/names.h"
#include "tests/unit/dbus/bus_harness.h"

namespace credsync::ipc::dbus {
namespace {

class HostileTest : public BusTest {
 protected:
  HostileTest() { service_.add("a"); }
  std::mt19937 random_{20260115};

  std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_); }

  std::string text() {
    static constexpr std::string_view kLetters = "a/.-_ \n\x7f\xc3\xa9";
    std::string made(below(4) == 0 ? below(5000) : below(12), 'a');
    for (char& c : made)
      c = kLetters[below(8)];
    return made;
  }

  // Any value of any type, at most so deep.
  void append_any(sd_bus_message* message, int depth) {
    const std::uint64_t bits = random_();
    switch (below(depth > 0 ? 12U : 8U)) {
      case 0: append(message, 's', text().c_str()); break;
      case 1: append(message, 't', &bits); break;
      case 2: append(message, 'u', &bits); break;
      case 3: append(message, 'x', &bits); break;
      case 4: append(message, 'y', &bits); break;
      case 5: append(message, 'd', &bits); break;
      case 6: append(message, 'o', "/a/b"); break;
      case 7: append(message, 'g', "a{sv}"); break;
      case 8: append_options(message, depth - 1); break;
      case 9: {
        ::sd_bus_message_open_container(message, 'r', "ss");
        append(message, 's', text().c_str());
        append(message, 's', text().c_str());
        ::sd_bus_message_close_container(message);
        break;
      }
      case 10: {
        ::sd_bus_message_open_container(message, 'a', "t");
        for (std::size_t n = below(2000); n > 0; --n)
          append(message, 't', &bits);
        ::sd_bus_message_close_container(message);
        break;
      }
      default: append_variant(message, depth - 1); break;
    }
  }

  static void append(sd_bus_message* message, char type, const void* value) {
    ::sd_bus_message_append_basic(message, type, value);
  }

  void append_variant(sd_bus_message* message, int depth) {
    static constexpr const char* kTypes[] = {"s", "u", "t", "x", "b", "i", "as", "v", "a{sv}", "d"};
    const std::string type = kTypes[below(10)];
    const std::uint64_t bits = type == "b" ? 1 : random_();
    ::sd_bus_message_open_container(message, 'v', type.c_str());
    if (type == "s") {
      append(message, 's', text().c_str());
    } else if (type == "as") {
      ::sd_bus_message_append(message, "as", 2, "x", "y");
    } else if (type == "v") {
      depth > 0 ? append_variant(message, depth - 1) : static_cast<void>(::sd_bus_message_append(message, "v", "u", 1));
    } else if (type == "a{sv}") {
      append_options(message, depth - 1);
    } else {
      append(message, type.front(), &bits);
    }
    ::sd_bus_message_close_container(message);
  }

  void append_options(sd_bus_message* message, int depth) {
    static constexpr const char* kNames[] = {"min_valid", "wait", "method", "secret", "browser_uid", "username", ""};
    ::sd_bus_message_open_container(message, 'a', "{sv}");
    for (std::size_t n = below(8) == 0 ? 40 : below(4); n > 0; --n) {
      ::sd_bus_message_open_container(message, 'e', "sv");
      append(message, 's', below(3) == 0 ? text().c_str() : kNames[below(7)]);
      append_variant(message, std::max(0, depth));
      ::sd_bus_message_close_container(message);
    }
    ::sd_bus_message_close_container(message);
  }

  // Half of them fit the method's signature as far as it is "s" and "a{sv}", so that they get past sd-bus.
  void append_body(sd_bus_message* message, const MethodEntry& entry) {
    if (below(2) == 0) {
      for (std::size_t n = below(4); n > 0; --n)
        append_any(message, 6);
      return;
    }
    const std::string_view in = entry.in;
    const std::uint64_t number = random_();
    for (const char type : std::string(in.substr(0, in.find('a')))) {
      if (type == 's') append(message, 's', below(2) == 0 ? "a" : text().c_str());
      if (type == 't') append(message, 't', &number);
    }
    if (in.ends_with("a{sv}")) append_options(message, 4);
  }
};

TEST_F(HostileTest, TwoThousandMessagesOfAnyShapeAreAllAnswered) {
  constexpr std::size_t kMessages = 2000;
  constexpr std::size_t kAtOnce = 50;
  auto client = connect();
  auto bystander = connect();
  for (std::size_t sent = 0; sent < kMessages; sent += kAtOnce) {
    std::vector<std::optional<Outcome>> outcomes(kAtOnce);
    for (auto& one : outcomes) {
      const MethodEntry& entry = kMethods[below(kMethods.size())];
      client->call(
          entry.name, [&](auto* message) { append_body(message, entry); }, one);
    }
    ASSERT_TRUE(until([&] {
      return std::all_of(outcomes.begin(), outcomes.end(), [](auto& o) { return o.has_value(); });
    })) << "after "
        << sent;
    ASSERT_TRUE(token(*bystander, "a").ok()) << "after " << sent;
  }
  EXPECT_FALSE(server_->trouble());
}

TEST_F(HostileTest, AMessageThatIsTooLargeIsRefusedBeforeItIsKept) {
  auto client = connect();
  const std::string large(1 << 20, 'a');
  EXPECT_EQ(token(*client, large.c_str()).error(), "TooLarge");
  EXPECT_EQ(call(*client, "GetAccessToken",
                 [&](auto* m) { ::sd_bus_message_append(m, "sa{sv}", "a", 1, large.c_str(), "s", large.c_str()); })
                .error(),
            "TooLarge");
  EXPECT_EQ(call(*client, "GetAccessToken",
                 [&](auto* m) { ::sd_bus_message_append(m, "sa{sv}", "a", 1, "x", "as", 2, large.c_str(), "y"); })
                .error(),
            "TooLarge");
  EXPECT_EQ(token(*client, large.substr(0, 50'000).c_str()).error(), "NoSuchAccount");
  EXPECT_TRUE(token(*client, "a").ok());
}

}  // namespace
}  // namespace credsync::ipc::dbus
