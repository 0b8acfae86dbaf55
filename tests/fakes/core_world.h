// The whole core on a still clock, a memory store and a scripted provider: what daemon.cc assembles, without threads.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/agenda.h"
#include "daemon/account/accounts.h"
#include "daemon/handout/desk.h"
#include "daemon/login/sign_in.h"
#include "daemon/login/sign_out.h"
#include "daemon/refresh/forewarner.h"
#include "daemon/refresh/refresher.h"
#include "daemon/retire/parking.h"
#include "daemon/retire/retirer.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_random.h"
#include "tests/fakes/memory_store.h"
#include "tests/fakes/queue_executor.h"
#include "tests/fakes/scripted_authorization_server.h"
#include "tests/fakes/scripted_endpoint.h"

namespace credsync::fakes {

std::shared_ptr<provider::Profile> make_profile();
std::shared_ptr<config::Account> make_account(const std::string& name, std::shared_ptr<const provider::Profile> profile,
                                              provider::Grant grant = provider::Grant::kRefreshToken);
// Obtained now, with a life of `lifetime`.
account::TokenSet make_tokens(const Clock& clock, const std::string& access, const std::string& refresh,
                              Duration lifetime);
oauth::Failure make_failure(oauth::FailureClass failure_class, const std::string& words = "no");

struct CoreWorld {
  account::Account& add(std::shared_ptr<const config::Account> config,
                        std::optional<account::TokenSet> tokens = std::nullopt, account::Generation generation = 0);
  // Runs all that is posted and due now.
  void settle();
  // Moves time on in steps from one due entry to the next, settling at each.
  void advance(Duration d);
  // A hand-out, answered now or later.
  struct Given {
    bool answered = false;
    std::string token;
    std::uint64_t generation = 0;
    bool min_valid_met = false;
    std::string state;
    std::optional<ipc::Problem> problem;
    std::unique_ptr<ipc::Pending> pending;
  };
  std::unique_ptr<Given> ask(const std::string& account, Duration min_valid = Duration::zero(), Duration wait = 10s);

  bool admits_who_waited = true;  // what a second decision, after a wait, says
  FakeClock clock;
  FakeRandom random;
  QueueExecutor executor;
  MemoryDisk disk;
  MemoryStore store{disk, executor};
  ScriptedEndpoint endpoint;
  ScriptedAuthorizationServer server;
  std::optional<BootTime> armed;
  Agenda agenda{[this](std::optional<BootTime> when) { armed = when; }};
  account::Accounts accounts{clock};
  refresh::Exchanger exchanger{endpoint, store, agenda, clock};
  retire::Retirer retirer{accounts, store, endpoint, agenda, clock, random};
  retire::Parking parking{accounts, store, endpoint, retirer, agenda, clock};
  refresh::Installer installer{accounts, store, parking, retirer, agenda, clock, random};
  refresh::Refresher refresher{accounts, store, exchanger, installer, parking, agenda, clock, random};
  refresh::Forewarner forewarner{accounts, refresher, store, agenda, clock};
  login::SignIn sign_in{accounts, endpoint, exchanger, installer, server, parking, clock};
  login::SignOut sign_out{accounts, store, endpoint, retirer, parking, installer, clock};
  handout::Desk desk{accounts, refresher, retirer, store, agenda, clock};
};

}  // namespace credsync::fakes
