#include "ipc/dbus/server.h"

#include <algorithm>

#include "base/log.h"
#include "base/message_ids.h"
#include "ipc/dbus/link.h"

namespace credsync::ipc::dbus {
namespace {

constexpr Duration kLookAgain = 2ms;

}  // namespace

Server::Server(Loop& loop, const Clock& clock, Service& service, BusKind kind, const Limits& limits,
               Duration first_retry)
    : loop_(loop),
      clock_(clock),
      service_(service),
      kind_(kind),
      first_retry_(first_retry),
      limits_(limits),
      retry_after_(first_retry),
      timer_(loop.timer([this] { stopping_ ? drain() : connect(); })),
      connector_(loop) {}

Server::~Server() = default;

void Server::start() {
  trouble_ = Trouble{"not connected to the " + std::string(to_string(kind_)) + " bus yet", ""};
  connect();
}

void Server::connect() {
  link_.reset();
  connector_.connect(kind_, [this](Result<std::unique_ptr<Bus>> opened) { connected(std::move(opened)); });
}

void Server::connected(Result<std::unique_ptr<Bus>> opened) {
  if (stopping_) return;
  if (!opened) return retry_later({opened.error().message(), "systemctl status dbus"});
  const Surroundings around{loop_, clock_, service_, users_, limits_, kind_ == BusKind::kSystem};
  link_ = std::make_unique<Link>(std::move(*opened), around);
  Link::Handlers handlers;
  handlers.on_name = [this](bool is_ours) { named(is_ours); };
  handlers.on_refused_name = [this](const Bus::Failure& failure) { refused_name(failure); };
  handlers.on_lost = [this](const std::string& why) { lost(why); };
  handlers.on_sleep = [this](bool begins) {
    if (!begins && !stopping_ && woken_) woken_();
  };
  if (auto open = link_->open(std::move(handlers)); !open) {
    link_.reset();
    retry_later({open.error().message(), "systemctl status dbus"});
  }
}

void Server::named(bool is_ours) {
  if (is_ours) {
    retry_after_ = first_retry_;
    trouble_.reset();
    return log::notice("D-Bus: on the bus", {{"BUS", std::string(to_string(kind_))}});
  }
  const std::string command =
      std::string(kind_ == BusKind::kSystem ? "busctl" : "busctl --user") + " status " + kBusName;
  trouble_ = Trouble{"another process has the name " + std::string(kBusName), command};
  log::write(log::Level::kError, message_id::kBusNameTaken.id,
             "D-Bus: another process has our name; we have it when that one lets go", {{"NEXT_STEP", command}});
}

void Server::refused_name(const Bus::Failure& failure) {
  retry_later({"the bus refuses the name " + std::string(kBusName) + ": " + failure.message,
               "see that org.credsync.CredSync1.conf is in /usr/share/dbus-1/system.d"});
}

void Server::lost(const std::string& why) {
  link_.reset();
  if (stopping_) return drain();
  retry_later(
      {"the connection to the " + std::string(to_string(kind_)) + " bus has ended: " + why, "systemctl status dbus"});
}

// Said once, until it has been well in between.
void Server::retry_later(Trouble trouble) {
  if (stopping_) return;
  if (!trouble_ || trouble_->words != trouble.words)
    log::warning("D-Bus: " + trouble.words + "; it is tried again, the Unix socket serves");
  trouble_ = std::move(trouble);
  timer_->set(clock_.boot() + retry_after_);
  retry_after_ = std::min(retry_after_ * 2, kLastRetry);
}

void Server::stop(Duration at_most, UniqueFunction<void()> done) {
  stopping_ = true;
  stopped_ = std::move(done);
  stop_deadline_ = clock_.boot() + at_most;
  if (link_) link_->stop();
  timer_->set(BootTime{});
}

// Runs from the timer or when the bus has ended, never inside of a callback of the bus.
void Server::drain() {
  if (!stopped_) return;
  if (link_ && link_->unsent()) {
    if (clock_.boot() < stop_deadline_) return timer_->set(clock_.boot() + kLookAgain);
    link_->abandon();
  }
  link_.reset();
  UniqueFunction<void()> done = std::move(stopped_);
  done();
}

Server::Counts Server::counts() const {
  return link_ ? Counts{link_->senders(), link_->waiting()} : Counts{};
}

}  // namespace credsync::ipc::dbus
