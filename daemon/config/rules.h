// `allow` rules: who may do what. Names become ids here, once, so that no decision at run time depends on a
// look-up.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/config/table_reader.h"

namespace credsync::config {

// What the kernel reports for an id it cannot map: nobody's, so no rule may name it (invariant 10).
constexpr unsigned kOverflowId = 65534;

// The id of a group, by name; none if this system does not know it.
std::optional<unsigned> find_group(const std::string& name);

class RuleReader {
 public:
  // Appends the rules under `allow`; a rule with a problem is left out.
  void read(TableReader& table, std::vector<AllowRule>& out);

 private:
  void read_rule(const Node& node, const std::string& path, std::vector<AllowRule>& out, Problems& problems);
  bool read_who(TableReader& table, AllowRule& rule);
  bool read_unit(TableReader& table, AllowRule& rule);
  bool read_exe(TableReader& table, AllowRule& rule);
  bool read_id(TableReader& table, std::string_view key, std::optional<unsigned>& id, std::string& name);
  bool read_actions(TableReader& table, AllowRule& rule);

  using Ids = std::map<std::string, std::optional<unsigned>>;
  Ids users_, groups_;  // looked up already during this load
};

}  // namespace credsync::config
