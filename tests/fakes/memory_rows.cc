#include "tests/fakes/memory_rows.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

namespace credsync::fakes {
namespace {

using namespace credsync::store;  // NOLINT: the fake speaks of nothing else

// Applies a change to the rows. Whatever can be refused is refused before anything is touched.
class Rows {
 public:
  Rows(MemoryDisk& disk) : disk_(disk) {}

  Result<Ids> operator()(const Install& c) {
    StoredAccount& a = account(c.account);
    a.identity = c.identity;
    a.generation = std::max(c.generation, a.generation + 1);
    a.tokens = c.tokens.clone();
    a.standing = c.standing;
    a.password_used = c.password_used;
    a.promised_until = c.promised_until;
    if (a.kept_identity != c.identity && !is_parked(c.account, a.kept_identity)) forget_password(a);
    if (c.replace_kept_password) {
      forget_password(a);
      a.kept_password = c.kept_password.clone();
      if (!a.kept_password.empty()) a.kept_identity = c.identity;
    }
    free(c.slot);
    return queue(c.retire);
  }
  Result<Ids> operator()(const SetStanding& c) {
    StoredAccount& a = account(c.account);
    const bool replaced = c.about && a.tokens && a.generation > *c.about;
    const bool over = c.about && !a.tokens && a.standing.state == State::kSignedOut;
    if (!replaced && !over) a.standing = c.standing;
    return Ids{};
  }
  Result<Ids> operator()(const Forget& c) {
    if (const auto it = disk_.accounts.find(c.account); it != disk_.accounts.end()) {
      StoredAccount rest;
      rest.name = c.account;
      rest.generation = it->second.generation;
      rest.spent = it->second.spent;
      it->second = std::move(rest);
    }
    std::erase_if(disk_.intents, [&](const auto& entry) { return entry.second.account == c.account; });
    return Ids{};
  }
  Result<Ids> operator()(const SignOut& c) {
    StoredAccount& a = account(c.account);
    if (a.tokens && a.generation > c.up_to) return invalid("newer tokens came");
    a.standing = c.standing;
    a.tokens.reset();
    a.promised_until = {};
    forget_password(a);
    return queue(c.retire);
  }
  Result<Ids> operator()(const Park& c) {
    if (const auto there = disk_.parked.find(c.grant.id); there != disk_.parked.end()) {
      ParkedGrant merged = c.grant.clone();
      if (there->second.generation > merged.generation) {
        merged.generation = there->second.generation;
        merged.tokens = std::move(there->second.tokens);
      }
      merged.promised_until = std::max(merged.promised_until, there->second.promised_until);
      there->second = std::move(merged);
      return Ids{c.grant.id};
    }
    const auto it = disk_.accounts.find(c.grant.account);
    const bool none = it == disk_.accounts.end() || !it->second.tokens;
    if (none && !c.again) return not_found("no such tokens to park");
    ParkedGrant grant = c.grant.clone();
    if (none || it->second.identity != grant.identity) {
      disk_.parked[grant.id] = std::move(grant);
      return Ids{c.grant.id};
    }
    if (it->second.generation > grant.generation) {
      grant.generation = it->second.generation;
      grant.tokens = std::move(*it->second.tokens);
    }
    it->second.tokens.reset();
    grant.promised_until = std::max(grant.promised_until, std::exchange(it->second.promised_until, {}));
    it->second.generation = std::max(it->second.generation, c.grant.generation);
    disk_.parked[grant.id] = std::move(grant);
    return Ids{c.grant.id};
  }
  Result<Ids> operator()(const SetParkedOrder& c) {
    const auto it = disk_.parked.find(c.parked_id);
    if (it == disk_.parked.end()) return not_found("no parked grant");
    it->second.order = c.order.clone();
    return Ids{};
  }
  Result<Ids> operator()(const Restore& c) {
    const auto it = disk_.parked.find(c.parked_id);
    if (it == disk_.parked.end()) return not_found("no parked grant");
    ParkedGrant& grant = it->second;
    if (!disk_.accounts.contains(grant.account)) return not_found("no account");
    StoredAccount& a = account(grant.account);
    if (a.tokens) return invalid("the account still has tokens");
    a.generation = std::max({a.generation, grant.generation, c.generation});
    for (auto& [slot, intent] : disk_.intents) {
      const bool of_it = intent.account == grant.account && intent.identity == grant.identity && intent.generation > 0;
      if (of_it && intent.grant_number() >= grant.generation) intent.renumbered = a.generation;
    }
    a.identity = grant.identity;
    a.tokens = std::move(grant.tokens);
    a.promised_until = grant.promised_until;
    a.standing = c.standing;
    disk_.parked.erase(it);
    return Ids{static_cast<std::int64_t>(a.generation)};
  }
  Result<Ids> operator()(const RetireParked& c) {
    const auto it = disk_.parked.find(c.parked_id);
    if (it == disk_.parked.end()) return not_found("no parked grant");
    const std::string name = it->second.account, identity = it->second.identity;
    disk_.parked.erase(it);
    const auto row = disk_.accounts.find(name);
    const bool of_it = row != disk_.accounts.end() && row->second.kept_identity == identity;
    const bool in_use = of_it && row->second.tokens && row->second.identity == identity;
    if (of_it && !in_use && !is_parked(name, identity)) forget_password(row->second);
    return queue(c.retire);
  }
  Result<Ids> operator()(const UpdateParked& c) {
    const auto it = disk_.parked.find(c.parked_id);
    if (it == disk_.parked.end()) return update_unparked(c);
    it->second.tokens = c.tokens.clone();
    it->second.generation = c.generation;
    free(c.slot);
    return queue(c.retire);
  }
  Result<Ids> operator()(const QueueRetirements& c) {
    free(c.slot);
    return queue(c.retire);
  }
  Result<Ids> operator()(const RetirementTried& c) {
    const auto it = disk_.retirements.find(c.id);
    if (it == disk_.retirements.end()) return not_found("no such retirement");
    it->second.attempts = c.attempts;
    it->second.not_before = c.not_before;
    return Ids{};
  }
  Result<Ids> operator()(const RetirementOver& c) {
    disk_.retirements.erase(c.id);
    return Ids{};
  }
  Result<Ids> operator()(const DropIntent& c) {
    disk_.intents.erase(c.slot);
    return Ids{};
  }
  Result<Ids> operator()(const CountResend& c) {
    const auto it = disk_.intents.find(c.slot);
    if (it == disk_.intents.end() || it->second.account != c.account) return not_found("no such intent");
    disk_.without_room.erase(c.slot);
    ++it->second.resends;
    return Ids{};
  }
  Result<Ids> operator()(const FreeRoom& c) {
    if (disk_.intents.contains(c.slot)) disk_.without_room.insert(c.slot);
    return Ids{};
  }
  Result<Ids> operator()(const SetLastUsed& c) {
    if (const auto it = disk_.accounts.find(c.account); it != disk_.accounts.end()) it->second.last_used = c.at;
    return Ids{};
  }
  Result<Ids> operator()(const SetPromised& c) {
    const auto later = [&](WallTime& until) { until = std::max(until, c.until); };
    const auto it = disk_.accounts.find(c.account);
    if (it != disk_.accounts.end() && it->second.tokens && it->second.generation == c.generation)
      return later(it->second.promised_until), Ids{};
    bool found = false;
    for (auto& [id, grant] : disk_.parked) {
      if (grant.account == c.account && grant.generation == c.generation) later(grant.promised_until), found = true;
    }
    if (found) return Ids{};
    for (auto& [id, r] : disk_.retirements) {
      const bool it_is = r.account == c.account && r.generation == c.generation;
      if (it_is && r.kind == RetiredKind::kAccess && !r.by_sign_out) later(r.not_before);
    }
    return Ids{};
  }
  Result<Ids> operator()(const SetSpent& c) {
    const auto it = disk_.accounts.find(c.account);
    if (it == disk_.accounts.end()) return not_found("no account");
    it->second.spent = std::max(it->second.spent, c.up_to);
    return Ids{};
  }
  Result<Ids> operator()(const SetForewarned& c) {
    disk_.forewarned_until = c.until;
    return Ids{};
  }

 private:
  StoredAccount& account(const std::string& name) {
    StoredAccount& a = disk_.accounts[name];
    a.name = name;
    return a;
  }
  Result<Ids> update_unparked(const UpdateParked& c) {
    const auto intent = c.slot ? disk_.intents.find(*c.slot) : disk_.intents.end();
    if (intent == disk_.intents.end()) return not_found("no parked grant");
    const auto row = disk_.accounts.find(intent->second.account);
    if (row == disk_.accounts.end() || !row->second.tokens) return not_found("no grant that could be parked");
    if (row->second.identity == intent->second.identity) {
      row->second.generation = std::max(c.generation, row->second.generation + 1);
      row->second.tokens = c.tokens.clone();
    } else {
      ParkedGrant& grant = disk_.parked[c.parked_id];
      grant.id = c.parked_id;
      grant.account = intent->second.account;
      grant.identity = intent->second.identity;
      grant.generation = c.generation;
      grant.tokens = c.tokens.clone();
      grant.retire_at = saturating_add(c.tokens.obtained_at, kPutAsideFor);
    }
    free(c.slot);
    return queue(c.retire);
  }
  bool is_parked(const std::string& name, const std::string& identity) const {
    return std::any_of(disk_.parked.begin(), disk_.parked.end(), [&](const auto& entry) {
      return entry.second.account == name && entry.second.identity == identity;
    });
  }
  static void forget_password(StoredAccount& account) {
    account.kept_password.wipe();
    account.kept_identity.clear();
  }
  void free(const std::optional<SlotId>& slot) {
    if (slot) disk_.intents.erase(*slot);
  }
  Ids queue(const std::vector<Retirement>& list) {
    Ids ids;
    for (const Retirement& r : list) {
      disk_.retirements[r.id] = r.clone();
      ids.push_back(r.id);
    }
    return ids;
  }

  MemoryDisk& disk_;
};

// Two rows of one id are refused, as by a primary key.
bool ids_clash(const MemoryDisk& disk, const Change& change) {
  return std::visit(
      [&](const auto& c) {
        std::set<std::int64_t> seen;
        if constexpr (requires { c.grant; }) return !c.again && disk.parked.contains(c.grant.id);
        if constexpr (requires { c.retire; }) {
          return std::any_of(c.retire.begin(), c.retire.end(), [&](const Retirement& r) {
            return disk.retirements.contains(r.id) || !seen.insert(r.id).second;
          });
        }
        return false;
      },
      change);
}

}  // namespace

std::optional<std::string> account_of(const MemoryDisk& disk, const UpdateParked& update) {
  if (const auto it = disk.parked.find(update.parked_id); it != disk.parked.end()) return it->second.account;
  const auto intent = update.slot ? disk.intents.find(*update.slot) : disk.intents.end();
  if (intent == disk.intents.end()) return std::nullopt;
  const auto row = disk.accounts.find(intent->second.account);
  if (row == disk.accounts.end() || !row->second.tokens) return std::nullopt;
  return row->first;
}

Result<Ids> apply_to(MemoryDisk& disk, const Change& change) {
  if (ids_clash(disk, change)) return invalid("an id is taken");
  return std::visit(Rows(disk), change);
}

}  // namespace credsync::fakes
