// A private bus, the server on a real loop, and clients, in one thread: calls are asynchronous, and the loop is turned until
// what a test waits for has come, or its patience (kPatience) is over.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <algorithm>
#include <vector>

#include "base/loop.h"
#include "ipc/dbus/server.h"
#include "tests/fakes/fake_service.h"

struct sd_bus;
struct sd_bus_message;

namespace credsync::ipc::dbus {

inline constexpr std::chrono::seconds kPatience{20};

// A dbus-daemon of our own; its address is what the system bus is for this process.
class PrivateBus {
 public:
  PrivateBus();
  ~PrivateBus();
  void start();
  void stop();
  // It neither reads nor writes until it goes on.
  void pause() const;
  void go_on() const;
  const std::string& address() const { return address_; }

  // The bus lets others have the name, or nobody: what the policy of a machine without our file says.
  bool allow_names = true;

 private:
  std::string directory_, address_;
  pid_t pid_ = -1;
};

// What came back: its body, to be read with sd_bus_message_read(3), or an error.
class Outcome {
 public:
  Outcome() = default;
  explicit Outcome(sd_bus_message* message);
  Outcome(Outcome&& other) noexcept;
  Outcome& operator=(Outcome&& other) noexcept;
  ~Outcome();
  bool ok() const;
  std::string error() const;    // the name's last part; empty when it is none
  std::string message() const;  // of the error
  sd_bus_message* body() const { return message_; }

 private:
  sd_bus_message* message_ = nullptr;
};

// One connection of a caller.
class BusClient {
 public:
  BusClient(Loop& loop, const std::string& address);
  ~BusClient();
  BusClient(BusClient&&) = delete;
  sd_bus* bus() const { return bus_; }
  std::string name() const;
  // Fills `into` when the answer comes.
  void call(const char* method, const std::function<void(sd_bus_message*)>& write, std::optional<Outcome>& into,
            const char* interface = nullptr, bool interactive = false);
  // Signals of the service that came to this connection, as "Name account".
  std::vector<std::string> signals;

 private:
  sd_bus* bus_ = nullptr;
};

class BusTest : public ::testing::Test {
 protected:
  BusTest();
  ~BusTest() override;

  void start(const Limits& limits = generous(), BusKind kind = BusKind::kSystem);
  static Limits generous();
  // Until the server has its name.
  bool on_the_bus();

  bool until(const std::function<bool()>& condition, std::chrono::milliseconds patience = kPatience);
  void settle();
  // What this client has called so far lies in the server's socket: it is taken from there as fast as the server can.
  void let_the_bus_bring(BusClient& client);

  std::unique_ptr<BusClient> connect();
  Outcome call(BusClient& client, const char* method, const std::function<void(sd_bus_message*)>& write = {});
  // GetAccessToken without options.
  Outcome token(BusClient& client, const char* account);

  PrivateBus bus_;
  SystemClock clock_;
  std::unique_ptr<Loop> loop_;
  fakes::FakeService service_;
  std::unique_ptr<Server> server_;
};

// Appends `sa{sv}` with no option.
std::function<void(sd_bus_message*)> no_options(const char* account);

}  // namespace credsync::ipc::dbus
