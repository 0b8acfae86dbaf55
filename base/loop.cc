#include "base/loop.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "base/check.h"

namespace credsync {
namespace {

constexpr std::uint64_t kTimerAccuracyUsec = 1000;  // short tokens are planned in tenths of seconds

// sd-event's order of what is ready at the same time, for guests. Everything else is between the two.
constexpr std::int64_t kAfterOthers = SD_EVENT_PRIORITY_NORMAL + 1;
constexpr std::int64_t kBeforeOthers = SD_EVENT_PRIORITY_NORMAL - 1;

}  // namespace

struct Loop::Posted {
  std::mutex mutex;
  std::deque<UniqueFunction<void()>> tasks;
  int descriptor = -1;
  sd_event_source* source = nullptr;

  // Only what was there when the turn began, so that tasks that post tasks do not starve the sockets.
  static int run(sd_event_source*, int fd, std::uint32_t, void* self_) {
    auto* self = static_cast<Posted*>(self_);
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(fd, &count, sizeof count);
    std::deque<UniqueFunction<void()>> batch;
    {
      const std::lock_guard lock(self->mutex);
      batch.swap(self->tasks);
    }
    for (auto& task : batch)
      task();
    return 0;
  }
};

// What lives as long as the loop: signal handlers and the clock's watch.
struct Loop::Held {
  struct Callback {
    std::function<void()> run;
    sd_event_source* source = nullptr;
  };
  std::deque<Callback> callbacks;
  std::unique_ptr<Watch> clock_watch;
  int clock_descriptor = -1;
};

Result<std::unique_ptr<Loop>> Loop::create() {
  sd_event* event = nullptr;
  if (const int r = ::sd_event_new(&event); r < 0) return from_errno("create the event loop", -r);
  std::unique_ptr<Loop> loop(new Loop(event));
  Posted& posted = *loop->posted_;
  posted.descriptor = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (posted.descriptor < 0) return from_errno("create an eventfd", errno);
  if (const int r = ::sd_event_add_io(event, &posted.source, posted.descriptor, EPOLLIN, &Posted::run, &posted);
      r < 0) {
    return from_errno("watch the eventfd", -r);
  }
  return loop;
}

Loop::Loop(sd_event* event) : event_(event), posted_(std::make_unique<Posted>()), held_(std::make_unique<Held>()) {}

Loop::~Loop() {
  held_->clock_watch.reset();
  if (held_->clock_descriptor >= 0) ::close(held_->clock_descriptor);
  for (auto& callback : held_->callbacks)
    ::sd_event_source_unref(callback.source);
  ::sd_event_source_unref(posted_->source);
  if (posted_->descriptor >= 0) ::close(posted_->descriptor);
  ::sd_event_unref(event_);
}

void Loop::post(UniqueFunction<void()> task) {
  bool first = false;
  {
    const std::lock_guard lock(posted_->mutex);
    first = posted_->tasks.empty();
    posted_->tasks.push_back(std::move(task));
  }
  if (first) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t put = ::write(posted_->descriptor, &one, sizeof one);
  }
}

struct Loop::Timer::State {
  sd_event* event;
  std::function<void()> on_time;
  sd_event_source* source = nullptr;

  static int fire(sd_event_source*, std::uint64_t, void* self) {
    const std::function<void()> call = static_cast<State*>(self)->on_time;  // may destroy the timer
    call();
    return 0;
  }
};

Loop::Timer::Timer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Loop::Timer::~Timer() {
  ::sd_event_source_disable_unref(state_->source);
}

void Loop::Timer::set(BootTime when) {
  const auto usec = static_cast<std::uint64_t>(std::max<std::int64_t>(0, when.time_since_epoch().count()));
  State& s = *state_;
  if (s.source == nullptr) {
    const int r = ::sd_event_add_time(s.event, &s.source, CLOCK_BOOTTIME, usec, kTimerAccuracyUsec, &State::fire, &s);
    CHECK(r >= 0);
    return;
  }
  ::sd_event_source_set_time(s.source, usec);
  ::sd_event_source_set_enabled(s.source, SD_EVENT_ONESHOT);
}

void Loop::Timer::cancel() {
  if (state_->source != nullptr) ::sd_event_source_set_enabled(state_->source, SD_EVENT_OFF);
}

std::unique_ptr<Loop::Timer> Loop::timer(std::function<void()> on_time) {
  auto state = std::make_unique<Timer::State>();
  state->event = event_;
  state->on_time = std::move(on_time);
  return std::unique_ptr<Timer>(new Timer(std::move(state)));
}

struct Loop::Watch::State {
  std::function<void(std::uint32_t)> on_ready;
  sd_event_source* source = nullptr;

  static int ready(sd_event_source*, int, std::uint32_t events, void* self) {
    static_cast<State*>(self)->on_ready(events);
    return 0;
  }
};

Loop::Watch::Watch(std::unique_ptr<State> state) : state_(std::move(state)) {}
Loop::Watch::~Watch() {
  ::sd_event_source_disable_unref(state_->source);
}

void Loop::Watch::set(std::uint32_t events) {
  ::sd_event_source_set_io_events(state_->source, events);
}
Result<std::unique_ptr<Loop::Watch>> Loop::watch(int descriptor, std::uint32_t events,
                                                 std::function<void(std::uint32_t)> on_ready) {
  auto state = std::make_unique<Watch::State>();
  state->on_ready = std::move(on_ready);
  const int r = ::sd_event_add_io(event_, &state->source, descriptor, events, &Watch::State::ready, state.get());
  if (r < 0) return from_errno("watch a descriptor", -r);
  return std::unique_ptr<Watch>(new Watch(std::move(state)));
}

struct Loop::Guest::State {
  std::function<Wish()> wish;
  std::function<void()> on_turn;
  sd_event* event = nullptr;
  sd_event_source* io = nullptr;
  sd_event_source* time = nullptr;
  std::uint32_t events = 0;
  std::uint64_t armed = kNoTimeOut;
  std::int64_t priority = kAfterOthers;

  // What is ready and had no turn was passed over by another: once is enough.
  static int prepare(sd_event_source*, void* self_) {
    auto* self = static_cast<State*>(self_);
    const bool passed_over = is_pending(self->io) || is_pending(self->time);
    self->rank(passed_over ? kBeforeOthers : kAfterOthers);
    const Wish now = self->wish();
    if (now.events != self->events) {
      self->events = now.events;
      ::sd_event_source_set_io_events(self->io, now.events);
    }
    if (now.until != self->armed) self->arm(now.until);
    return 0;
  }
  static int ready(sd_event_source*, int, std::uint32_t, void* self) {
    static_cast<State*>(self)->on_turn();
    return 0;
  }
  static int fire(sd_event_source*, std::uint64_t, void* self) {
    static_cast<State*>(self)->armed = kNoTimeOut;  // one-shot: the same wish must arm it again
    static_cast<State*>(self)->on_turn();
    return 0;
  }

  static bool is_pending(sd_event_source* source) {
    return source != nullptr && ::sd_event_source_get_pending(source) > 0;
  }

  void rank(std::int64_t wanted) {
    if (std::exchange(priority, wanted) == wanted) return;
    ::sd_event_source_set_priority(io, priority);
    if (time != nullptr) ::sd_event_source_set_priority(time, priority);
  }

  void arm(std::uint64_t until) {
    armed = until;
    if (until == kNoTimeOut) {
      ::sd_event_source_set_enabled(time, SD_EVENT_OFF);
    } else if (time == nullptr) {
      int r = ::sd_event_add_time(event, &time, CLOCK_MONOTONIC, until, kTimerAccuracyUsec, &State::fire, this);
      if (r >= 0) r = ::sd_event_source_set_priority(time, priority);
      CHECK(r >= 0);
    } else {
      ::sd_event_source_set_time(time, until);
      ::sd_event_source_set_enabled(time, SD_EVENT_ONESHOT);
    }
  }
};

Loop::Guest::Guest(std::unique_ptr<State> state) : state_(std::move(state)) {}
Loop::Guest::~Guest() {
  ::sd_event_source_disable_unref(state_->io);
  ::sd_event_source_disable_unref(state_->time);
}

Result<std::unique_ptr<Loop::Guest>> Loop::host(int descriptor, std::function<Wish()> wish,
                                                std::function<void()> on_turn) {
  auto state = std::make_unique<Guest::State>();
  state->wish = std::move(wish);
  state->on_turn = std::move(on_turn);
  state->event = event_;
  int r = ::sd_event_add_io(event_, &state->io, descriptor, 0, &Guest::State::ready, state.get());
  if (r >= 0) r = ::sd_event_source_set_priority(state->io, state->priority);
  if (r >= 0) r = ::sd_event_source_set_prepare(state->io, &Guest::State::prepare);
  if (r < 0) return ::sd_event_source_disable_unref(state->io), from_errno("watch a descriptor", -r);
  return std::unique_ptr<Guest>(new Guest(std::move(state)));
}

Result<void> Loop::on_signal(int signal, std::function<void()> on_caught) {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, signal);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  Held::Callback& callback = held_->callbacks.emplace_back();
  callback.run = std::move(on_caught);
  const auto call = [](sd_event_source*, const signalfd_siginfo*, void* self) {
    static_cast<Held::Callback*>(self)->run();
    return 0;
  };
  const int r = ::sd_event_add_signal(event_, &callback.source, signal, call, &callback);
  if (r < 0) return from_errno("catch a signal", -r);
  return {};
}

Result<void> Loop::on_clock_step(std::function<void()> on_step) {
  const int fd = ::timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
  if (fd < 0) return from_errno("create a timerfd", errno);
  held_->clock_descriptor = fd;
  const auto arm = [fd] {
    itimerspec never{};
    never.it_value.tv_sec = unix_seconds(kWallMax);
    ::timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, nullptr);
  };
  arm();
  auto watch = this->watch(fd, EPOLLIN, [fd, arm, call = std::move(on_step)](std::uint32_t) {
    std::uint64_t expirations = 0;
    const bool stepped = ::read(fd, &expirations, sizeof expirations) < 0 && errno == ECANCELED;
    arm();
    if (stepped) call();
  });
  if (!watch) return watch.error();
  held_->clock_watch = std::move(*watch);
  return {};
}

int Loop::run() {
  const int r = ::sd_event_loop(event_);
  CHECK(r >= 0);
  return r;
}

void Loop::quit(int code) {
  ::sd_event_exit(event_, code);
}

}  // namespace credsync
