#include "ipc/dbus/bus.h"

#include <poll.h>
#include <sdbus-c++/sdbus-c++.h>
#include <sys/epoll.h>
#include <systemd/sd-bus.h>

#include <chrono>
#include <map>

#include "base/log.h"
#include "base/message_ids.h"
#include "base/stack.h"
#include "base/text.h"
#include "ipc/dbus/limits.h"
#include "ipc/dbus/names.h"

// 2.x has strong types for names, a table instead of registrations one by one, and other words for a few calls.
#if __has_include(<sdbus-c++/VTableItems.h>)
#define CREDSYNC_SDBUS_2 1
#else
#define CREDSYNC_SDBUS_2 0
#endif

namespace credsync::ipc::dbus {
namespace {

// Of an answer, to which nobody answers: any will do, and the smallest leaves sd-bus's own count alone.
constexpr std::uint64_t kAnswersSerial = 1;

constexpr const char* kBroker = "org.freedesktop.DBus";
constexpr const char* kBrokerPath = "/org/freedesktop/DBus";

// --- what differs between the versions -----------------------------------------------------------------------------

#if CREDSYNC_SDBUS_2
using Match = sdbus::Message;
sdbus::Error make_error(std::string_view name, const std::string& message) {
  return sdbus::Error(sdbus::Error::Name(std::string(name)), message);
}
bool process(sdbus::IConnection& connection) {
  return connection.processPendingEvent();
}
std::uint64_t time_out(const sdbus::IConnection::PollData& poll) {
  const bool never = poll.timeout == std::chrono::microseconds::max();
  return never ? Loop::kNoTimeOut : static_cast<std::uint64_t>(poll.timeout.count());
}
std::unique_ptr<sdbus::IProxy> make_proxy(sdbus::IConnection& connection, const char* destination, const char* path) {
  return sdbus::createProxy(connection, sdbus::ServiceName(destination), sdbus::ObjectPath(path));
}
sdbus::MethodCall make_call(sdbus::IProxy& proxy, const char* interface, const char* method) {
  return proxy.createMethodCall(sdbus::InterfaceName(interface), sdbus::MethodName(method));
}
template <typename Then>
void call_async(sdbus::IProxy& proxy, const sdbus::MethodCall& call, std::uint64_t usec, Then then) {
  proxy.callMethodAsync(
      call,
      [then = std::move(then)](sdbus::MethodReply reply, std::optional<sdbus::Error> error) {
        then(reply, error ? &*error : nullptr);
      },
      usec);
}
sdbus::Signal make_signal(sdbus::IObject& object, const char* name) {
  return object.createSignal(sdbus::InterfaceName(kInterface), sdbus::SignalName(name));
}
#else
using Match = sdbus::Message&;
sdbus::Error make_error(std::string_view name, const std::string& message) {
  return sdbus::Error(std::string(name), message);
}
bool process(sdbus::IConnection& connection) {
  return connection.processPendingRequest();
}
std::uint64_t time_out(const sdbus::IConnection::PollData& poll) {
  return poll.timeout_usec;
}
std::unique_ptr<sdbus::IProxy> make_proxy(sdbus::IConnection& connection, const char* destination, const char* path) {
  return sdbus::createProxy(connection, destination, path);
}
sdbus::MethodCall make_call(sdbus::IProxy& proxy, const char* interface, const char* method) {
  return proxy.createMethodCall(interface, method);
}
template <typename Then>
void call_async(sdbus::IProxy& proxy, const sdbus::MethodCall& call, std::uint64_t usec, Then then) {
  proxy.callMethod(call, sdbus::async_reply_handler(std::move(then)), usec);
}
sdbus::Signal make_signal(sdbus::IObject& object, const char* name) {
  return object.createSignal(kInterface, name);
}
#endif

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

using OnCall = std::function<void(sdbus::MethodCall)>;

std::unique_ptr<sdbus::IObject> make_object(sdbus::IConnection& connection, const OnCall& on_call) {
#if CREDSYNC_SDBUS_2
  auto object = sdbus::createObject(connection, sdbus::ObjectPath(kObjectPath));
  std::vector<sdbus::VTableItem> items;
  for (const MethodEntry& entry : kMethods) {
    items.emplace_back(sdbus::MethodVTableItem{sdbus::MethodName(entry.name),
                                               sdbus::Signature(entry.in),
                                               words_of(entry.takes),
                                               sdbus::Signature(entry.out),
                                               words_of(entry.gives),
                                               on_call,
                                               {}});
  }
  for (const SignalEntry& entry : {kTokenChanged, kStateChanged}) {
    items.emplace_back(sdbus::SignalVTableItem{
        sdbus::SignalName(entry.name), sdbus::Signature(entry.signature), words_of(entry.gives), {}});
  }
  object->addVTable(sdbus::InterfaceName(kInterface), std::move(items));
#else
  auto object = sdbus::createObject(connection, kObjectPath);
  for (const MethodEntry& entry : kMethods) {
    object->registerMethod(kInterface, entry.name, entry.in, words_of(entry.takes), entry.out, words_of(entry.gives),
                           on_call);
  }
  for (const SignalEntry& entry : {kTokenChanged, kStateChanged})
    object->registerSignal(kInterface, entry.name, entry.signature, words_of(entry.gives));
  object->finishRegistration();
#endif
  return object;
}

// --- the same in both ----------------------------------------------------------------------------------------------

// libsystemd's message inside one of sdbus-c++: what has no name there is done on it (sensitivity, strings in place).
struct Opened : sdbus::Message {
  static sd_bus_message* of(const sdbus::Message& message) {
    return static_cast<sd_bus_message*>(message.*&Opened::msg_);
  }
};

// Runs what must not throw into sd-bus.
template <typename Body>
bool guarded(const char* where, Body body) {
  try {
    body();
    return true;
  } catch (const std::exception& thrown) {
    log::write(log::Level::kError, message_id::kUnexpected.id, "D-Bus: something failed",
               {{"WHERE", where}, {"ERROR", clean_foreign_text(thrown.what())}});
  } catch (...) {
    log::write(log::Level::kError, message_id::kUnexpected.id, "D-Bus: something failed", {{"WHERE", where}});
  }
  return false;
}

Bus::Failure failure_of(const sdbus::Error& error) {
  return {std::string(error.getName()), clean_foreign_text(error.getMessage())};
}

std::string broker_match(const char* member, const std::string& more = {}) {
  return "type='signal',sender='" + std::string(kBroker) + "',path='" + kBrokerPath + "',interface='" + kBroker +
         "',member='" + member + "'" + more;
}

}  // namespace

std::string_view to_string(BusKind kind) {
  return kind == BusKind::kSystem ? "system" : "session";
}

// --- calls of others -----------------------------------------------------------------------------------------------

struct Call::State {
  sdbus::MethodCall call;
  std::string sender, member;
  std::optional<sdbus::MethodReply> reply{};
  std::optional<Writer> writer{};

  Writer& write() {
    if (!writer) {
      reply.emplace(call.createReply());
      ::sd_bus_message_sensitive(Opened::of(*reply));  // wiped when it has been sent
      writer.emplace(Opened::of(*reply));
    }
    return *writer;
  }
  sd_bus_message* raw() const { return Opened::of(call); }
};

Call::Call(std::unique_ptr<State> state) : state_(std::move(state)) {}
Call::Call(Call&&) noexcept = default;
Call& Call::operator=(Call&& other) noexcept {
  if (state_ && this != &other) fail(kFailed, "the call was given up");
  state_ = std::move(other.state_);
  return *this;
}
Call::~Call() {
  if (state_) fail(kFailed, "the call was given up");
}

const std::string& Call::sender() const {
  return state_->sender;
}
const std::string& Call::member() const {
  return state_->member;
}
bool Call::allows_interaction() const {
  return ::sd_bus_message_get_allow_interactive_authorization(state_->raw()) > 0;
}
Reader Call::arguments() const {
  return Reader(state_->raw());
}

bool Call::compose(const std::function<void(Writer&)>& write) {
  bool good = false;
  guarded("reply", [&] {
    Writer& writer = state_->write();
    write(writer);
    good = writer.good();
  });
  return good;
}

bool Call::reply(const std::function<void(Writer&)>& write, const std::function<bool(Reader&)>& fill) {
  bool sent = false, too_large = false;
  guarded("reply", [&] {
    Writer& writer = state_->write();
    write(writer);
    too_large = writer.too_large();
    if (!writer.good()) return;
    if (fill) {
      ::sd_bus_message_seal(Opened::of(*state_->reply), kAnswersSerial, 0);  // now its body stays where it is
      Reader reader(Opened::of(*state_->reply));
      if (!fill(reader)) return;
    }
    state_->reply->send();
    sent = true;
  });
  if (fill) wipe_stack();
  if (sent) {
    state_.reset();
  } else if (too_large) {
    fail(std::string(kErrorPrefix) + "TooLarge", "the answer is too large for the bus; ask over the Unix socket");
  } else {
    fail(kFailed, "the answer cannot be carried by the bus; ask over the Unix socket");
  }
  return sent;
}

void Call::fail(std::string_view error_name, std::string_view message) {
  const std::unique_ptr<State> state = std::move(state_);
  guarded("error reply", [&] { state->call.createErrorReply(make_error(error_name, to_utf8_text(message))).send(); });
}

void Call::drop() {
  state_.reset();
}

// --- the connection ------------------------------------------------------------------------------------------------

struct Bus::State {
  std::unique_ptr<sdbus::IConnection> connection;
  sd_bus* raw = nullptr;  // libsystemd's own, inside of it
  std::unique_ptr<sdbus::IObject> object;
  std::map<std::string, std::unique_ptr<sdbus::IProxy>, std::less<>> proxies;
  Handlers handlers;
  std::unique_ptr<Loop::Guest> guest;
  std::unique_ptr<Loop::Timer> lost_timer;  // tells of the end from outside of sd-bus
  std::string lost_why;
  bool lost = false;
  bool signals_fail = false;  // said once

  void serve(sdbus::MethodCall call);
  void match(const std::string& rule, std::function<void(Reader)> then);
  void watch_broker();
  void watch_logind();
  Loop::Wish wish();
  std::uint64_t unsent() const;
  void turn();
  void lose(const std::string& why);
  sdbus::IProxy& proxy(const char* destination, const char* path);
};

void Bus::State::serve(sdbus::MethodCall call) {
  guarded("method call", [&] {
    auto state = std::make_unique<Call::State>();
    state->sender = call.getSender();
    state->member = call.getMemberName();
    state->call = std::move(call);
    Call made(std::move(state));  // from here on it is answered, whatever happens
    if (handlers.on_call) handlers.on_call(std::move(made));
  });
}

void Bus::State::match(const std::string& rule, std::function<void(Reader)> then) {
  connection->addMatch(
      rule, [then = std::move(then)](Match message) { guarded("signal", [&] { then(Reader(Opened::of(message))); }); }
#if !CREDSYNC_SDBUS_2
      ,
      sdbus::floating_slot
#endif
  );
}

// Who leaves is told for all names: a rule for each caller would cost the broker a rule and two calls, and its limit of
// rules would become ours.
void Bus::State::watch_broker() {
  match(broker_match("NameOwnerChanged", ",arg2=''"), [this](Reader reader) {
    const auto name = reader.text();
    if (name && name->starts_with(':') && handlers.on_gone) handlers.on_gone(*name);
  });
  for (const bool acquired : {true, false}) {
    match(broker_match(acquired ? "NameAcquired" : "NameLost"), [this, acquired](Reader reader) {
      const auto name = reader.text();
      if (name && *name == kBusName && handlers.on_name) handlers.on_name(acquired);
    });
  }
}

// The broker sees to it that the signal is from whoever has logind's name, which its policy keeps for root.
void Bus::State::watch_logind() {
  match(
      "type='signal',sender='org.freedesktop.login1',path='/org/freedesktop/login1',"
      "interface='org.freedesktop.login1.Manager',member='PrepareForSleep'",
      [this](Reader reader) {
        const auto begins = reader.flag();
        if (begins && handlers.on_sleep) handlers.on_sleep(*begins);
      });
}

Loop::Wish Bus::State::wish() {
  Loop::Wish wish;
  if (lost) return wish;
  try {
    const auto poll = connection->getEventLoopPollData();
    static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT);
    wish.events = static_cast<std::uint32_t>(poll.events);
    if (unsent() >= kMostUnsent) wish.events &= ~static_cast<std::uint32_t>(EPOLLIN);
    wish.until = time_out(poll);
  } catch (const std::exception& thrown) {
    lose(thrown.what());
  }
  return wish;
}

std::uint64_t Bus::State::unsent() const {
  std::uint64_t messages = 0;
  return ::sd_bus_get_n_queued_write(raw, &messages) < 0 ? 0 : messages;
}

// One message: callers over HTTP wait no longer than it takes, however many more there are. Theirs takes 20 us, a common
// message on the bus as long, one of 1 MB ten times.
void Bus::State::turn() {
  if (lost) return;
  const bool is_behind = unsent() > 0;
  try {
    process(*connection);
  } catch (const std::exception& thrown) {
    lose(thrown.what());
  }
  if (is_behind && unsent() == 0 && handlers.on_sent) handlers.on_sent();
}

void Bus::State::lose(const std::string& why) {
  if (std::exchange(lost, true)) return;
  lost_why = clean_foreign_text(why);
  lost_timer->set(BootTime{});
}

sdbus::IProxy& Bus::State::proxy(const char* destination, const char* path) {
  const auto at = proxies.find(destination);
  if (at != proxies.end()) return *at->second;
  return *proxies.emplace(destination, make_proxy(*connection, destination, path)).first->second;
}

Result<std::unique_ptr<Bus>> Bus::open(BusKind kind) {
  try {
    auto state = std::make_unique<State>();
    state->connection =
        kind == BusKind::kSystem ? sdbus::createSystemBusConnection() : sdbus::createSessionBusConnection();
    State* self = state.get();
    state->object = make_object(*state->connection, [self](sdbus::MethodCall call) { self->serve(std::move(call)); });
    state->raw = ::sd_bus_message_get_bus(Opened::of(make_signal(*state->object, kStateChanged.name)));
    state->watch_broker();
    if (kind == BusKind::kSystem) state->watch_logind();
    return std::unique_ptr<Bus>(new Bus(std::move(state)));
  } catch (const std::exception& thrown) {
    return unavailable("connect to the " + std::string(to_string(kind)) + " bus: " + clean_foreign_text(thrown.what()));
  }
}

Bus::Bus(std::unique_ptr<State> state) : state_(std::move(state)) {}
Bus::~Bus() {
  if (!state_) return;
  state_->guest.reset();
  state_->handlers = {};
  guarded("closing", [this] {
    state_->proxies.clear();
    state_->object.reset();
    state_->connection.reset();
  });
}

Result<void> Bus::attach(Loop& loop, Handlers handlers) {
  State* self = state_.get();
  self->handlers = std::move(handlers);
  self->lost_timer = loop.timer([self] {
    const auto tell = self->handlers.on_lost;  // may destroy this bus
    const std::string why = self->lost_why;
    if (tell) tell(why);
  });
  int descriptor = -1;
  try {
    descriptor = self->connection->getEventLoopPollData().fd;
  } catch (const std::exception& thrown) {
    return unavailable(clean_foreign_text(thrown.what()));
  }
  auto guest = loop.host(
      descriptor, [self] { return self->wish(); }, [self] { self->turn(); });
  if (!guest) return guest.error();
  self->guest = std::move(*guest);
  return {};
}

void Bus::request_name(std::function<void(const Failure&)> failed) {
  constexpr std::uint32_t kStandInLine = 0;  // no flag: neither replace, nor be replaced, nor give up
  const Target target{kBroker, kBrokerPath, kBroker, "RequestName"};
  call(
      target,
      [](Writer& writer) {
        writer.text(kBusName);
        writer.u32(kStandInLine);
      },
      10s,
      [this, failed = std::move(failed)](Reader* body, const Failure* failure) {
        if (failure != nullptr) return failed(*failure);
        constexpr std::uint32_t kInLine = 2;
        if (body->u32() == kInLine && state_->handlers.on_name) state_->handlers.on_name(false);
      });
}

void Bus::release_name() {
  const Target target{kBroker, kBrokerPath, kBroker, "ReleaseName"};
  call(
      target, [](Writer& writer) { writer.text(kBusName); }, 10s, [](Reader*, const Failure*) {});
}

void Bus::call(const Target& target, const std::function<void(Writer&)>& write, Duration deadline, Reply reply) {
  Failure failed{kFailed, "the call could not be made"};
  auto shared = std::make_shared<Reply>(std::move(reply));
  const bool made = guarded(target.method, [&] {
    sdbus::IProxy& proxy = state_->proxy(target.destination, target.path);
    sdbus::MethodCall call = make_call(proxy, target.interface, target.method);
    Writer writer(Opened::of(call));
    write(writer);
    if (!writer.good()) throw std::runtime_error("the call has no room for its arguments");
    call_async(proxy, call, static_cast<std::uint64_t>(deadline.count()),
               [shared](sdbus::MethodReply& got, const sdbus::Error* error) {
                 guarded("answer", [&] {
                   if (error != nullptr) {
                     const Failure failure = failure_of(*error);
                     return (*shared)(nullptr, &failure);
                   }
                   Reader reader(Opened::of(got));
                   (*shared)(&reader, nullptr);
                 });
               });
  });
  if (!made) (*shared)(nullptr, &failed);
}

void Bus::signal(const std::string& destination, const char* name, const std::function<void(Writer&)>& write) {
  try {
    sdbus::Signal signal = make_signal(*state_->object, name);
    signal.setDestination(destination);
    Writer writer(Opened::of(signal));
    write(writer);
    if (writer.good()) signal.send();
  } catch (const std::exception& thrown) {  // the bus takes nothing more: a subscriber asks again when it can
    if (std::exchange(state_->signals_fail, true)) return;
    log::warning("D-Bus: signals are lost", {{"ERROR", clean_foreign_text(thrown.what())}});
  }
}

bool Bus::unsent() const {
  return !state_->lost && state_->unsent() > 0;
}

void Bus::abandon() {
  state_->guest.reset();
  state_->handlers = {};
  (void)state_.release();
}

}  // namespace credsync::ipc::dbus
