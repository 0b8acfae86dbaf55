// Provider profiles and accounts from TOML: what is found good has what it needs, and what is written of it reads back as
// the same.
#include <set>

#include "base/text.h"
#include "daemon/config/account_reader.h"
#include "daemon/config/parse_toml.h"
#include "daemon/config/profile_reader.h"
#include "daemon/config/writer.h"
#include "daemon/provider/template.h"
#include "daemon/provider/url.h"
#include "tests/fuzz/fuzz.h"

using namespace credsync;
using namespace credsync::fuzz;
using config::Node;

namespace {

const std::string& file_name() {
  static const std::string name = "/etc/credsyncd/credsyncd.toml";
  return name;
}

// Files that an account names are opened when it is read: which files is not for a fuzzer to say.
bool names_files(const Node& node) {
  static const std::set<std::string, std::less<>> kKeys = {"file", "credential", "command", "ca_file",
                                                           "client_certificate"};
  for (const auto& [key, value] : node.fields) {
    if (kKeys.contains(key) || names_files(value)) return true;
  }
  return std::any_of(node.items.begin(), node.items.end(), names_files);
}

void check_profile(const provider::Profile& profile) {
  HOLDS(is_account_name(profile.id));
  HOLDS(!profile.grants.empty() && !profile.client.auth.empty());
  provider::StringMap values;
  for (const auto& [name, variable] : profile.vars) {
    if (!variable.fallback) return;
    values[name] = *variable.fallback;
  }
  for (const provider::Endpoint* endpoint : {&profile.endpoints.authorize, &profile.endpoints.token,
                                             &profile.endpoints.refresh, &profile.endpoints.device}) {
    if (endpoint->url.empty()) continue;
    const auto url = provider::expand(endpoint->url, profile.vars, values);
    HOLDS(url && provider::check_endpoint_url(*url, true));
  }
}

std::string table_of(const std::string& name, const config::Lines& lines) {
  std::string out = "[" + name + "]\n";
  for (const auto& [key, value] : lines)
    out += key + " = " + value + "\n";
  return out;
}

void check_written(const provider::Profile& profile) {
  const config::Lines lines = config::lines_of(profile);
  const std::string text = table_of("provider." + config::toml_key(profile.id), lines);
  config::Problems problems;
  auto tree = config::parse_toml(text, &file_name(), problems);
  HOLDS(tree);
  config::normalise_profiles(tree->fields["provider"]);
  const auto again = config::read_profiles(tree->fields["provider"], problems);
  HOLDS(problems.fatal_count() == 0);
  HOLDS(again.good.size() == 1 && config::lines_of(*again.good.begin()->second) == lines);
}

void check_account(const config::Account& account) {
  HOLDS(is_account_name(account.name));
  HOLDS(account.profile != nullptr && account.profile->id == account.provider);
  HOLDS(account.identity.size() == 64);
  HOLDS(!account.margin || *account.margin > Duration::zero());
  HOLDS(account.revoke_grace >= Duration::zero());
  for (const config::AllowRule& rule : account.allow) {
    HOLDS(rule.user || rule.group || !rule.unit.empty());
    HOLDS(rule.actions != 0);
    HOLDS(!rule.user || *rule.user != config::kOverflowId);
    HOLDS(rule.unit.empty() || is_unit_name(rule.unit));
  }
  HOLDS(!config::lines_of(account).empty());
}

}  // namespace

void run(Input input) {
  const std::string text = with_canaries(input.rest());
  config::Problems problems;
  auto tree = config::parse_toml(text, &file_name(), problems);
  if (!tree || names_files(*tree)) return;
  config::ReadProfiles profiles;
  Node& providers = tree->fields["provider"];
  if (!providers.is_table()) return;
  config::normalise_profiles(providers);
  profiles = config::read_profiles(providers, problems);
  for (const auto& [id, profile] : profiles.good) {
    check_profile(*profile);
    check_written(*profile);
  }
  config::AccountReader reader(profiles, problems);
  if (const auto defaults = tree->fields.find("defaults"); defaults != tree->fields.end())
    reader.read_defaults(defaults->second);
  const Node& accounts = tree->fields["account"];
  for (const auto& [name, node] : accounts.fields) {
    const auto account = reader.read(name, node);
    if (account && problems.fatal_count() == 0) check_account(*account);  // else the configuration is not used
  }
  for (const config::Problem& problem : problems.take())
    HOLDS(!problem.words.empty() && is_fit_to_show(problem.words) && is_fit_to_show(problem.key));
}
