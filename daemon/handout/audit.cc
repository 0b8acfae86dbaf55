#include "daemon/handout/audit.h"

#include <algorithm>
#include <functional>
#include <tuple>

#include "base/log.h"
#include "base/message_ids.h"
#include "base/mutation.h"
#include "base/text.h"
#include "daemon/handout/access.h"
#include "ipc/process.h"

namespace credsync::handout {
namespace {

// The record as `GET /v1/audit` shows it, for readers of standard error.
std::string as_json(const ipc::AuditRecord& r) {
  std::string out =
      "{\"message_id\":\"" + std::string(message_id::kAudit.id) + "\",\"at\":\"" + to_rfc3339(r.at) + "\"";
  const auto text = [&](const char* name, std::string_view value, bool nothing) {
    out.append(",\"").append(name).append("\":");
    nothing ? void(out.append("null")) : append_json_string(out, value);
  };
  const auto number = [&](const char* name, std::uint64_t value, bool nothing) {
    out.append(",\"").append(name).append("\":").append(nothing ? "null" : std::to_string(value));
  };
  text("action", r.action, false);
  text("decision", r.decision, false);
  text("account", r.account, false);
  number("generation", r.generation, false);
  number("uid", r.uid.value_or(0), !r.uid);
  number("pid", static_cast<std::uint64_t>(std::max<pid_t>(0, r.pid)), !r.uid);
  text("unit", r.unit, r.unit.empty());
  text("exe", r.exe, r.exe.empty());
  text("rule", r.rule, false);
  number("count", r.count, false);
  text("detail", r.detail, false);
  return out + "}";
}

void write(const ipc::AuditRecord& r) {
  const std::string uid = r.uid ? std::to_string(*r.uid) : "";
  const std::string pid = r.uid ? std::to_string(r.pid) : "";
  log::write_structured(log::Level::kInfo, message_id::kAudit.id, r.action + " " + r.decision,
                        {{"ACTION", r.action},
                         {"DECISION", r.decision},
                         {"ACCOUNT", r.account},
                         {"GENERATION", std::to_string(r.generation)},
                         {"CALLER_UID", uid},
                         {"CALLER_PID", pid},
                         {"CALLER_UNIT", r.unit},
                         {"CALLER_EXE", r.exe},
                         {"RULE", r.rule},
                         {"COUNT", std::to_string(r.count)},
                         {"DETAIL", r.detail}},
                        as_json(r));
}

std::string exe_of(const ipc::Caller& caller) {
  return caller.process ? caller.process->exe().value_or("") : caller.exe;
}

template <typename Key>
auto tie(const Key& k) {
  return std::tuple<uid_t, std::uint64_t, std::string_view, std::string_view, std::string_view, std::string_view>(
      k.uid, k.generation, k.unit, k.account, k.action, k.decision);
}

}  // namespace

template <typename Text>
std::size_t Audit::Hash::operator()(const Key<Text>& key) const {
  constexpr std::size_t kMix = 0x9e3779b97f4a7c15;  // spreads the bits: 2^64 divided by the golden ratio
  std::size_t hash = key.uid;
  const auto add = [&](std::size_t part) { hash = (hash ^ part) * kMix; };
  add(key.generation);
  for (const std::string_view text : {std::string_view(key.unit), std::string_view(key.account),
                                      std::string_view(key.action), std::string_view(key.decision)}) {
    add(std::hash<std::string_view>()(text));
  }
  return hash;
}

template <typename A, typename B>
bool Audit::Same::operator()(const Key<A>& a, const Key<B>& b) const {
  return tie(a) == tie(b);
}

Audit::SoughtKey Audit::key_of(const Entry& entry, std::string_view unit) {
  return {entry.caller.uid, entry.generation, unit, entry.account, entry.action, entry.decision};
}

void Audit::record(const Entry& entry) {
  const ipc::Caller seen = seen_now(entry.caller);
  ipc::AuditRecord record = describe(entry, seen.unit);
  record.exe = clean_foreign_text(seen.exe);
  keep(std::move(record));
}

void Audit::record_own(std::string_view action, std::string_view decision, std::string_view account,
                       std::uint64_t generation, std::string_view detail) {
  ipc::AuditRecord record;
  record.action = action;
  record.decision = decision;
  record.account = account;
  record.generation = generation;
  record.detail = detail;
  keep(std::move(record));
}

void Audit::record_repeating(const Entry& entry) {
  const BootTime now = clock_.boot();
  const std::string_view unit = unit_of(entry.caller, now);
  const auto known = repeats_.find(key_of(entry, unit));
  if (known != repeats_.end() && now - known->second.told < kRepeatEvery) return count(known->second, entry);
  if (known == repeats_.end() && entry.decision == "denied" && !entry.account.empty()) {
    Allowance& allowance = allowance_of(entry.caller.uid, now);
    if (allowance.refusals == 0) {
      return record_repeating({entry.caller, entry.action, entry.decision, "", 0, "", "of many accounts"});
    }
    --allowance.refusals;
  }
  ipc::AuditRecord record = describe(entry, unit);
  record.exe = clean_foreign_text(exe_of(entry.caller));
  if (known == repeats_.end()) {
    make_room(now);
    repeats_.emplace(KeptKey{entry.caller.uid, entry.generation, std::string(unit), std::string(entry.account),
                             std::string(entry.action), std::string(entry.decision)},
                     Repeat{now, 0, record});
  } else {
    Repeat& repeat = known->second;
    due_.erase({repeat.told + kRepeatEvery, &repeat});
    record.count += std::exchange(repeat.untold, 0);
    repeat.told = now;
    repeat.last = record;
  }
  keep(std::move(record));
}

void Audit::count(Repeat& repeat, const Entry& entry) {
  repeat.last.pid = entry.caller.pid;
  if (repeat.untold++ != 0) return;
  due_.emplace(repeat.told + kRepeatEvery, &repeat);
  minute_.set(due_.begin()->first);
}

// The unit of the process as it was read before, without a look; else by a look, if this user has one left.
std::string_view Audit::unit_of(const ipc::Caller& caller, BootTime now) {
  if (!caller.process) return caller.unit;
  if (const auto seen = caller.process->unit_seen()) return *seen;
  Allowance& allowance = allowance_of(caller.uid, now);
  if (allowance.looks == 0) return {};
  --allowance.looks;
  (void)caller.process->unit().has_value();
  return caller.process->unit_seen().value_or("");
}

Audit::Allowance& Audit::allowance_of(uid_t uid, BootTime now) {
  if (allowances_.size() >= kUsersRemembered && !allowances_.contains(uid)) allowances_.clear();
  const auto [at, added] = allowances_.try_emplace(uid);
  Allowance& allowance = at->second;
  if (added || now - allowance.second >= 1s) allowance.second = now, allowance.looks = kLooksPerSecond;
  if (added || now - allowance.minute >= kRepeatEvery) allowance.minute = now, allowance.refusals = kRefusalsPerMinute;
  return allowance;
}

ipc::AuditRecord Audit::describe(const Entry& entry, std::string_view unit) const {
  ipc::AuditRecord record;
  record.action = entry.action;
  record.decision = entry.decision;
  record.account = entry.account;
  record.generation = entry.generation;
  record.uid = entry.caller.uid;
  record.pid = entry.caller.pid;
  record.unit = unit;
  record.rule = entry.rule;
  record.detail = entry.detail;
  return record;
}

void Audit::keep(ipc::AuditRecord record) {
  if (mutated(Mutation::kNoAudit)) return;
  record.at = clock_.wall();
  write(record);
  records_.push_back(std::move(record));
  if (records_.size() > kKeptRecords) records_.pop_front();
}

// The end of a minute in which something was counted. What is told then begins a new minute.
void Audit::tell(Repeat& repeat, BootTime now) {
  due_.erase({repeat.told + kRepeatEvery, &repeat});
  repeat.told = now;
  ipc::AuditRecord record = repeat.last;
  record.count = std::exchange(repeat.untold, 0);
  keep(std::move(record));
}

void Audit::tell_due() {
  const BootTime now = clock_.boot();
  while (!due_.empty() && due_.begin()->first <= now)
    tell(*due_.begin()->second, now);
  if (!due_.empty()) minute_.set(due_.begin()->first);
}

void Audit::flush() {
  while (!due_.empty())
    tell(*due_.begin()->second, clock_.boot());
  minute_.cancel();
}

// Forgets what has been quiet for a minute; if that is not enough, everything, with its numbers told.
void Audit::make_room(BootTime now) {
  if (repeats_.size() < kDistinctRepeats) return;
  std::erase_if(repeats_, [&](const auto& r) { return r.second.untold == 0 && now - r.second.told >= kRepeatEvery; });
  if (repeats_.size() < kDistinctRepeats) return;
  flush();
  repeats_.clear();
}

std::vector<ipc::AuditRecord> Audit::since(std::optional<WallTime> when) const {
  std::vector<ipc::AuditRecord> found;
  for (const ipc::AuditRecord& record : records_) {
    if (!when || record.at >= *when) found.push_back(record);
  }
  return found;
}

}  // namespace credsync::handout
