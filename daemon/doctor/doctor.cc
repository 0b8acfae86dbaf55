#include "daemon/doctor/doctor.h"

#include <atomic>
#include <utility>

#include "base/log.h"
#include "daemon/doctor/files.h"
#include "daemon/handout/words.h"

namespace credsync::doctor {
namespace {

Check check_store(const store::SqliteStore& store, const Clock& clock) {
  constexpr Duration kStuck = 5s;
  const store::StoreHealth health = store.health();
  const bool stuck = health.busy_since && clock.boot() - *health.busy_since > kStuck;
  if (stuck) return failed("store", "the disk has been at one write for over 5 s", "df -h and dmesg");
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
  const bool first_asked_for = !trouble && sight.refresher.under_way(account);
  const bool bearable = account.usable(sight.clock.wall(), sight.clock.boot()) || state == State::kSignedOut;
  check.result = bearable || first_asked_for ? "warning" : "failed";
  if (first_asked_for) check.detail += "; its token is being asked for";
  if (trouble) check.detail += ": " + trouble->words;
  if (step) check.detail += "; " + step->text;
  check.next_step = step && !step->command.empty() ? step->command : "credsync status " + account.name();
  return check;
}

}  // namespace

// Workers read `plan` and the two atomics; all else is the loop's.
struct Doctor::Examination {
  Checks files;
  Plan plan;
  std::vector<std::optional<Finding>> findings;  // of the probes, in their order
  std::atomic<std::size_t> next{0};
  std::atomic<bool> over{false};
  std::size_t left = 0;  // tasks whose result has not come
};

class Doctor::Waiting final : public ipc::Pending {
 public:
  Waiting(Doctor& doctor, std::uint64_t number) : doctor_(doctor), number_(number) {}
  ~Waiting() override { doctor_.waiting_.erase(number_); }

 private:
  Doctor& doctor_;
  const std::uint64_t number_;
};

Doctor::Doctor(const Patient& patient, Exchange exchange, WorkerPool& workers, Executor& loop, Agenda& agenda)
    : patient_(patient), exchange_(std::move(exchange)), workers_(workers), loop_(loop), deadline_(agenda, [this] {
        finish();
      }) {}

Doctor::~Doctor() {
  if (under_way_) under_way_->over = true;
}

std::unique_ptr<ipc::Pending> Doctor::examine(Reply reply) {
  const std::uint64_t number = ++last_number_;
  waiting_.emplace(number, std::move(reply));
  if (!under_way_) begin();
  return std::make_unique<Waiting>(*this, number);
}

void Doctor::begin() {
  under_way_ = std::make_shared<Examination>();
  under_way_->plan = plan(patient_.config);
  under_way_->findings.resize(under_way_->plan.probes.size());
  deadline_.set(patient_.clock.boot() + kPatience);
  look_at_files();
  look_at_providers();
}

void Doctor::look_at_files() {
  std::vector<std::shared_ptr<const config::Account>> accounts;
  for (const auto& [name, account] : patient_.config.accounts)
    accounts.push_back(account);
  ++under_way_->left;
  workers_.run([this, work = under_way_, accounts = std::move(accounts), paths = patient_.paths,
                socket = patient_.config.listen.http, clock = &patient_.clock,
                until = patient_.clock.boot() + kPatience / 2] {
    Checks found{check_configuration(paths), check_folders(paths, socket), check_secrets(accounts, *clock, until),
                 check_clock(*clock), check_socket(socket, paths.user_instance)};
    loop_.post([this, work, found = std::move(found)]() mutable {
      work->files = std::move(found);
      --work->left;
      if (!work->over) came_in();
    });
  });
}

void Doctor::look_at_providers() {
  const std::size_t tasks = std::min(kProbesAtOnce, under_way_->plan.probes.size());
  for (std::size_t i = 0; i < tasks; ++i) {
    ++under_way_->left;
    workers_.run([this, work = under_way_, clock = &patient_.clock] {
      for (std::size_t at = 0; !work->over && (at = work->next++) < work->plan.probes.size();) {
        loop_.post([work, at, finding = look(work->plan.probes[at], exchange_, *clock)]() mutable {
          work->findings[at] = std::move(finding);
        });
      }
      loop_.post([this, work] {
        --work->left;
        if (!work->over) came_in();
      });
    });
  }
}

void Doctor::came_in() {
  if (under_way_->left == 0) finish();
}

// What has come by now, in the order in which people look for causes.
void Doctor::finish() {
  const std::shared_ptr<Examination> work = std::move(under_way_);
  under_way_.reset();
  deadline_.cancel();
  work->over = true;
  Checks checks = std::move(work->files);
  if (checks.empty()) checks.push_back(warning("files", "they could not be looked at in time: a disk hangs", "dmesg"));
  const Checks memory = from_memory();
  checks.insert(checks.end(), memory.begin(), memory.end());
  std::vector<Duration> skews;
  Checks providers = work->plan.problems;
  for (std::size_t i = 0; i < work->findings.size(); ++i) {
    const auto& finding = work->findings[i];
    const Probe& probe = work->plan.probes[i];
    if (finding && finding->skew) skews.push_back(*finding->skew);
    providers.push_back(finding
                            ? finding->check
                            : warning("provider " + probe.provider,
                                      probe.authority + " (" + probe.what + ") could not be looked at in time", ""));
  }
  if (auto time = judge_skew(std::move(skews))) checks.push_back(std::move(*time));
  checks.insert(checks.end(), providers.begin(), providers.end());
  for (const auto& [name, account] : patient_.accounts.all())
    checks.push_back(check_account(*account, {patient_.refresher, patient_.retirer, patient_.clock}));
  std::map<std::uint64_t, Reply> waiting;
  std::swap(waiting, waiting_);
  for (auto& [number, reply] : waiting)
    reply(checks);
}

Checks Doctor::from_memory() const {
  return {check_store(patient_.store, patient_.clock), check_log(), check_bus(patient_.bus.get())};
}

}  // namespace credsync::doctor
