#include "daemon/reload.h"

#include <utility>

#include "base/log.h"
#include "base/message_ids.h"

namespace credsync {
namespace {

ipc::Problem refusal(const std::vector<config::Problem>& problems) {
  ipc::Problem problem{ipc::ProblemKind::kBadRequest,
                       "the new configuration is wrong; the one in force stays",
                       "credsyncd --check-config",
                       std::nullopt,
                       {}};
  for (const config::Problem& p : problems)
    problem.problems.push_back(config::to_string(p));
  return problem;
}

void log_refusal(std::string_view line) {
  log::write(log::Level::kError, message_id::kReloadRefused.id, line, {});
}

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
  const Outcome outcome = outcome_of(std::move(loaded));
  steps_.ends();
  for (Reply& reply : served)
    reply(outcome);
  if (!waiting_.empty() && !reading_) read();
}

Reload::Outcome Reload::outcome_of(config::Loaded loaded) {
  refused_ = !loaded.usable();
  if (!refused_) return steps_.take_over(std::move(loaded));
  ipc::Problem problem = refusal(loaded.problems);
  for (const std::string& line : problem.problems)
    log_refusal(line);
  log_refusal("reload refused: the configuration in force stays");
  return problem;
}

}  // namespace credsync
