#include "ipc/dbus/senders.h"

#include "ipc/dbus/limits.h"
#include "ipc/process.h"

namespace credsync::ipc::dbus {
namespace {

// The broker is a process beside us; what takes longer than this has hung.
constexpr Duration kBrokerDeadline = 10s;

constexpr const char* kNotHandedOver =
    "the bus broker does not hand over the caller's process (dbus-daemon 1.15.8 and dbus-broker 35 do, on Linux 6.5)";

// Held by the descriptor that the broker got when the caller connected, and by nothing else: an id alone may by now be
// that of another process, even of another unit of the same user, which the caller has waited for.
std::shared_ptr<const Process> hold(Descriptor pidfd) {
  if (!pidfd) return unknown_process(kNotHandedOver);
  auto held = PinnedProcess::adopt(std::move(pidfd));
  if (held) return *held;
  return unknown_process(held.error().message());
}

}  // namespace

// The D-Bus specification's "UnixGroupIDs" holds the primary and the supplementary groups, and does not say which is
// which: the lowest stands for the primary.
std::optional<Caller> read_credentials(Reader& body) {
  Caller caller;
  caller.gid = kNoGroup;
  bool has_user = false;
  Descriptor process;
  const bool sound = body.entries([&](std::string_view key, std::string_view signature) {
    if (key == "UnixUserID" && signature == "u") {
      const auto uid = body.u32();
      if (uid) caller.uid = *uid, has_user = true;
      return true;
    }
    if (key == "ProcessID" && signature == "u") {
      const auto pid = body.u32();
      if (pid) caller.pid = static_cast<pid_t>(*pid);
      return true;
    }
    if (key == "ProcessFD" && signature == "h") {
      if (auto held = body.descriptor()) process = std::move(*held);
      return true;
    }
    if (key == "UnixGroupIDs" && signature == "au") {
      const auto groups = body.u32s();
      if (groups) caller.groups.assign(groups->begin(), groups->end());
      if (!caller.groups.empty()) caller.gid = caller.groups.front();
      return true;
    }
    return false;
  });
  if (!sound || !has_user) return std::nullopt;
  caller.process = hold(std::move(process));
  return caller;
}

Senders::Senders(Bus& bus, Users& users, std::function<void(Sender&, bool)> known)
    : bus_(bus), users_(users), known_(std::move(known)) {}

Senders::~Senders() {
  for (const auto& [name, sender] : senders_) {
    if (sender->use == nullptr) continue;
    --sender->use->senders;
    if (sender->subscription) --sender->use->subscriptions;
  }
}

Sender* Senders::find(const std::string& name) {
  const auto at = senders_.find(name);
  return at == senders_.end() ? nullptr : at->second.get();
}

Sender* Senders::of(const std::string& name) {
  if (Sender* sender = find(name)) {
    ages_.splice(ages_.end(), ages_, sender->age);
    return sender;
  }
  if (senders_.size() >= kMaxSenders && !make_room()) return nullptr;
  auto made = std::make_unique<Sender>();
  made->name = name;
  made->age = ages_.insert(ages_.end(), name);
  Sender& sender = *senders_.emplace(name, std::move(made)).first->second;
  ask(sender);
  return &sender;
}

void Senders::forget(const std::string& name) {
  const auto at = senders_.find(name);
  if (at == senders_.end()) return;
  Sender& sender = *at->second;
  if (sender.use != nullptr) {
    --sender.use->senders;
    if (sender.subscription) --sender.use->subscriptions;
  }
  ages_.erase(sender.age);
  senders_.erase(at);
}

// Who has nothing under way can be asked about again.
bool Senders::make_room() {
  for (const std::string& name : ages_) {
    const Sender& sender = *senders_.at(name);
    if (!sender.known || sender.requests > 0 || sender.subscription) continue;
    forget(std::string(name));
    return true;
  }
  return false;
}

void Senders::ask(Sender& sender) {
  const Bus::Target target{"org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                           "GetConnectionCredentials"};
  bus_.call(
      target, [&](Writer& writer) { writer.text(sender.name); }, kBrokerDeadline,
      [this, name = sender.name](Reader* body, const Bus::Failure*) { learned(name, body); });
}

void Senders::learned(const std::string& name, Reader* body) {
  Sender* sender = find(name);
  if (sender == nullptr) return;  // it has left meanwhile
  auto caller = body != nullptr ? read_credentials(*body) : std::nullopt;
  if (caller) {
    sender->known = true;
    sender->caller = std::move(*caller);
    sender->use = &users_.of(sender->caller.uid);
    ++sender->use->senders;
  }
  known_(*sender, sender->known);
  if (!caller) forget(name);
}

}  // namespace credsync::ipc::dbus
