#include "tests/unit/dbus/bus_harness.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "ipc/dbus/names.h"

namespace credsync::ipc::dbus {
namespace {

constexpr std::uint64_t kCallPatienceUsec = 30'000'000;

std::string config_of(const std::string& address, bool allow_names) {
  const std::string names = allow_names ? R"(<allow own="*"/>)" : R"(<deny own="*"/>)";
  return R"(<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><auth>EXTERNAL</auth><listen>)" +
         address + R"(</listen><policy context="default"><allow user="*"/>)" + names +
         R"(<allow send_type="method_call"/><allow send_destination="*"/><allow receive_type="*"/></policy><limit name="max_replies_per_connection">4096</limit></busconfig>)";
}

// dbus-daemon writes its address there once it listens.
bool says_its_address(int ready) {
  pollfd waiting{ready, POLLIN, 0};
  char byte = 0;
  const int patience = static_cast<int>(std::chrono::milliseconds(kPatience).count());
  return ::poll(&waiting, 1, patience) == 1 && ::read(ready, &byte, 1) == 1;
}

}  // namespace

PrivateBus::PrivateBus() {
  char name[] = "/tmp/credsync-bus-XXXXXX";
  directory_ = ::mkdtemp(name);
  ::chmod(directory_.c_str(), 0755);
  address_ = "unix:path=" + directory_ + "/bus.sock";
  ::setenv("DBUS_SYSTEM_BUS_ADDRESS", address_.c_str(), 1);
  ::setenv("DBUS_SESSION_BUS_ADDRESS", address_.c_str(), 1);
}

PrivateBus::~PrivateBus() {
  stop();
  std::filesystem::remove_all(directory_);
}

void PrivateBus::start() {
  const std::string config = directory_ + "/bus.conf";
  std::ofstream(config) << config_of(address_, allow_names);
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const std::string option = "--config-file=" + config, tell = "--print-address=" + std::to_string(ready[1]);
  const char* arguments[] = {"dbus-daemon", option.c_str(), tell.c_str(), "--nofork",
                             "--nopidfile", "--nosyslog",   nullptr};
  pid_ = ::fork();
  ASSERT_GE(pid_, 0);
  if (pid_ == 0) {
    // It ends with this program, however that ends, and holds none of its pipes open.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    for (const int stream : {0, 1, 2})
      ::dup2(nowhere, stream);
    ::fcntl(ready[1], F_SETFD, 0);
    ::execvp(arguments[0], const_cast<char**>(arguments));
    ::_exit(127);
  }
  ::close(ready[1]);
  const bool listens = says_its_address(ready[0]);
  ::close(ready[0]);
  ASSERT_TRUE(listens) << "dbus-daemon does not start";
}

void PrivateBus::pause() const {
  ::kill(pid_, SIGSTOP);
}

void PrivateBus::go_on() const {
  ::kill(pid_, SIGCONT);
}

void PrivateBus::stop() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
  std::filesystem::remove(directory_ + "/bus.sock");
}

Outcome::Outcome(sd_bus_message* message) : message_(::sd_bus_message_ref(message)) {}
Outcome::Outcome(Outcome&& other) noexcept : message_(std::exchange(other.message_, nullptr)) {}
Outcome& Outcome::operator=(Outcome&& other) noexcept {
  std::swap(message_, other.message_);
  return *this;
}
Outcome::~Outcome() {
  ::sd_bus_message_unref(message_);
}
bool Outcome::ok() const {
  return message_ != nullptr && !::sd_bus_message_is_method_error(message_, nullptr);
}
std::string Outcome::error() const {
  if (message_ == nullptr) return "no answer came";
  const sd_bus_error* error = ::sd_bus_message_get_error(message_);
  const std::string name = error != nullptr ? error->name : "";
  return name.substr(name.rfind('.') + 1);
}
std::string Outcome::message() const {
  const sd_bus_error* error = message_ != nullptr ? ::sd_bus_message_get_error(message_) : nullptr;
  return error != nullptr && error->message != nullptr ? error->message : "";
}

BusClient::BusClient(Loop& loop, const std::string& address) {
  EXPECT_GE(::sd_bus_new(&bus_), 0);
  ::sd_bus_set_address(bus_, address.c_str());
  ::sd_bus_set_bus_client(bus_, 1);
  EXPECT_GE(::sd_bus_start(bus_), 0);
  EXPECT_GE(::sd_bus_flush(bus_), 0);
  EXPECT_GE(::sd_bus_attach_event(bus_, loop.native(), SD_EVENT_PRIORITY_NORMAL), 0);
  // Unicast signals need no rule of the broker's; the local one is for sd-bus to tell us.
  const auto on_signal = [](sd_bus_message* message, void* self, sd_bus_error*) {
    const char* account = "";
    ::sd_bus_message_read_basic(message, 's', &account);
    static_cast<BusClient*>(self)->signals.push_back(std::string(::sd_bus_message_get_member(message)) + " " + account);
    return 0;
  };
  const std::string rule = std::string("type='signal',interface='") + kInterface + "'";
  EXPECT_GE(::sd_bus_add_match(bus_, nullptr, rule.c_str(), on_signal, this), 0);
}

BusClient::~BusClient() {
  ::sd_bus_detach_event(bus_);
  ::sd_bus_close_unref(bus_);
}

std::string BusClient::name() const {
  const char* name = "";
  ::sd_bus_get_unique_name(bus_, &name);
  return name;
}

void BusClient::call(const char* method, const std::function<void(sd_bus_message*)>& write,
                     std::optional<Outcome>& into, const char* interface, bool interactive) {
  sd_bus_message* message = nullptr;
  ASSERT_GE(::sd_bus_message_new_method_call(bus_, &message, kBusName, kObjectPath,
                                             interface != nullptr ? interface : kInterface, method),
            0);
  ::sd_bus_message_set_allow_interactive_authorization(message, interactive ? 1 : 0);
  if (write) write(message);
  const auto on_reply = [](sd_bus_message* reply, void* place, sd_bus_error*) {
    static_cast<std::optional<Outcome>*>(place)->emplace(reply);
    return 0;
  };
  EXPECT_GE(::sd_bus_call_async(bus_, nullptr, message, on_reply, &into, kCallPatienceUsec), 0);
  ::sd_bus_message_unref(message);
}

BusTest::BusTest() {
  bus_.start();
  loop_ = std::move(Loop::create().value());
}
BusTest::~BusTest() {
  server_.reset();
}

Limits BusTest::generous() {
  return {64, 16, 1'000'000};
}

void BusTest::start(const Limits& limits, BusKind kind) {
  server_ = std::make_unique<Server>(*loop_, clock_, service_, kind, limits, Duration(20ms));
  server_->start();
}

bool BusTest::on_the_bus() {
  if (!server_) start();
  return until([this] { return !server_->trouble(); });
}

bool BusTest::until(const std::function<bool()>& condition, std::chrono::milliseconds patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    ::sd_event_run(loop_->native(), 5000);
  }
  return true;
}

void BusTest::settle() {
  while (::sd_event_run(loop_->native(), 20'000) > 0) {
  }
}

void BusTest::let_the_bus_bring(BusClient& client) {
  ASSERT_GE(::sd_bus_flush(client.bus()), 0);
  BusClient other(*loop_, bus_.address());
  for (int i = 0; i < 10; ++i) {  // the bus reads its connections in turn
    ASSERT_GE(::sd_bus_call_method(other.bus(), "org.freedesktop.DBus", "/", "org.freedesktop.DBus.Peer", "Ping",
                                   nullptr, nullptr, ""),
              0);
  }
}

std::unique_ptr<BusClient> BusTest::connect() {
  EXPECT_TRUE(on_the_bus());
  return std::make_unique<BusClient>(*loop_, bus_.address());
}

Outcome BusTest::call(BusClient& client, const char* method, const std::function<void(sd_bus_message*)>& write) {
  std::optional<Outcome> outcome;
  client.call(method, write, outcome);
  EXPECT_TRUE(until([&] { return outcome.has_value(); })) << method;
  return outcome ? std::move(*outcome) : Outcome();
}

Outcome BusTest::token(BusClient& client, const char* account) {
  return call(client, "GetAccessToken", no_options(account));
}

std::function<void(sd_bus_message*)> no_options(const char* account) {
  return [account](sd_bus_message* message) { ::sd_bus_message_append(message, "sa{sv}", account, 0); };
}

}  // namespace credsync::ipc::dbus
