#include "tests/simulation/core.h"

namespace credsync::simulation {
namespace {

handout::Administration administration(const config::Config& config) {
  handout::Administration a;
  a.config = [&config]() -> const config::Config& { return config; };
  return a;
}

}  // namespace

Core::Core(store::TokenStore& token_store, Network& network, const Timeline& time, Chance chance,
           const config::Config& config, account::Accounts::Watcher watcher)
    : store(token_store),
      random(chance),
      accounts(time),
      tap(accounts, std::move(watcher)),
      exchanger(network, store, agenda, time),
      retirer(accounts, store, network, agenda, time, random),
      parking(accounts, store, network, retirer, agenda, time),
      installer(accounts, store, parking, retirer, agenda, time, random),
      refresher(accounts, store, exchanger, installer, parking, agenda, time, random),
      sign_in(accounts, network, exchanger, installer, network, parking, time),
      sign_out(accounts, store, network, retirer, parking, installer, time),
      completion({accounts, network, network, exchanger, installer, store, parking, retirer, time}),
      polls(exchanger, installer, completion, agenda, time),
      sessions({accounts, network, completion, polls, doors, agenda, time, random}),
      forewarner(accounts, refresher, store, agenda, time),
      reconciler(accounts, refresher, parking, retirer, store, time),
      audit(time, agenda),
      desk(accounts, refresher, retirer, store, agenda, time),
      service(accounts, desk, refresher, sign_in, sign_out, sessions, audit, administration(config),
              handout::Owner{kOwner, true, {}}, time) {}

Result<void> Core::start(const config::Config& config, const std::function<void()>& loaded) {
  auto snapshot = store.load();
  if (!snapshot) return snapshot.error();
  loaded();
  const WallTime forewarned_until = snapshot->forewarned_until;
  reconciler.begin(std::move(*snapshot), config);
  forewarner.begin(forewarned_until);
  return {};
}

bool Core::idle() const {
  return exchanger.under_way() == 0 && refresher.under_way() == 0 && sign_in.under_way() == 0 &&
         completion.under_way() == 0 && retirer.under_way() == 0;
}

void Core::stop() {
  refresher.stop();
  retirer.stop();
  exchanger.stop();
  desk.stop();
  sessions.stop();
}

}  // namespace credsync::simulation
