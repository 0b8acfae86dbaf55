#include "daemon/doctor.h"

#include "base/log.h"
#include "daemon/handout/words.h"

namespace credsync {
namespace {

using ipc::Check;

Check check_config(const config::Paths& paths) {
  const config::Loaded loaded = config::load(paths);
  if (loaded.problems.empty()) return {"configuration", "ok", "the files on disk are valid", ""};
  const std::string first = config::to_string(loaded.problems.front());
  const std::string more =
      loaded.problems.size() > 1 ? " (and " + std::to_string(loaded.problems.size() - 1) + " more)" : "";
  return {"configuration", loaded.usable() ? "warning" : "failed", first + more, "credsyncd --check-config"};
}

// Before this the wall clock cannot be right, and certificates do not verify (a machine without a battery clock).
constexpr WallTime kNotBefore = wall_from_seconds(1'760'000'000);  // 2025-10-09

Check check_clock(const Clock& clock) {
  const std::string now = to_rfc3339(clock.wall());
  if (clock.wall() < kNotBefore) return {"clock", "failed", "the clock says " + now, "timedatectl"};
  return {"clock", "ok", "the clock says " + now, ""};
}

Check check_store(const store::SqliteStore& store, const Clock& clock) {
  constexpr Duration kStuck = 5s;
  const store::StoreHealth health = store.health();
  const bool stuck = health.busy_since && clock.boot() - *health.busy_since > kStuck;
  if (stuck) return {"store", "failed", "the disk has been at one write for over 5 s", "df -h and dmesg"};
  if (health.late > 0) {
    return {"store", "failed", std::to_string(health.late) + " changes could not be written yet", "df -h"};
  }
  return {"store", "ok", std::to_string(health.free_slots) + " reserved slots are free", ""};
}

Check check_log() {
  const std::uint64_t lost = log::lost();
  if (lost > 0)
    return {"log", "warning", std::to_string(lost) + " records were lost: the journal is slow",
            "systemctl status systemd-journald"};
  return {"log", "ok", "no record was lost", ""};
}

Check check_bus(const ipc::dbus::Server* bus) {
  if (bus == nullptr) return {"bus", "ok", "listen.dbus is off", ""};
  const auto& trouble = bus->trouble();
  if (trouble) return {"bus", "warning", trouble->words, trouble->next_step};
  return {"bus", "ok", "org.credsync.CredSync1 is on the " + std::string(to_string(bus->kind())) + " bus", ""};
}

// As its status says it, which is also where its words about the next step come from.
Check check_account(const account::Account& account, const handout::Sight& sight) {
  using account::State;
  const State state = account.standing().state;
  const auto& trouble = account.standing().trouble;
  Check check{"account " + account.name(), "ok", std::string(to_string(state)), ""};
  const auto step = handout::next_step(account, sight);
  if (state == State::kOk && !step) return check;
  check.result =
      account.usable(sight.clock.wall(), sight.clock.boot()) || state == State::kSignedOut ? "warning" : "failed";
  if (trouble) check.detail += ": " + trouble->words;
  if (step) check.detail += "; " + step->text;
  check.next_step = step && !step->command.empty() ? step->command : "credsync status " + account.name();
  return check;
}

}  // namespace

std::vector<Check> examine(const Patient& patient) {
  std::vector<Check> checks{check_config(patient.paths), check_clock(patient.clock),
                            check_store(patient.store, patient.clock), check_log(), check_bus(patient.bus)};
  for (const auto& [name, account] : patient.accounts.all())
    checks.push_back(check_account(*account, {patient.refresher, patient.retirer, patient.clock}));
  return checks;
}

}  // namespace credsync
