#include "daemon/refresh/limits.h"

#include <algorithm>
#include <cmath>

#include "base/mutation.h"

namespace credsync::refresh {
namespace {

constexpr double kBucketSeconds = 0.02;
constexpr double kShareOfRate = 0.95;

// What may reach the endpoint in one second; of rates below one a second one, in so much longer.
std::size_t most_of(double rate) {
  return static_cast<std::size_t>(std::max(1.0, std::floor(rate)));
}
Duration second_of(double rate) {
  return Duration(static_cast<Duration::rep>(std::ceil(static_cast<double>(most_of(rate)) / rate * 1e6)));
}

}  // namespace

EndpointGate::Place::~Place() {
  if (gate_ != nullptr) gate_->queue_.erase(at_);
}

std::unique_ptr<EndpointGate::Place> EndpointGate::wait(WallTime urgency, UniqueFunction<void()> enter) {
  auto place = std::make_unique<Place>();
  place->gate_ = this;
  place->enter_ = std::move(enter);
  place->at_ = queue_.emplace(urgency, place.get());
  return place;
}

void EndpointGate::leave(Outcome outcome, BootTime now) {
  --running_;
  if (rate_) left_.push_back(now);
  proven_ = outcome == Outcome::kAnswered;
  if (outcome == Outcome::kAnswered) window_ = std::min(window_ + 1, kLargestWindow);
  if (outcome == Outcome::kTimedOut) window_ = kSmallestWindow;
}

void EndpointGate::pause(BootTime until) {
  paused_until_ = std::max(paused_until_.value_or(until), until);
  window_ = std::min(window_, kFirstWindow);  // no stampede when the pause is over
}

std::optional<BootTime> EndpointGate::admit(BootTime now, unsigned most) {
  if (paused_until_ && *paused_until_ <= now) paused_until_.reset();
  for (; !queue_.empty() && (running_ < window_ || mutated(Mutation::kNoWindow)) && most > 0; --most) {
    if (paused_until_ && !mutated(Mutation::kNoPause)) return paused_until_;
    if (second_is_full(now)) return left_.empty() ? std::nullopt : std::optional(left_.front() + second_of(*rate_));
    if (!take_token(now)) return next_token(now);
    Place* place = queue_.begin()->second;
    queue_.erase(queue_.begin());
    place->gate_ = nullptr;
    ++running_;
    UniqueFunction<void()> enter = std::move(place->enter_);
    enter();
  }
  return queue_.empty() ? std::nullopt : paused_until_;
}

// When a request reaches the endpoint is not known, only that it does between its sending and its answer: a network or a
// server that stalls lets many arrive at once. Whatever has no answer, or had none a second ago, may arrive within the same
// second as the next one; as long as those and it are no more than the provider allows, no second that the provider may
// look at, wherever it begins, holds more.
bool EndpointGate::second_is_full(BootTime now) {
  if (!rate_ || mutated(Mutation::kNoRate)) return false;
  while (!left_.empty() && left_.front() + second_of(*rate_) <= now)
    left_.pop_front();
  return running_ + left_.size() >= most_of(*rate_);
}

// Paced a little below the declared rate and with a bucket of 20 ms: a provider that counts in shorter steps is content too.
bool EndpointGate::take_token(BootTime now) {
  if (!rate_ || mutated(Mutation::kNoRate)) return true;
  const double most = std::max(1.0, *rate_ * kBucketSeconds);
  if (filled_at_) {
    const double seconds = std::chrono::duration<double>(now - *filled_at_).count();
    bucket_ = std::min(most, bucket_ + seconds * *rate_ * kShareOfRate);
  }
  filled_at_ = now;
  if (bucket_ < 1) return false;
  bucket_ -= 1;
  return true;
}

BootTime EndpointGate::next_token(BootTime now) const {
  const double seconds = (1 - bucket_) / (*rate_ * kShareOfRate);
  return now + Duration(static_cast<Duration::rep>(std::ceil(seconds * 1e6)));
}

}  // namespace credsync::refresh
