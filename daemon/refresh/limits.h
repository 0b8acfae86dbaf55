// How much one token endpoint is asked at once, per client: a window that opens while it answers and closes when it
// hangs, one shared pause after a 429, and where the profile names a rate a token bucket and a count of what may reach the
// endpoint in one second. Lives on the loop. Who waits is let in by urgency: the token that ends first goes first.
#pragma once

#include <cstdint>
#include <deque>
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
  void leave(Outcome outcome, BootTime now);
  // The profile's rate, which a reload may change.
  void limit(std::optional<double> requests_per_second) { rate_ = requests_per_second; }
  // A 429 or a used-up limit: nobody goes before then.
  void pause(BootTime until);

  // Lets in who may go now, `most` of them at most. Returns when to call again, if time alone will change something.
  static constexpr unsigned kNoBound = ~0U;
  std::optional<BootTime> admit(BootTime now, unsigned most = kNoBound);

  // Did the last exchange end with an answer? One that was never asked has proven nothing.
  bool proven() const { return proven_; }
  std::size_t waiting() const { return queue_.size(); }
  unsigned running() const { return running_; }
  unsigned window() const { return window_; }
  std::optional<BootTime> paused_until() const { return paused_until_; }

 private:
  bool take_token(BootTime now);
  BootTime next_token(BootTime now) const;
  bool second_is_full(BootTime now);

  std::optional<double> rate_;
  std::multimap<WallTime, Place*> queue_;
  unsigned running_ = 0;
  unsigned window_ = kFirstWindow;
  std::optional<BootTime> paused_until_;
  double bucket_ = 1;  // requests that may go at once; see take_token
  std::optional<BootTime> filled_at_;
  std::deque<BootTime> left_;  // when exchanges ended that may have reached the endpoint in this second
  bool proven_ = false;
};

}  // namespace credsync::refresh
