// One run of the daemon: what daemon.cc assembles, on the world's clock, network and disk, without threads.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/agenda.h"
#include "daemon/handout/service.h"
#include "daemon/login/completion.h"
#include "daemon/login/device_polls.h"
#include "daemon/login/sessions.h"
#include "daemon/login/sign_in.h"
#include "daemon/login/sign_out.h"
#include "daemon/reconcile.h"
#include "daemon/refresh/forewarner.h"
#include "daemon/refresh/refresher.h"
#include "daemon/retire/parking.h"
#include "daemon/retire/retirer.h"
#include "tests/fakes/fake_doors.h"
#include "tests/simulation/network.h"

namespace credsync::simulation {

constexpr uid_t kOwner = 1000;

struct Core {
  Core(store::TokenStore& token_store, Network& network, const Timeline& time, Chance chance,
       const config::Config& config, account::Accounts::Watcher watcher);

  // `loaded`: told between the store and what is made of it.
  Result<void> start(const config::Config& config, const std::function<void()>& loaded);
  bool idle() const;
  void stop();

  store::TokenStore& store;
  Chance random;
  std::optional<BootTime> armed;
  Agenda agenda{[this](std::optional<BootTime> when) { armed = when; }};
  fakes::FakeDoors doors;
  account::Accounts accounts;
  struct Tap {  // sees what is published before anybody acts on it
    Tap(account::Accounts& of, account::Accounts::Watcher watcher) { of.watch(std::move(watcher)); }
  } tap;
  refresh::Exchanger exchanger;
  retire::Retirer retirer;
  retire::Parking parking;
  refresh::Installer installer;
  refresh::Refresher refresher;
  login::SignIn sign_in;
  login::SignOut sign_out;
  login::Completion completion;
  login::DevicePolls polls;
  login::Sessions sessions;
  refresh::Forewarner forewarner;
  Reconciler reconciler;
  handout::Audit audit;
  handout::Desk desk;
  handout::Service service;
};

}  // namespace credsync::simulation
