#include "daemon/handout/metrics.h"

#include <array>

#include "base/log.h"

namespace credsync::handout {
namespace {

void describe(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
  out.append("# TYPE credsync_").append(name).append(" ").append(type).append("\n");
  out.append("# HELP credsync_").append(name).append(" ").append(help).append("\n");
}

void sample(std::string& out, std::string_view name, std::string_view labels, std::uint64_t value) {
  out.append("credsync_").append(name).append(labels).append(" ").append(std::to_string(value)).append("\n");
}

void gauge(std::string& out, std::string_view name, std::string_view help, std::uint64_t value) {
  describe(out, name, "gauge", help);
  sample(out, name, "", value);
}

void counter(std::string& out, std::string_view name, std::string_view help, std::uint64_t value) {
  describe(out, name, "counter", help);
  sample(out, std::string(name) + "_total", "", value);
}

void accounts_by_state(std::string& out, const account::Accounts& accounts) {
  using account::State;
  describe(out, "accounts", "gauge", "Accounts by state.");
  for (const State state : {State::kOk, State::kRetrying, State::kNeedsLogin, State::kSuspended, State::kSignedOut}) {
    std::uint64_t count = 0;
    for (const auto& [name, account] : accounts.all())
      count += account->standing().state == state ? 1U : 0U;
    sample(out, "accounts", "{state=\"" + std::string(to_string(state)) + "\"}", count);
  }
}

}  // namespace

std::string open_metrics(const Figures& f) {
  std::string out;
  accounts_by_state(out, f.accounts);
  counter(out, "handouts", "Access tokens handed out.", f.desk.counters().handed_out);
  counter(out, "handouts_waited", "Requests that waited for a refresh.", f.desk.counters().waited);
  counter(out, "handouts_timed_out", "Requests whose wait ran out without a valid token.", f.desk.counters().timed_out);
  gauge(out, "waiting_callers", "Requests that wait for a refresh now.", f.desk.waiting());
  counter(out, "denied", "Requests that no rule allowed.", f.service.counters().denied);
  counter(out, "refused_busy", "Connections and requests over a user's limits.", f.service.counters().busy);
  gauge(out, "subscriptions", "Event streams.", f.service.subscriptions());
  counter(out, "refreshes_started", "Refreshes begun.", f.refresher.counters().started);
  counter(out, "refreshes_installed", "Refreshes that brought a new generation.", f.refresher.counters().installed);
  counter(out, "refreshes_failed", "Refreshes that failed.", f.refresher.counters().failed);
  gauge(out, "exchanges_under_way", "Exchanges with providers that run or wait for their turn.",
        f.exchanger.under_way());
  gauge(out, "retirements_pending", "Superseded tokens that wait for revocation.", f.retirer.size());
  counter(out, "retirements_revoked", "Tokens revoked at their providers.", f.retirer.counters().revoked);
  counter(out, "retirements_given_up", "Tokens erased without revocation.", f.retirer.counters().given_up);
  gauge(out, "parked_grants", "Grants kept while their account or identity is not configured.", f.parking.size());
  gauge(out, "store_stuck", "1 while something waits too long to be stored: the disk hangs.", f.store_stuck ? 1 : 0);
  counter(out, "log_records_lost", "Log records dropped because the log could not keep up.", log::lost());
  out += "# EOF\n";
  return out;
}

}  // namespace credsync::handout
