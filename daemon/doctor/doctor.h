// `credsync doctor`: examines the daemon from inside and what it depends on, and says what to do about each finding. What is
// in memory is looked at on the loop; files and providers on workers, a few at a time, under one deadline, so that a hung
// provider costs the examination and nobody else. Those who ask while one is under way share it. Loop only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/agenda.h"
#include "base/loop.h"
#include "base/worker_pool.h"
#include "daemon/account/accounts.h"
#include "daemon/config/config.h"
#include "daemon/doctor/providers.h"
#include "daemon/refresh/refresher.h"
#include "daemon/retire/retirer.h"
#include "daemon/store/sqlite_store.h"
#include "ipc/dbus/server.h"
#include "ipc/service.h"

namespace credsync::doctor {

// For the whole; what was not looked at by then is said. Below what the command waits (90 s).
inline constexpr Duration kPatience = 25s;
inline constexpr std::size_t kProbesAtOnce = 4;
// Threads of its own, for refreshes need theirs; and when hung providers hold all of those, people ask a doctor.
inline constexpr std::size_t kWorkers = kProbesAtOnce + 1;  // one for the files

class Doctor {
 public:
  struct Patient {
    const config::Paths& paths;
    const config::Config& config;
    const account::Accounts& accounts;
    const store::SqliteStore& store;
    const refresh::Refresher& refresher;
    const retire::Retirer& retirer;
    const Clock& clock;
    const std::unique_ptr<ipc::dbus::Server>& bus;  // null: listen.dbus is off
  };
  using Reply = ipc::Reply<std::vector<ipc::Check>>;

  // Workers and loop must outlive it as far as tasks of theirs still run.
  Doctor(const Patient& patient, Exchange exchange, WorkerPool& workers, Executor& loop, Agenda& agenda);
  ~Doctor();

  std::unique_ptr<ipc::Pending> examine(Reply reply);

 private:
  class Waiting;
  struct Examination;  // shared with the workers

  void begin();
  void look_at_files();
  void look_at_providers();
  void came_in();
  void finish();
  Checks from_memory() const;

  const Patient patient_;
  const Exchange exchange_;
  WorkerPool& workers_;
  Executor& loop_;
  std::shared_ptr<Examination> under_way_;
  std::map<std::uint64_t, Reply> waiting_;
  std::uint64_t last_number_ = 0;
  Agenda::Entry deadline_;
};

}  // namespace credsync::doctor
