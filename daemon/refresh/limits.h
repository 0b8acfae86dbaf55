// How much one token endpoint is asked at once, per client: a window that opens while it answers and closes when it
// hangs, one shared pause after a 429, and a token bucket where the profile names a rate. Lives on the loop.
// Who waits is let in by urgency: the token that ends first goes first.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/time.h"
#include "base/unique_function.h"

namespace credsync::refresh {

constexpr unsigned kFirstWindow = 4;     // at once, to begin with
constexpr unsigned kLargestWindow = 24;  // of 32 workers: one endpoint never takes them all
constexpr unsigned kSmallestWindow = 1;  // after a time-out

class EndpointGate {
 public:
  enum class Outcome { kAnswered, kTimedOut, kOther };

  explicit EndpointGate(std::optional<double> requests_per_second) : rate_(requests_per_second) {}

  // A place in the queue. Destroying it before it was let in gives the place up.
  class Place {
   public:
    ~Place();

   private:
    friend class EndpointGate;
    EndpointGate* gate_ = nullptr;
    std::multimap<WallTime, Place*>::iterator at_;
    UniqueFunction<void()> enter_;
  };
  // `enter` is called from admit(), at once or later; then leave() must follow when the exchange is over.
  std::unique_ptr<Place> wait(WallTime urgency, UniqueFunction<void()> enter);
  void leave(Outcome outcome);
  // A 429 or a used-up limit: nobody goes before then.
  void pause(BootTime until);

  // Lets in who may go now. Returns when to call again, if time alone will change something.
  std::optional<BootTime> admit(BootTime now);

  std::size_t waiting() const { return queue_.size(); }
  unsigned running() const { return running_; }
  unsigned window() const { return window_; }
  std::optional<BootTime> paused_until() const { return paused_until_; }

 private:
  bool take_token(BootTime now);
  BootTime next_token(BootTime now) const;

  const std::optional<double> rate_;
  std::multimap<WallTime, Place*> queue_;
  unsigned running_ = 0;
  unsigned window_ = kFirstWindow;
  std::optional<BootTime> paused_until_;
  double bucket_ = 1;  // requests that may go at once; see take_token
  std::optional<BootTime> filled_at_;
};

}  // namespace credsync::refresh
