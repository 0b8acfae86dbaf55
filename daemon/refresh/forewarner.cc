#include "daemon/refresh/forewarner.h"

#include <algorithm>

#include "base/log.h"

namespace credsync::refresh {

using account::Account;

Forewarner::Forewarner(account::Accounts& accounts, const Refresher& refresher, store::TokenStore& store,
                       Agenda& agenda, const Clock& clock)
    : accounts_(accounts), refresher_(refresher), store_(store), agenda_(agenda), clock_(clock) {
  accounts_.watch([this](Account& account, account::What what) {
    if (!begun_ || what == account::What::kForewarned) return;
    what == account::What::kRemoved ? void(planned_.erase(account.name())) : plan(account);
  });
}
Forewarner::~Forewarner() = default;

// The next warning of one account.
struct Forewarner::Planned {
  Planned(Agenda& agenda, std::function<void()> on_time) : entry(agenda, std::move(on_time)) {}
  WallTime due;
  Agenda::Entry entry;
};

void Forewarner::begin(WallTime given) {
  begun_ = true;
  given = std::min(given, clock_.wall());  // a clock that ran ahead must not silence what is to come
  for (const auto& [name, account] : accounts_.all())
    look(*account, given);
}

void Forewarner::replan_all() {
  for (const auto& [name, account] : accounts_.all())
    on_time(name);
}

void Forewarner::on_time(const std::string& name) {
  Account* account = accounts_.find(name);
  const auto planned = planned_.find(name);
  if (account == nullptr || planned == planned_.end()) return;
  look(*account, planned->second->due - 1us);
}

void Forewarner::look(Account& account, WallTime given) {
  const auto outlook = outlook_of(account, refresher_.can_refresh(account));
  const WallTime now = clock_.wall();
  if (outlook && due_warning(*outlook, given, now) && outlook->end > now) warn(account, outlook->end);
  plan(account);
}

void Forewarner::plan(Account& account) {
  const auto outlook = outlook_of(account, refresher_.can_refresh(account));
  const auto next = outlook ? next_warning(*outlook, clock_.wall()) : std::nullopt;
  if (!next) return void(planned_.erase(account.name()));
  auto& planned = planned_[account.name()];
  if (!planned) planned = std::make_unique<Planned>(agenda_, [this, name = account.name()] { on_time(name); });
  planned->due = *next;
  planned->entry.set(clock_.boot() + (*next - clock_.wall()));
}

void Forewarner::warn(Account& account, WallTime end) {
  const WallTime now = clock_.wall();
  log::write(log::Level::kWarning, kForewarning, "this account will need a sign-in",
             {{"ACCOUNT", account.name()},
              {"UNTIL", to_rfc3339(end)},
              {"SECONDS_LEFT", std::to_string(to_seconds(end - now))},
              {"NEXT_STEP", "credsync login " + account.name()}});
  accounts_.forewarn(account);
  store_.apply(store::SetForewarned{now}, [](Result<store::Ids>) {});
}

}  // namespace credsync::refresh
