// The connection to a message bus, on sdbus-c++ 1.2 or 2.1: this file and bus.cc are the only ones that know of it, and
// of what differs between the two. It is opened on any thread, for that blocks, and lives on the loop from attach() on.
//
// sdbus-c++ throws, and in 1.2 a foreign exception that leaves a handler ends the bus for good: nothing that is called
// from here may throw past it, and nothing thrown in here gets out. When the connection ends, on_lost tells once; whoever
// owns the bus then destroys it and opens another.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/loop.h"
#include "base/result.h"
#include "base/unique_function.h"
#include "ipc/dbus/message.h"

namespace credsync::ipc::dbus {

enum class BusKind { kSystem, kSession };
std::string_view to_string(BusKind kind);

// A method call that waits for its answer. One that goes without an answer is answered with an error, so that nobody
// waits for nothing; it must go before its bus.
class Call {
 public:
  struct State;
  explicit Call(std::unique_ptr<State> state);
  Call(Call&&) noexcept;
  Call& operator=(Call&&) noexcept;
  ~Call();

  const std::string& sender() const;  // the unique name
  const std::string& member() const;
  bool allows_interaction() const;  // the caller lets polkit ask a person
  Reader arguments() const;

  // Appends a part of the results, in a turn of its own, to what reply() will send; false once it cannot be sent.
  bool compose(const std::function<void(Writer&)>& write);
  // `write` appends the results, `fill` puts secrets where room was left for them. What does not fit or is no text is
  // answered with an error: `false` then.
  bool reply(const std::function<void(Writer&)>& write, const std::function<bool(Reader&)>& fill = {});
  void fail(std::string_view error_name, std::string_view message);
  // The caller has left the bus, or the bus has ended: nobody is told.
  void drop();

 private:
  std::unique_ptr<State> state_;
};

class Bus {
 public:
  struct Handlers {
    std::function<void(Call)> on_call;
    std::function<void(const std::string&)> on_gone;  // a unique name that left the bus
    std::function<void(bool)> on_name;                // our well-known name: acquired or lost
    std::function<void(const std::string&)> on_lost;
    std::function<void()> on_sent;       // the bus has taken all that it had not
    std::function<void(bool)> on_sleep;  // logind, on the system bus: the machine goes to sleep (true), or has woken up
  };
  // The answer to a call of ours: its body, or why there is none.
  struct Failure {
    std::string name, message;
  };
  using Reply = std::function<void(Reader* body, const Failure* failure)>;

  // Connects, exports the object and asks for the signals it needs. Waits for the bus: not for the loop's thread.
  static Result<std::unique_ptr<Bus>> open(BusKind kind);
  ~Bus();

  Result<void> attach(Loop& loop, Handlers handlers);

  // Asks for our name and stands in line if another has it; what comes of it is told by on_name. `failed` is called when
  // the bus refuses.
  void request_name(std::function<void(const Failure&)> failed);
  void release_name();

  struct Target {
    const char* destination;
    const char* path;
    const char* interface;
    const char* method;
  };
  // One of ours to another; the reply comes on the loop, within `deadline` or as a failure, unless the bus goes first.
  void call(const Target& target, const std::function<void(Writer&)>& write, Duration deadline, Reply reply);

  void signal(const std::string& destination, const char* name, const std::function<void(Writer&)>& write);

  // Messages of ours that the bus has not taken yet.
  bool unsent() const;
  // Lets the connection be, for a process that ends: closing waits until all is sent, which a bus that hangs prevents.
  void abandon();

 private:
  struct State;
  explicit Bus(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace credsync::ipc::dbus
