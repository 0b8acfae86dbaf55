#include <set>

#include "base/text.h"
#include "daemon/config/config.h"
#include "daemon/config/tree.h"
#include "daemon/config/writer.h"

namespace credsync::config {
namespace {

void put_table(std::string& out, const std::string& name, const Lines& lines) {
  out += "\n[" + name + "]\n";
  for (const auto& [key, value] : lines)
    out += key + " = " + value + "\n";
}

void put_settings(std::string& out, const Config& config) {
  put_table(out, "listen", {{"http", json_string(config.listen.http)}, {"dbus", json_string(config.listen.dbus)}});
  Lines store = {{"backend", json_string(config.store.backend)}};
  if (config.store.key.present()) store.emplace_back("key", toml_source(config.store.key));
  put_table(out, "store", store);
  put_table(out, "refresh", {{"workers", std::to_string(config.refresh.workers)}});
  const Callers& callers = config.callers;
  put_table(out, "callers",
            {{"max_connections_per_user", std::to_string(callers.max_connections_per_user)},
             {"max_waiting_per_user", std::to_string(callers.max_waiting_per_user)},
             {"max_subscriptions_per_user", std::to_string(callers.max_subscriptions_per_user)},
             {"max_requests_per_second", std::to_string(callers.max_requests_per_second)}});
  if (config.default_allow != nullptr) put_table(out, "defaults", {{"allow", toml_rules(*config.default_allow)}});
}

// Only what differs from the RFCs' defaults, and how to revoke, whose default depends on the endpoints.
Lines deviations(const provider::Profile& profile) {
  static const std::set<std::pair<std::string, std::string>> kDefaults = [] {
    const Lines lines = lines_of(provider::Profile{});
    return std::set<std::pair<std::string, std::string>>(lines.begin(), lines.end());
  }();
  Lines out = lines_of(profile);
  std::erase_if(out, [&](const auto& line) {
    const auto& [key, value] = line;
    // Of a table of parameters or a variable something always stays, so that the table itself is read back.
    const bool repeated = key.starts_with("parameters.") || key.starts_with("vars.");
    if (repeated) return value == "{}" || value == "[]";
    return key != "revoke.how" && kDefaults.contains(line);
  });
  return out;
}

}  // namespace

std::string dump(const Config& config) {
  std::string out = "# The configuration in force, merged from all files. Defaults of a profile are left out.\n";
  put_settings(out, config);
  for (const auto& [id, profile] : config.profiles)
    put_table(out, "provider." + toml_key(id), deviations(*profile));
  for (const auto& [name, account] : config.accounts) {
    out += "\n# " + clean_foreign_text(*account->origin.file) + ":" + std::to_string(account->origin.line);
    put_table(out, "account." + toml_key(name), lines_of(*account));
  }
  return out;
}

}  // namespace credsync::config
