#include "daemon/handout/audit.h"

#include "base/log.h"

namespace credsync::handout {

void Audit::record(const Entry& entry) {
  ipc::AuditRecord record;
  record.at = clock_.wall();
  record.action = entry.action;
  record.decision = entry.decision;
  record.account = entry.account;
  record.generation = entry.generation;
  record.uid = entry.caller.uid;
  record.pid = entry.caller.pid;
  record.rule = entry.rule;
  record.detail = entry.detail;
  records_.push_back(std::move(record));
  if (records_.size() > kKeptRecords) records_.pop_front();
  log::write(log::Level::kInfo, {}, "audit",
             {{"ACTION", std::string(entry.action)},
              {"DECISION", std::string(entry.decision)},
              {"ACCOUNT", std::string(entry.account)},
              {"GENERATION", std::to_string(entry.generation)},
              {"CALLER_UID", std::to_string(entry.caller.uid)},
              {"CALLER_PID", std::to_string(entry.caller.pid)},
              {"RULE", std::string(entry.rule)},
              {"DETAIL", std::string(entry.detail)}});
}

void Audit::record_repeating(const Entry& entry) {
  const BootTime now = clock_.boot();
  Key key{entry.caller.uid, std::string(entry.account), entry.generation, std::string(entry.action),
          std::string(entry.decision)};
  const auto known = repeats_.find(key);
  if (known != repeats_.end() && now - known->second.told < kRepeatEvery) {
    ++known->second.untold;
    return;
  }
  if (known == repeats_.end() && repeats_.size() >= kDistinctRepeats) {
    std::erase_if(repeats_, [&](const auto& r) { return now - r.second.told >= kRepeatEvery; });
    if (repeats_.size() >= kDistinctRepeats) repeats_.clear();
  }
  Repeat& repeat = repeats_[std::move(key)];
  const std::string count = repeat.untold == 0 ? std::string(entry.detail)
                                               : std::to_string(repeat.untold + 1) + " times since the last record";
  repeat = {now, 0};
  record({entry.caller, entry.action, entry.decision, entry.account, entry.generation, entry.rule, count});
}

std::vector<ipc::AuditRecord> Audit::since(std::optional<WallTime> when) const {
  std::vector<ipc::AuditRecord> found;
  for (const ipc::AuditRecord& record : records_) {
    if (!when || record.at >= *when) found.push_back(record);
  }
  return found;
}

}  // namespace credsync::handout
