#include "daemon/reload.h"

#include <utility>

namespace credsync {
namespace {

ipc::Problem stopping() {
  return {ipc::ProblemKind::kUnavailable, "the daemon is stopping", "", 1s, {}, true};
}

}  // namespace

void Reload::order(Reply reply) {
  if (stopped_) return reply(stopping());
  waiting_.push_back(std::move(reply));
  if (!reading_) read();
}

void Reload::stop() {
  stopped_ = true;
  for (std::vector<Reply>* replies : {&served_, &waiting_}) {
    for (Reply& reply : std::exchange(*replies, {}))
      reply(stopping());
  }
}

void Reload::read() {
  reading_ = true;
  served_ = std::exchange(waiting_, {});
  steps_.begins();
  thread_.run([this] { loop_.post([this, loaded = steps_.read()]() mutable { was_read(std::move(loaded)); }); });
}

void Reload::was_read(config::Loaded loaded) {
  reading_ = false;
  if (stopped_) return;
  std::vector<Reply> served = std::exchange(served_, {});
  const Outcome outcome = steps_.take_over(std::move(loaded));
  for (Reply& reply : served)
    reply(outcome);
  if (!waiting_.empty() && !reading_) read();
}

}  // namespace credsync
