#include "daemon/lifecycle/status_line.h"

#include <algorithm>
#include <array>
#include <utility>

namespace credsync::lifecycle {
namespace {

struct Kind {
  account::State state;
  const char* one;
  const char* many;
};
constexpr std::array kKinds{
    Kind{account::State::kOk, "ok", "ok"}, Kind{account::State::kNeedsLogin, "needs a login", "need a login"},
    Kind{account::State::kRetrying, "retrying", "retrying"}, Kind{account::State::kSuspended, "suspended", "suspended"},
    Kind{account::State::kSignedOut, "signed out", "signed out"}};

std::string count_of(std::size_t count, const char* one, const char* many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

}  // namespace

std::string account_words(const account::Accounts& accounts, std::size_t refreshes_under_way) {
  std::array<std::size_t, kKinds.size()> counts{};
  for (const auto& [name, account] : accounts.all()) {
    for (std::size_t i = 0; i < kKinds.size(); ++i)
      counts[i] += account->standing().state == kKinds[i].state ? 1U : 0U;
  }
  std::string words = count_of(accounts.all().size(), "account", "accounts");
  const char* separator = ": ";
  for (std::size_t i = 0; i < kKinds.size(); ++i) {
    if (counts[i] == 0) continue;
    words += std::exchange(separator, ", ") + count_of(counts[i], kKinds[i].one, kKinds[i].many);
  }
  if (refreshes_under_way != 0)
    words += "; " + count_of(refreshes_under_way, "refresh under way", "refreshes under way");
  return words;
}

StatusLine::StatusLine(Notifier& notifier, Agenda& agenda, const Clock& clock, std::function<std::string()> line)
    : notifier_(notifier), clock_(clock), line_(std::move(line)), due_(agenda, [this] { send(); }) {}

void StatusLine::changed() {
  if (!notifier_.heard() || stopped_ || due_.when()) return;
  due_.set(std::max(clock_.boot(), next_));
}

std::string StatusLine::take() {
  due_.cancel();
  next_ = clock_.boot() + kBetweenLines;
  return sent_ = line_();
}

void StatusLine::stop() {
  stopped_ = true;
  due_.cancel();
}

void StatusLine::send() {
  std::string line = line_();
  next_ = clock_.boot() + kBetweenLines;
  if (line == sent_) return;
  if (!notifier_.status(line)) return due_.set(next_);  // the manager is behind
  sent_ = std::move(line);
}

}  // namespace credsync::lifecycle
