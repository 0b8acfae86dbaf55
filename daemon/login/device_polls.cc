#include "daemon/login/device_polls.h"

#include <algorithm>
#include <utility>

#include "daemon/login/session_words.h"

namespace credsync::login {
namespace {

constexpr Duration kSlowDown = 5s;       // RFC 8628, 3.5: added for this and all later questions
constexpr Duration kLongestDelay = 60s;  // however often the provider did not answer
constexpr unsigned kMostDoublings = 4;

bool still_pending(const oauth::Failure& failure) {
  return failure.code == "authorization_pending" || failure.code == "slow_down";
}

// It was not the provider's last word.
bool worth_asking_again(const oauth::Failure& failure) {
  using oauth::FailureClass;
  return still_pending(failure) || failure.failure_class == FailureClass::kNotSent ||
         failure.failure_class == FailureClass::kTransient || failure.failure_class == FailureClass::kAmbiguous ||
         failure.failure_class == FailureClass::kUntrusted;
}

NotCompleted expired() {
  return {"expired_token", "the code was not entered in time", true, false};
}

NotCompleted nobody_waits() {
  return {"abandoned", "", false, true};
}

}  // namespace

struct DevicePolls::Poll {
  Poll(Agenda& agenda, std::function<void()> on_due) : due(agenda, std::move(on_due)) {}
  std::shared_ptr<const config::Account> account;
  Secret device_code;
  BootTime end;
  Duration interval{0};
  unsigned unanswered = 0;  // in a row
  bool asking = false;
  bool abandoned = false;
  UniqueFunction<void(Outcome)> done;
  Agenda::Entry due;
};

DevicePolls::DevicePolls(refresh::Exchanger& exchanger, refresh::Installer& installer, Completion& completion,
                         Agenda& agenda, const Clock& clock)
    : exchanger_(exchanger), installer_(installer), completion_(completion), agenda_(agenda), clock_(clock) {}
DevicePolls::~DevicePolls() = default;

DevicePolls::Number DevicePolls::begin(std::shared_ptr<const config::Account> account, oauth::DeviceAnswer device,
                                       UniqueFunction<void(Outcome)> done) {
  const Number number = next_++;
  auto poll = std::make_unique<Poll>(agenda_, [this, number] { ask(number); });
  poll->account = std::move(account);
  poll->device_code = std::move(device.device_code);
  poll->end = clock_.boot() + device.expires_in;
  poll->interval = device.interval;
  poll->done = std::move(done);
  poll->due.set(clock_.boot() + device.interval);
  polls_.emplace(number, std::move(poll));
  return number;
}

void DevicePolls::abandon(Number number) {
  const auto at = polls_.find(number);
  if (at == polls_.end()) return;
  if (!at->second->asking) return finish(number, nobody_waits());
  at->second->abandoned = true;
}

void DevicePolls::ask(Number number) {
  Poll& poll = *polls_.at(number);
  if (clock_.boot() >= poll.end) return finish(number, expired());
  poll.asking = true;
  refresh::ExchangeOrder order;
  order.account = poll.account;
  order.input = oauth::DevicePollInput{poll.device_code.clone()};
  order.urgency = WallTime{};
  order.rotates = true;  // the answer that brings the tokens comes once: room for it is reserved
  order.generation = 0;  // of no grant in use
  exchanger_.run(std::move(order), [this, number](refresh::Exchanged e) { answered(number, std::move(e)); });
}

void DevicePolls::answered(Number number, refresh::Exchanged exchanged) {
  Poll& poll = *polls_.at(number);
  poll.asking = false;
  auto* failure = std::get_if<oauth::Failure>(&exchanged.outcome);
  if (failure == nullptr) {
    NewGrant grant{std::move(std::get<account::TokenSet>(exchanged.outcome)), std::move(exchanged.order),
                   exchanged.slot};
    if (!poll.abandoned) return finish(number, std::move(grant));
    completion_.retire(poll.account, std::move(grant));
    return finish(number, nobody_waits());
  }
  installer_.give_back(poll.account->name, exchanged.slot);
  if (poll.abandoned) return finish(number, nobody_waits());
  if (worth_asking_again(*failure)) return again(poll, *failure);
  finish(number, from_failure(*failure));
}

void DevicePolls::again(Poll& poll, const oauth::Failure& failure) {
  if (failure.code == "slow_down") poll.interval += kSlowDown;
  poll.unanswered = still_pending(failure) ? 0 : std::min(poll.unanswered + 1, kMostDoublings);
  Duration delay = poll.interval;
  if (poll.unanswered > 0)
    delay = std::max(poll.interval, std::min(kLongestDelay, poll.interval * (1 << poll.unanswered)));
  if (failure.retry_after) delay = std::max(delay, *failure.retry_after);
  poll.due.set(std::min(clock_.boot() + delay, std::max(poll.end, clock_.boot())));  // at the end it is over, not asked
}

void DevicePolls::finish(Number number, Outcome outcome) {
  const auto at = polls_.find(number);
  const std::unique_ptr<Poll> poll = std::move(at->second);
  polls_.erase(at);
  poll->done(std::move(outcome));
}

}  // namespace credsync::login
