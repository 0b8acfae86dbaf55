// The event loop (sd-event): owns the thread on which all account state lives. post() may be called from any thread,
// everything else on the loop only. Timers count CLOCK_BOOTTIME, so they fire in time after a suspend.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/result.h"
#include "base/time.h"
#include "base/unique_function.h"

struct sd_event;

namespace credsync {

// Where results of other threads come back to: the loop, or a queue in tests.
class Executor {
 public:
  virtual ~Executor() = default;
  // Runs `task` later on the loop, in the order of the calls. Thread-safe.
  virtual void post(UniqueFunction<void()> task) = 0;
};

class Loop final : public Executor {
 public:
  static Result<std::unique_ptr<Loop>> create();
  ~Loop() override;

  void post(UniqueFunction<void()> task) override;

  // A one-shot timer. Destroying it disarms it.
  class Timer {
   public:
    ~Timer();
    void set(BootTime when);
    void cancel();

   private:
    friend class Loop;
    struct State;
    explicit Timer(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
  };
  std::unique_ptr<Timer> timer(std::function<void()> on_time);

  // Watches a descriptor for epoll(7) `events`. Destroying it ends the watch; the descriptor stays the caller's.
  class Watch {
   public:
    ~Watch();
    void set(std::uint32_t events);  // also from within its own call

   private:
    friend class Loop;
    struct State;
    explicit Watch(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
  };
  Result<std::unique_ptr<Watch>> watch(int descriptor, std::uint32_t events,
                                       std::function<void(std::uint32_t)> on_ready);

  // A library that waits on one descriptor and on the clock, and wants other events at each turn (a connection to the bus).
  // Before every wait the loop asks it for its wish; it has its turn when an event or the time is there, after one other
  // source if another is ready, and not after a second. Destroying it ends both; not to be done in one of its own
  // callbacks.
  static constexpr std::uint64_t kNoTimeOut = UINT64_MAX;
  struct Wish {
    std::uint32_t events = 0;  // epoll(7)
    // CLOCK_MONOTONIC in microseconds, as sd_bus_get_timeout(3) has it: 0 is at once, kNoTimeOut never.
    std::uint64_t until = kNoTimeOut;
  };
  class Guest {
   public:
    ~Guest();

   private:
    friend class Loop;
    struct State;
    explicit Guest(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
  };
  Result<std::unique_ptr<Guest>> host(int descriptor, std::function<Wish()> wish, std::function<void()> on_turn);

  // Blocks the signal in this thread (and in threads started later) and calls back on the loop instead.
  Result<void> on_signal(int signal, std::function<void()> on_caught);
  // Calls back when somebody sets the wall clock (TFD_TIMER_CANCEL_ON_SET).
  Result<void> on_clock_step(std::function<void()> on_step);

  // Runs until quit(); returns what quit was given.
  int run();
  void quit(int code);

  sd_event* native() { return event_; }

 private:
  struct Posted;
  struct Held;
  explicit Loop(sd_event* event);
  sd_event* event_;
  std::unique_ptr<Posted> posted_;
  std::unique_ptr<Held> held_;
};

}  // namespace credsync
