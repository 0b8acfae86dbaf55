#include "tests/fakes/memory_store.h"

#include <algorithm>
#include <set>
#include <utility>

#include "tests/fakes/memory_rows.h"

namespace credsync::fakes {
namespace {

using namespace credsync::store;  // NOLINT: the fake speaks of nothing else

StoredAccount copy(const StoredAccount& a) {
  StoredAccount out;
  out.name = a.name;
  out.identity = a.identity;
  out.generation = a.generation;
  out.spent = a.spent;
  if (a.tokens) out.tokens = a.tokens->clone();
  out.promised_until = a.promised_until;
  out.standing = a.standing;
  out.password_used = a.password_used;
  out.kept_password = a.kept_password.clone();
  out.kept_identity = a.kept_identity;
  out.last_used = a.last_used;
  return out;
}

std::vector<Retirement> copy(const std::vector<Retirement>& list) {
  std::vector<Retirement> out;
  for (const Retirement& r : list)
    out.push_back(r.clone());
  return out;
}

// Only what can wait in a slot is ever copied.
Change copy_answer(const Change& change) {
  if (const auto* i = std::get_if<Install>(&change)) {
    return Install{i->account,       i->identity, i->generation,    i->tokens.clone(),        copy(i->retire),
                   i->slot,          i->standing, i->password_used, i->kept_password.clone(), i->replace_kept_password,
                   i->promised_until};
  }
  if (const auto* u = std::get_if<UpdateParked>(&change)) {
    return UpdateParked{u->parked_id, u->generation, u->tokens.clone(), copy(u->retire), u->slot};
  }
  const auto& q = std::get<QueueRetirements>(change);
  return QueueRetirements{copy(q.retire), q.slot};
}

constexpr const char* kNames[] = {"Install",      "SetStanding",      "Forget",          "SignOut",
                                  "Park",         "SetParkedOrder",   "Restore",         "RetireParked",
                                  "UpdateParked", "QueueRetirements", "RetirementTried", "RetirementOver",
                                  "DropIntent",   "CountResend",      "SetLastUsed",     "SetForewarned",
                                  "FreeRoom",     "SetPromised",      "SetSpent"};
static_assert(std::size(kNames) == std::variant_size_v<Change>);

}  // namespace

std::string words_of(const Change& change) {
  std::string words = kNames[change.index()];
  std::visit(
      [&](const auto& c) {
        if constexpr (requires { c.account; }) words += " " + c.account;
        if constexpr (requires { c.grant; }) words += " " + c.grant.account;
        if constexpr (requires { c.parked_id; }) words += " " + std::to_string(c.parked_id);
        if constexpr (requires { c.id; }) words += " " + std::to_string(c.id);
        if constexpr (requires { c.generation; }) words += " " + std::to_string(c.generation);
      },
      change);
  return words;
}

Snapshot MemoryDisk::rows() const {
  Snapshot out;
  for (const auto& [name, account] : accounts)
    out.accounts.push_back(copy(account));
  for (const auto& [id, grant] : parked)
    out.parked.push_back(grant.clone());
  for (const auto& [slot, intent] : intents)
    out.intents.push_back(intent);
  for (const auto& [id, retirement] : retirements)
    out.retirements.push_back(retirement.clone());
  out.forewarned_until = forewarned_until;
  return out;
}

MemoryStore::~MemoryStore() {
  if (!crashed_) drain();
}

// What the row holds of another grant could not be parked before the crash.
void MemoryStore::put_aside(const Install& install) {
  const auto it = disk_.accounts.find(install.account);
  if (it == disk_.accounts.end() || !it->second.tokens || it->second.identity == install.identity) return;
  ParkedGrant grant;
  grant.id = new_id();
  grant.account = install.account;
  grant.identity = it->second.identity;
  grant.generation = it->second.generation;
  grant.tokens = it->second.tokens->clone();
  grant.retire_at = saturating_add(install.tokens.obtained_at, kPutAsideFor);
  const Change park = Park{std::move(grant)};
  if (apply_to(disk_, park) && watch_.applied) watch_.applied(park);
}

Result<Snapshot> MemoryStore::load() {
  for (const Change& answer : disk_.answers) {
    if (const auto* install = std::get_if<Install>(&answer)) put_aside(*install);
    if (apply_to(disk_, answer)) {
      if (watch_.applied) watch_.applied(answer);
      continue;
    }
    if (const auto slot = slot_of(answer)) disk_.intents.erase(*slot);
  }
  disk_.answers.clear();
  disk_.without_room.clear();
  return disk_.rows();
}

void MemoryStore::apply(Change change, UniqueFunction<void(Result<Ids>)> done) {
  if (crashed_) return;
  Request request;
  const auto id_for = [&](std::int64_t& id) {
    if (id == 0) id = new_id();
    request.rows.push_back(id);
  };
  std::visit(
      [&](auto& c) {
        if constexpr (requires { c.account; }) request.account = c.account;
        if constexpr (requires { c.retire; }) {
          for (Retirement& r : c.retire)
            id_for(r.id), request.ids.push_back(r.id);
        }
        if constexpr (requires { c.grant; }) request.account = c.grant.account, id_for(c.grant.id);
        if constexpr (requires { c.id; }) request.rows.push_back(c.id);
        if constexpr (requires { c.parked_id; }) {
          request.rows.push_back(c.parked_id);
          if (const auto it = disk_.parked.find(c.parked_id); it != disk_.parked.end())
            request.account = it->second.account;
        }
      },
      change);
  if (const auto* late = std::get_if<UpdateParked>(&change)) {
    if (auto account = account_of(disk_, *late)) request.account = std::move(*account);
  }
  request.work = std::move(change);
  request.done = std::move(done);
  waiting_.push_back(std::move(request));
  if (!held_) process(waiting_.size());
}

void MemoryStore::begin_rotation(Intent intent, UniqueFunction<void(Result<SlotId>)> done) {
  if (crashed_) return;
  Request request;
  request.account = intent.account;
  request.work = std::move(intent);
  request.begun = std::move(done);
  waiting_.push_back(std::move(request));
  if (!held_) process(waiting_.size());
}

void MemoryStore::drain() {
  held_ = false;
  process(waiting_.size());
  std::deque<Request> kept;
  for (Request& request : waiting_) {
    if (request.durable) {
      kept.push_back(std::move(request));
    } else {
      refuse(request, Error(ErrorCode::kFull, "the disk is full"));
    }
  }
  waiting_ = std::move(kept);
}

void MemoryStore::let_go() {
  held_ = false;
  process(waiting_.size());
}

void MemoryStore::let_go_of(std::size_t count) {
  process(count);
}

void MemoryStore::make_room() {
  full_ = false;
  if (!held_) process(waiting_.size());
}

void MemoryStore::fail_next(Error error, unsigned times) {
  failure_ = std::move(error);
  failures_ = times;
}

void MemoryStore::crash() {
  crashed_ = true;
  waiting_.clear();
}

// In order; what belongs to the same account or row as something that stays waits behind it.
void MemoryStore::process(std::size_t most) {
  std::deque<Request> tried = std::exchange(waiting_, {});
  std::set<std::string> accounts;
  std::set<std::int64_t> rows;
  for (Request& request : tried) {
    const bool behind = accounts.contains(request.account) || std::any_of(request.rows.begin(), request.rows.end(),
                                                                          [&](auto id) { return rows.contains(id); });
    if (most > 0 && !behind && attempt(request)) {
      --most;
      continue;
    }
    if (!request.account.empty()) accounts.insert(request.account);
    rows.insert(request.rows.begin(), request.rows.end());
    waiting_.push_back(std::move(request));
  }
}

bool MemoryStore::attempt(Request& request) {
  if (failures_ > 0 && !request.durable) {
    --failures_;
    return refuse(request, *failure_), true;
  }
  if (auto* intent = std::get_if<Intent>(&request.work)) return attempt(request, *intent);
  return attempt(request, std::get<Change>(request.work));
}

bool MemoryStore::attempt(Request& request, Intent& intent) {
  if (taken() >= slots_) return answer(request, exhausted("all slots for answers are taken")), true;
  if (full_) return answer(request, Error(ErrorCode::kFull, "the disk is full")), true;
  intent.slot = disk_.next_slot++;
  disk_.intents[intent.slot] = intent;
  history_.push_back("begin_rotation " + intent.account + " " + std::to_string(intent.generation));
  loop_.post([begun = std::move(request.begun), slot = intent.slot]() mutable { begun(slot); });
  return true;
}

// Slots that an answer may come into.
std::size_t MemoryStore::taken() const {
  std::size_t freed = 0;
  for (const SlotId slot : disk_.without_room)
    freed += disk_.intents.count(slot);
  return disk_.intents.size() - freed;
}

bool MemoryStore::attempt(Request& request, Change& change) {
  const auto slot = slot_of(change);
  if (const auto* resend = std::get_if<CountResend>(&change);
      resend != nullptr && disk_.without_room.contains(resend->slot) && taken() >= slots_) {
    return answer(request, exhausted("the slot for the answer is taken")), true;
  }
  if (!full_) {
    if (request.durable) std::erase_if(disk_.answers, [&](const Change& c) { return slot_of(c) == slot; });
    auto result = apply_to(disk_, change);
    if (result) {
      history_.push_back(words_of(change));
      if (watch_.applied) watch_.applied(change);
      answer(request, std::move(result));
    } else {
      refuse(request, result.error());
    }
    return true;
  }
  if (request.durable || put(request)) return false;
  if (const auto* late = std::get_if<UpdateParked>(&change); late != nullptr && !account_of(disk_, *late))
    return refuse(request, not_found("no parked grant")), true;
  if (cannot_be_had_twice(request)) return false;
  return refuse(request, Error(ErrorCode::kFull, "the disk is full")), true;
}

// An answer to a rotation, which has room: what neither its slot nor the database takes now waits in memory (decision 023).
bool MemoryStore::cannot_be_had_twice(const Request& request) {
  const auto* change = std::get_if<Change>(&request.work);
  return change != nullptr && slot_of(*change).has_value();
}

// False: it has no slot.
bool MemoryStore::put(Request& request) {
  const auto* change = std::get_if<Change>(&request.work);
  const auto slot = change == nullptr ? std::nullopt : slot_of(*change);
  if (!slot || !disk_.intents.contains(*slot) || disk_.without_room.contains(*slot)) return false;
  const auto* update = std::get_if<UpdateParked>(change);
  if (update != nullptr && (!account_of(disk_, *update) || ends_before(request))) return false;
  disk_.answers.push_back(copy_answer(*change));
  if (watch_.in_slot) watch_.in_slot(*change);
  answer(request, request.ids);
  request.durable = true;
  return true;
}

// What a late answer is for is about to go, by a change that is ahead of it.
bool MemoryStore::ends_before(const Request& late) const {
  for (const Request& ahead : waiting_) {
    if (&ahead == &late) return false;
    const auto* change = std::get_if<Change>(&ahead.work);
    if (change == nullptr || ahead.account != late.account) continue;
    if (std::holds_alternative<SignOut>(*change) || std::holds_alternative<Forget>(*change) ||
        std::holds_alternative<DropIntent>(*change))
      return true;
  }
  return false;
}

void MemoryStore::put_answers() {
  for (Request& request : waiting_) {
    if (!request.durable) put(request);
  }
}

void MemoryStore::fail_all(const Error& error) {
  std::deque<Request> kept;
  for (Request& request : waiting_) {
    const auto* change = std::get_if<Change>(&request.work);
    const auto* late = change == nullptr ? nullptr : std::get_if<UpdateParked>(change);
    const bool fits = late == nullptr || account_of(disk_, *late);
    if (request.durable || (fits && cannot_be_had_twice(request))) {
      kept.push_back(std::move(request));
    } else {
      refuse(request, error);
    }
  }
  waiting_ = std::move(kept);
}

void MemoryStore::refuse(Request& request, const Error& error) {
  const auto* change = std::get_if<Change>(&request.work);
  if (change != nullptr && !request.durable && watch_.refused) watch_.refused(*change);
  answer(request, error);
}

void MemoryStore::answer(Request& request, Result<Ids> result) {
  if (request.durable) return;
  if (request.begun) {
    loop_.post([begun = std::move(request.begun), error = result.error()]() mutable { begun(error); });
  } else {
    loop_.post([done = std::move(request.done), result = std::move(result)]() mutable {
      if (done) done(std::move(result));
    });
  }
}

}  // namespace credsync::fakes
