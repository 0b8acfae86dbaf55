#include "daemon/daemon.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/agenda.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/message_ids.h"
#include "base/random.h"
#include "base/worker_pool.h"
#include "daemon/doctor/doctor.h"
#include "daemon/handout/metrics.h"
#include "daemon/handout/service.h"
#include "daemon/key_commands.h"
#include "daemon/lifecycle/drain.h"
#include "daemon/lifecycle/network_watch.h"
#include "daemon/lifecycle/notifier.h"
#include "daemon/lifecycle/sleep.h"
#include "daemon/lifecycle/status_line.h"
#include "daemon/lifecycle/store_alarm.h"
#include "daemon/lifecycle/watchdog.h"
#include "daemon/login/loopback_listener.h"
#include "daemon/login/peer_user.h"
#include "daemon/login/sessions.h"
#include "daemon/login/sign_in.h"
#include "daemon/login/sign_out.h"
#include "daemon/oauth/https_authorization_server.h"
#include "daemon/oauth/https_token_endpoint.h"
#include "daemon/reconcile.h"
#include "daemon/refresh/forewarner.h"
#include "daemon/refresh/refresher.h"
#include "daemon/reload.h"
#include "daemon/retire/parking.h"
#include "daemon/retire/retirer.h"
#include "daemon/store/sqlite_store.h"
#include "ipc/dbus/server.h"
#include "ipc/http/server.h"
#include "ipc/http/turn_away.h"
#include "ipc/peer.h"

namespace credsync {
namespace {

// An exchange that was sent is waited for, so that its answer is stored: its own deadline and the disk's time. With what
// lifecycle/drain.h adds it is what systemd is asked for; TimeoutStopSec= should be no less.
constexpr Duration kStopPatience = oauth::kExchangeDeadline + 5s;
// Reading a large state back, or bringing it to a newer schema; credsyncd itself starts within seconds.
constexpr Duration kStartInAll = 3min;

// Attempts that a wake-up or a better network brings forward: all within 5 s of a wake-up, and not all at once.
constexpr Duration kWakeUpSpread = 4s;
constexpr Duration kNetworkSpread = 2s;

ipc::http::Limits limits_of(const config::Callers& callers) {
  ipc::http::Limits limits = ipc::http::Limits::per_user(callers.max_connections_per_user);
  limits.max_waiting_per_user = callers.max_waiting_per_user;
  limits.max_streams_per_user = callers.max_subscriptions_per_user;
  limits.max_requests_per_second = callers.max_requests_per_second;
  return limits;
}

ipc::dbus::Limits bus_limits_of(const config::Callers& callers) {
  ipc::dbus::Limits limits;
  limits.max_waiting_per_user = callers.max_waiting_per_user;
  limits.max_subscriptions_per_user = callers.max_subscriptions_per_user;
  limits.max_requests_per_second = std::min(limits.max_requests_per_second, callers.max_requests_per_second);
  return limits;
}

std::unique_ptr<StartFailure> failure(const Error& error, const std::string& context) {
  const bool may_pass = error.code() == ErrorCode::kIo || error.code() == ErrorCode::kFull;
  return std::make_unique<StartFailure>(
      StartFailure{may_pass ? kExitFailure : kExitConfig, {context + ": " + error.message()}});
}

// Ends of our own at the passed sockets, whatever becomes of those.
std::vector<Descriptor> ends_of(const std::vector<lifecycle::PassedSocket>& passed) {
  std::vector<Descriptor> ends;
  for (const lifecycle::PassedSocket& socket : passed)
    ends.emplace_back(::fcntl(socket.descriptor.get(), F_DUPFD_CLOEXEC, 0));
  return ends;
}

// No restart mends it. Who waits at the socket would start us again all the same, at once and for ever.
void turn_callers_away(const std::vector<Descriptor>& sockets, bool user_instance) {
  const ipc::Problem problem{ipc::ProblemKind::kUnavailable,
                             "credsyncd cannot start: somebody must mend its configuration or its state first",
                             user_instance ? "journalctl --user -u credsyncd" : "journalctl -u credsyncd",
                             std::nullopt,
                             {}};
  for (const Descriptor& socket : sockets)
    (void)ipc::http::turn_away(socket.get(), problem);
}

}  // namespace

// In the order of construction; what comes later uses what comes earlier, and goes first at the end.
struct Daemon::Parts {
  Parts(config::Paths p, lifecycle::Handover h, std::string cache)
      : paths(std::move(p)), cache_dir(std::move(cache)), handover(std::move(h)), manager(handover.notify_address) {}

  config::Paths paths;
  std::string cache_dir;
  lifecycle::Handover handover;
  lifecycle::Notifier manager;
  config::Config config;
  SystemClock clock;
  SystemRandom random;
  std::unique_ptr<Loop> loop;
  std::unique_ptr<Loop::Timer> timer;
  std::unique_ptr<Agenda> agenda;
  std::unique_ptr<lifecycle::StatusLine> status;
  std::unique_ptr<store::SqliteStore> disk;
  std::unique_ptr<lifecycle::StoreAlarm> store;
  std::unique_ptr<oauth::Transport> transport;
  std::unique_ptr<WorkerPool> workers;
  std::unique_ptr<WorkerPool> login_workers;
  std::unique_ptr<WorkerPool> doctor_workers;
  std::unique_ptr<oauth::Discovery> discovery;
  std::unique_ptr<oauth::HttpsTokenEndpoint> endpoint;
  std::unique_ptr<oauth::HttpsAuthorizationServer> authorization_server;
  std::unique_ptr<account::Accounts> accounts;
  std::unique_ptr<refresh::Exchanger> exchanger;
  std::unique_ptr<retire::Retirer> retirer;
  std::unique_ptr<retire::Parking> parking;
  std::unique_ptr<refresh::Installer> installer;
  std::unique_ptr<refresh::Refresher> refresher;
  std::unique_ptr<login::SignIn> sign_in;
  std::unique_ptr<login::SignOut> sign_out;
  std::unique_ptr<login::Completion> completion;
  std::unique_ptr<login::DevicePolls> polls;
  login::PeerUsers peer_users;
  std::unique_ptr<login::LoopbackListeners> listeners;
  std::unique_ptr<login::Sessions> sessions;
  std::unique_ptr<refresh::Forewarner> forewarner;
  std::unique_ptr<Reconciler> reconciler;
  std::unique_ptr<handout::Audit> audit;
  std::unique_ptr<handout::Desk> desk;
  std::unique_ptr<doctor::Doctor> doctor;
  std::unique_ptr<handout::Service> service;
  std::unique_ptr<ipc::http::Server> server;
  std::unique_ptr<ipc::dbus::Server> bus;         // null: listen.dbus is off
  std::unique_ptr<lifecycle::Watchdog> watchdog;  // null: nobody asked for it
  std::unique_ptr<lifecycle::NetworkWatch> network;
  lifecycle::Sleep sleep{clock};
  std::unique_ptr<lifecycle::Drain> drain;
  std::unique_ptr<Reload> reload;
  unsigned open_doors = 0;  // that are being closed

  Result<void> make_loop();
  void assemble();
  void assemble_sessions();
  Result<void> open_front_door();
  void go_on_the_bus();
  Result<void> catch_signals();
  handout::Administration administration();
  ipc::ReloadAnswer take_over(config::Loaded loaded);
  std::string metrics();
  void watch_over();
  void clock_stepped();
  void woken_up();
  std::string status_words() const;
  std::size_t under_way() const;
  void stop();
  lifecycle::Drain::Steps steps_to_the_end();
  void stop_the_back();
  void close_the_doors();
  void write_down_the_last();
  [[noreturn]] void leave_at_once();
};

Daemon::Daemon(config::Paths paths, lifecycle::Handover handover, std::string cache_dir)
    : parts_(std::make_unique<Parts>(std::move(paths), std::move(handover), std::move(cache_dir))) {}

Daemon::~Daemon() {
  if (!parts_) return;
  // The front doors go before the service, the workers before what their results are posted to.
  parts_->bus.reset();
  parts_->server.reset();
  parts_->reload.reset();
  parts_->workers.reset();
  parts_->login_workers.reset();
  parts_->doctor_workers.reset();
  parts_->disk.reset();
}

std::unique_ptr<StartFailure> Daemon::start() {
  const std::vector<Descriptor> ends = ends_of(parts_->handover.sockets);
  auto failed = begin();
  if (!failed) return nullptr;
  parts_->manager.failed(failed->lines.front());
  if (failed->status == kExitConfig) turn_callers_away(ends, parts_->paths.user_instance);
  return failed;
}

std::unique_ptr<StartFailure> Daemon::begin() {
  Parts& p = *parts_;
  config::Loaded loaded = config::load(p.paths);
  if (!loaded.usable()) {
    auto failed = std::make_unique<StartFailure>(StartFailure{kExitConfig, {}});
    for (const config::Problem& problem : loaded.problems)
      failed->lines.push_back(config::to_string(problem));
    return failed;
  }
  for (const config::Problem& problem : loaded.problems)
    log::warning(config::to_string(problem));
  p.config = std::move(loaded.config);

  if (auto made = p.make_loop(); !made) return failure(made.error(), "start");
  if (auto caught = p.catch_signals(); !caught) return failure(caught.error(), "start");
  p.manager.extend(kStartInAll);
  auto opened =
      store::SqliteStore::open({p.paths.state, key_source(p.config.store.key), p.cache_dir}, *p.loop, p.clock);
  if (!opened) return failure(opened.error(), "state in " + p.paths.state);
  p.disk = std::move(*opened);
  p.store = std::make_unique<lifecycle::StoreAlarm>(*p.disk, *p.agenda, p.clock, [&p] { p.status->changed(); });
  auto snapshot = p.store->load();
  if (!snapshot) return failure(snapshot.error(), "state in " + p.paths.state);
  p.assemble();
  const WallTime forewarned_until = snapshot->forewarned_until;
  p.reconciler->begin(std::move(*snapshot), p.config);
  p.forewarner->begin(forewarned_until);
  if (auto open = p.open_front_door(); !open) return failure(open.error(), "socket " + p.config.listen.http);
  p.go_on_the_bus();
  ::malloc_trim(0);  // reading configuration and database leaves several times their size in free pieces
  p.watch_over();
  p.manager.ready(p.status->take());
  return nullptr;
}

int Daemon::run() {
  return parts_->loop->run();
}

Result<void> Daemon::Parts::make_loop() {
  auto made = Loop::create();
  if (!made) return made.error();
  loop = std::move(*made);
  timer = loop->timer([this] { agenda->run(clock.boot()); });
  agenda =
      std::make_unique<Agenda>([this](std::optional<BootTime> when) { when ? timer->set(*when) : timer->cancel(); });
  status = std::make_unique<lifecycle::StatusLine>(manager, *agenda, clock, [this] { return status_words(); });
  return {};
}

void Daemon::Parts::assemble() {
  transport = std::make_unique<oauth::Transport>(clock);
  workers = std::make_unique<WorkerPool>(config.refresh.workers);
  login_workers = std::make_unique<WorkerPool>(login::kWorkers);  // one thread until somebody asks
  doctor_workers = std::make_unique<WorkerPool>(doctor::kWorkers);
  discovery = std::make_unique<oauth::Discovery>(*transport, clock);
  endpoint =
      std::make_unique<oauth::HttpsTokenEndpoint>(*transport, *discovery, *workers, *login_workers, *loop, clock);
  accounts = std::make_unique<account::Accounts>(clock);
  exchanger = std::make_unique<refresh::Exchanger>(*endpoint, *store, *agenda, clock, config.refresh.workers);
  retirer = std::make_unique<retire::Retirer>(*accounts, *store, *endpoint, *agenda, clock, random);
  parking = std::make_unique<retire::Parking>(*accounts, *store, *endpoint, *retirer, *agenda, clock);
  installer = std::make_unique<refresh::Installer>(*accounts, *store, *parking, *retirer, *agenda, clock, random);
  refresher =
      std::make_unique<refresh::Refresher>(*accounts, *store, *exchanger, *installer, *parking, *agenda, clock, random);
  authorization_server =
      std::make_unique<oauth::HttpsAuthorizationServer>(*transport, *discovery, *login_workers, *loop, clock);
  sign_in = std::make_unique<login::SignIn>(*accounts, *endpoint, *exchanger, *installer, *authorization_server,
                                            *parking, clock);
  sign_out = std::make_unique<login::SignOut>(*accounts, *store, *endpoint, *retirer, *parking, *installer, clock);
  assemble_sessions();
  forewarner = std::make_unique<refresh::Forewarner>(*accounts, *refresher, *store, *agenda, clock);
  reconciler = std::make_unique<Reconciler>(*accounts, *refresher, *parking, *retirer, *store, clock);
  audit = std::make_unique<handout::Audit>(clock, *agenda);
  refresher->observe([this](const account::Account& account, std::string_view why) {
    audit->record_own("refresh", why.empty() ? "done" : "failed", account.name(), account.generation(), why);
  });
  retirer->observe([this](const store::Retirement& r, bool revoked, std::string_view why) {
    audit->record_own("revoke", revoked ? "done" : "given-up", r.account, static_cast<std::uint64_t>(r.generation),
                      why);
  });
  drain = std::make_unique<lifecycle::Drain>(steps_to_the_end(), manager, *agenda, clock, kStopPatience);
  Reload::Steps steps;
  steps.begins = [this] { manager.reloading(); };
  steps.read = [&from = std::as_const(paths)] { return config::load(from); };
  steps.take_over = [this](config::Loaded loaded) { return take_over(std::move(loaded)); };
  steps.ends = [this] { manager.ready(status->take()); };
  reload = std::make_unique<Reload>(std::move(steps), *loop);
  desk = std::make_unique<handout::Desk>(*accounts, *refresher, *retirer, *store, *agenda, clock);
  doctor = std::make_unique<doctor::Doctor>(
      doctor::Doctor::Patient{paths, config, *accounts, *disk, *refresher, *retirer, clock, bus},
      [this](const oauth::HttpRequest& request, const oauth::ExchangeOptions& options) {
        return transport->exchange(request, options);
      },
      *doctor_workers, *loop, *agenda);
  service =
      std::make_unique<handout::Service>(*accounts, *desk, *refresher, *sign_in, *sign_out, *sessions, *audit,
                                         administration(), handout::Owner{::geteuid(), paths.user_instance, {}}, clock);
}

void Daemon::Parts::assemble_sessions() {
  completion = std::make_unique<login::Completion>(login::Completion::Parts{
      *accounts, *endpoint, *authorization_server, *exchanger, *installer, *store, *parking, *retirer, clock});
  polls = std::make_unique<login::DevicePolls>(*exchanger, *installer, *completion, *agenda, clock);
  listeners = std::make_unique<login::LoopbackListeners>(*loop, *agenda, clock,
                                                         [this](int connection) { return peer_users.of(connection); });
  sessions = std::make_unique<login::Sessions>(login::Sessions::Parts{*accounts, *authorization_server, *completion,
                                                                      *polls, *listeners, *agenda, clock, random});
}

handout::Administration Daemon::Parts::administration() {
  handout::Administration administration;
  administration.reload = [this](ipc::Reply<ipc::ReloadAnswer> reply) { reload->order(std::move(reply)); };
  administration.doctor = [this](ipc::Reply<std::vector<ipc::Check>> reply) {
    return doctor->examine(std::move(reply));
  };
  administration.metrics = [this] { return metrics(); };
  administration.look = [](pid_t pid) { return ipc::caller_of(pid); };
  administration.config = [this]() -> const config::Config& { return config; };
  return administration;
}

std::string Daemon::Parts::metrics() {
  return handout::open_metrics(
      {*accounts, *desk, *service, *refresher, *exchanger, *retirer, *parking, store->stuck_since().has_value()});
}

Result<void> Daemon::Parts::open_front_door() {
  auto made = ipc::http::Server::create(*loop, clock, *service, limits_of(config.callers));
  if (!made) return made.error();
  server = std::move(*made);
  auto passed = lifecycle::choose_socket(std::move(handover.sockets), config.listen.http);
  if (!passed) return passed.error();
  if (*passed) return server->adopt(std::move(**passed));
  // Anyone may connect to the system's socket, rules decide; the user's is its owner's alone (design section 8).
  return server->listen(config.listen.http, paths.user_instance ? 0600 : 0666);
}

// A bus that is not there keeps nobody from the socket: it is tried again for as long as we run.
void Daemon::Parts::go_on_the_bus() {
  if (config.listen.dbus == "off") return;
  const auto kind = config.listen.dbus == "system" ? ipc::dbus::BusKind::kSystem : ipc::dbus::BusKind::kSession;
  bus = std::make_unique<ipc::dbus::Server>(*loop, clock, *service, kind, bus_limits_of(config.callers));
  bus->on_wake_up([this] { woken_up(); });
  bus->start();
}

Result<void> Daemon::Parts::catch_signals() {
  for (const int signal : {SIGTERM, SIGINT}) {
    CREDSYNC_TRY(loop->on_signal(signal, [this] { stop(); }));
  }
  CREDSYNC_TRY(loop->on_signal(SIGHUP, [this] { reload->order([](const auto&) {}); }));
  return loop->on_clock_step([this] { clock_stepped(); });
}

// Somebody has set the wall clock, or the machine has slept, which does the same to it.
void Daemon::Parts::clock_stepped() {
  const bool slept = sleep.was_asleep();
  if (!slept) log::notice("the wall clock was set; everything is planned anew");
  refresher->replan_all();
  forewarner->replan_all();
  retirer->replan();
  if (slept) woken_up();
}

// Told by the clock, and by logind where there is a system bus: once for both.
void Daemon::Parts::woken_up() {
  const auto slept = sleep.wake_up();
  if (!slept) return;
  log::write(log::Level::kInfo, message_id::kWokenUp.id, "the machine has woken up",
             {{"SECONDS", std::to_string(to_seconds(*slept))}});
  refresher->hurry(kWakeUpSpread);
}

ipc::ReloadAnswer Daemon::Parts::take_over(config::Loaded loaded) {
  const config::Difference difference = config::difference(config, loaded.config);
  ipc::ReloadAnswer answer{difference.changed, difference.added, difference.removed, {}};
  for (const config::Problem& p : loaded.problems)
    answer.warnings.push_back(config::to_string(p));
  if (loaded.config.listen.http != config.listen.http)
    answer.warnings.push_back("listen.http changes with the next start");
  if (loaded.config.listen.dbus != config.listen.dbus)
    answer.warnings.push_back("listen.dbus changes with the next start");
  const config::Config before = std::move(config);
  config = std::move(loaded.config);
  server->set_limits(limits_of(config.callers));
  if (bus) bus->set_limits(bus_limits_of(config.callers));
  reconciler->change(before, config);
  ::malloc_trim(0);
  log::write(log::Level::kNotice, message_id::kReloaded.id, "reloaded",
             {{"CHANGED", std::to_string(answer.changed.size())},
              {"ADDED", std::to_string(answer.added.size())},
              {"REMOVED", std::to_string(answer.removed.size())}});
  return answer;
}

// What the service manager learns while we run, and what we learn of the network.
void Daemon::Parts::watch_over() {
  network = std::make_unique<lifecycle::NetworkWatch>(*loop, *agenda, clock, [this] {
    log::write(log::Level::kInfo, message_id::kNetworkChanged.id, "the network has changed", {});
    refresher->hurry(kNetworkSpread);
    return refresher->any_retrying();
  });
  accounts->watch([this](account::Account& account, account::What) {
    status->changed();
    if (account.standing().state == account::State::kRetrying) network->want();
  });
  if (refresher->any_retrying()) network->want();
  refresher->observe_flights([this] { status->changed(); });
  if (handover.watchdog)
    watchdog = std::make_unique<lifecycle::Watchdog>(manager, *agenda, *loop, clock, *handover.watchdog);
}

std::string Daemon::Parts::status_words() const {
  std::string words = lifecycle::account_words(*accounts, refresher->under_way());
  if (store->stuck_since()) words += "; the disk hangs";
  // Where the manager reloads by signal, nothing else tells that it was in vain.
  if (reload->refused()) words += "; the new configuration was refused (credsyncd --check-config)";
  return words;
}

void Daemon::Parts::stop() {
  if (drain->begun()) leave_at_once();  // asked twice
  status->stop();
  log::write(log::Level::kNotice, message_id::kStopping.id, "stopping", {});
  drain->begin();
}

lifecycle::Drain::Steps Daemon::Parts::steps_to_the_end() {
  lifecycle::Drain::Steps steps;
  steps.stop_the_back = [this] { stop_the_back(); };
  steps.under_way = [this] { return under_way(); };
  steps.close_the_doors = [this] { close_the_doors(); };
  steps.doors_are_closed = [this] { return open_doors == 0; };
  steps.disk_busy_since = [this] { return disk->health().busy_since; };
  steps.end = [this] {
    if (reload->reading()) leave_at_once();
    write_down_the_last();
    loop->quit(0);
  };
  return steps;
}

void Daemon::Parts::stop_the_back() {
  refresher->stop();
  retirer->stop();
  exchanger->stop();
  transport->stop_new();
  desk->stop();
  sessions->stop();
  reload->stop();
  server->end_waiting();
}

std::size_t Daemon::Parts::under_way() const {
  return exchanger->under_way() + refresher->under_way() + sign_in->under_way() + completion->under_way() +
         retirer->under_way();
}

void Daemon::Parts::close_the_doors() {
  const auto closed = [this] { --open_doors; };
  open_doors = bus ? 2 : 1;
  server->stop(lifecycle::kDoorPatience, closed);
  if (bus) bus->stop(lifecycle::kDoorPatience, closed);
}

void Daemon::Parts::write_down_the_last() {
  store->drain();
  audit->flush();
}

// Without those threads that a provider or a folder keeps hanging: what is decided is on the disk.
void Daemon::Parts::leave_at_once() {
  write_down_the_last();
  log::write(log::Level::kNotice, message_id::kEnded.id, "ended", {});
  log::stop();
  ::_exit(EXIT_SUCCESS);
}

}  // namespace credsync
