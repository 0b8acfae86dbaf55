#include "daemon/config/profile_reader.h"

#include <set>

#include "base/text.h"
#include "daemon/config/profile_checks.h"
#include "daemon/config/profile_schema.h"
#include "daemon/config/table_reader.h"

namespace credsync::config {
namespace {

constexpr std::string_view kUnknown = "unknown";  // takes back a duration that another layer declared
constexpr unsigned kLongestExtends = 8;

// The visitor that fills a profile from a tree.
class Reader {
 public:
  explicit Reader(TableReader& table) : table_(table) {}

  void text(std::string_view key, std::string& out) { table_.text(key, out); }
  void boolean(std::string_view key, bool& out) { table_.boolean(key, out); }
  void strings(std::string_view key, std::vector<std::string>& out) { table_.strings(key, out); }
  void string_map(std::string_view key, std::map<std::string, std::string>& out) { table_.string_map(key, out); }
  template <typename Enum>
  void choice(std::string_view key, Enum& out) {
    table_.choice(key, out);
  }
  template <typename Enum>
  void choices(std::string_view key, std::vector<Enum>& out) {
    table_.choices(key, out);
  }

  template <typename Enum>
  void optional_choice(std::string_view key, std::optional<Enum>& out) {
    Enum value{};
    if (table_.choice(key, value)) out = value;
  }
  void optional_text(std::string_view key, std::optional<std::string>& out) {
    std::string value;
    if (table_.text(key, value)) out = std::move(value);
  }
  void optional_status(std::string_view key, std::optional<int>& out) {
    std::int64_t value = 0;
    if (table_.whole(key, kLowestStatus, kHighestStatus, value)) out = static_cast<int>(value);
  }
  void number(std::string_view key, double most, std::optional<double>& out) {
    double value = 0;
    if (table_.number(key, 0, most, value)) out = value > 0 ? std::optional<double>(value) : std::nullopt;
  }
  void duration(std::string_view key, Duration least, Duration most, std::optional<Duration>& out) {
    table_.duration(key, least, most, kUnknown, out);
  }
  void statuses(std::string_view key, std::vector<int>& out);

  template <typename T>
  void table(std::string_view key, T& out) {
    const Node* node = table_.take(key, Node::Kind::kTable);
    if (node != nullptr) fill(*node, table_.path_of(key), out);
  }
  template <typename T>
  void optional_table(std::string_view key, std::optional<T>& out) {
    if (const Node* node = table_.take(key, Node::Kind::kTable)) fill(*node, table_.path_of(key), out.emplace());
  }
  template <typename T>
  void table_map(std::string_view key, std::map<std::string, T>& out) {
    const Node* node = table_.take(key, Node::Kind::kTable);
    if (node == nullptr) return;
    for (const auto& [name, value] : node->fields) {
      const std::string path = table_.path_of(key) + "." + toml_key(name);
      if (table_.expect(value, Node::Kind::kTable, path)) fill(value, path, out[name]);
    }
  }
  template <typename Enum, typename T>
  void choice_map(std::string_view key, std::map<Enum, T>& out) {
    const Node* node = table_.take(key, Node::Kind::kTable);
    if (node == nullptr) return;
    for (const auto& [name, value] : node->fields) {
      const std::string path = table_.path_of(key) + "." + toml_key(name);
      const auto which = provider::from_name<Enum>(name);
      if (!which) {
        table_.problems().add(value.spot, path, "unknown key" + suggestion(name, TableReader::words<Enum>()));
      } else if (table_.expect(value, Node::Kind::kTable, path)) {
        fill(value, path, out[*which]);
      }
    }
  }
  template <typename T>
  void list(std::string_view key, std::vector<T>& out) {
    const Node* node = table_.take(key, Node::Kind::kArray);
    if (node == nullptr) return;
    for (std::size_t i = 0; i < node->items.size(); ++i) {
      const std::string path = table_.path_of(key) + "[" + std::to_string(i) + "]";
      if (table_.expect(node->items[i], Node::Kind::kTable, path)) fill(node->items[i], path, out.emplace_back());
    }
  }

 private:
  template <typename T>
  void fill(const Node& node, const std::string& path, T& out) {
    TableReader inner(node, path, table_.problems());
    Reader reader(inner);
    visit(reader, out);
    inner.finish();
  }

  TableReader& table_;
};

void Reader::statuses(std::string_view key, std::vector<int>& out) {
  const Node* node = table_.take(key, Node::Kind::kArray);
  if (node == nullptr) return;
  std::vector<int> read;
  for (const Node& item : node->items) {
    if (!table_.expect(item, Node::Kind::kInteger, table_.path_of(key))) return;
    if (item.integer < kLowestStatus || item.integer > kHighestStatus) {
      table_.problems().add(item.spot, table_.path_of(key), "an HTTP status is from 100 to 599");
      return;
    }
    read.push_back(static_cast<int>(item.integer));
  }
  out = std::move(read);
}

// [sources]: key of the profile -> the document it was taken from. Dotted keys may be written quoted or not.
void flatten_sources(const Node& node, const std::string& path, std::map<std::string, const Node*>& out) {
  for (const auto& [key, value] : node.fields) {
    const std::string name = path.empty() ? key : path + "." + key;
    if (value.is_table())
      flatten_sources(value, name, out);
    else
      out[name] = &value;
  }
}

class Facts {
 public:
  explicit Facts(const Node* sources) {
    if (sources != nullptr && sources->is_table()) flatten_sources(*sources, "", sources_);
  }

  void collect(const Node& node, const std::string& path) {
    for (const auto& [key, value] : node.fields) {
      const std::string name = path.empty() ? toml_key(key) : path + "." + toml_key(key);
      if (path.empty() && key == "sources") continue;
      if (value.is_table() && !value.fields.empty()) {
        collect(value, name);
      } else {
        facts_.push_back({name, toml_value(value), value.spot.place().file, value.spot.line, source_of(name)});
      }
    }
  }

  // Sources that speak of a key the profile does not have.
  void check(const std::string& path, Problems& problems) const {
    for (const auto& [name, node] : sources_) {
      if (!node->is_string()) {
        problems.add(node->spot, path + ".sources." + toml_key(name),
                     "must be text: the document the fact is taken from");
      } else if (!used_.contains(name)) {
        problems.warn(node->spot, path + ".sources." + toml_key(name), "the profile has no such key");
      }
    }
  }

  std::vector<provider::Fact> take() { return std::move(facts_); }

 private:
  // The source of the key itself, or of the nearest table around it.
  std::string source_of(std::string_view name) {
    for (std::size_t end = name.size(); end != std::string_view::npos && end > 0; end = name.rfind('.', end - 1)) {
      const auto found = sources_.find(std::string(name.substr(0, end)));
      if (found == sources_.end()) continue;
      used_.insert(found->first);
      return found->second->text;
    }
    return {};
  }

  std::map<std::string, const Node*> sources_;
  std::set<std::string> used_;
  std::vector<provider::Fact> facts_;
};

// The tree of a profile upon the one it extends. Empty and a problem if the chain has no end.
std::optional<Node> with_parents(const Node& providers, const std::string& id, unsigned depth, Problems& problems) {
  const Node& own = providers.fields.at(id);
  const auto extends = own.fields.find("extends");
  if (extends == own.fields.end()) return own;
  const std::string path = "provider." + toml_key(id) + ".extends";
  const Spot& spot = extends->second.spot;
  if (!extends->second.is_string()) {
    problems.add(spot, path, "must be text: the id of another profile");
    return std::nullopt;
  }
  const auto parent = providers.fields.find(extends->second.text);
  if (parent == providers.fields.end() || !parent->second.is_table()) {
    std::vector<std::string_view> known;
    for (const auto& [name, node] : providers.fields)
      known.push_back(name);
    problems.add(spot, path, "no profile has this id" + suggestion(extends->second.text, known));
    return std::nullopt;
  }
  if (depth >= kLongestExtends) {
    problems.add(spot, path, "the chain of profiles that extend one another has no end");
    return std::nullopt;
  }
  auto merged = with_parents(providers, parent->first, depth + 1, problems);
  if (merged) merge(*merged, own);
  return merged;
}

provider::Profile read_profile(const std::string& id, const Node& tree, Problems& problems) {
  provider::Profile profile;
  profile.id = id;
  const std::string path = "provider." + toml_key(id);
  TableReader table(tree, path, problems);
  static_cast<void>(table.take("extends"));
  const Node* sources = table.take("sources", Node::Kind::kTable);
  Reader reader(table);
  visit(reader, profile);
  table.finish();
  // The default of RFC 7009 holds as soon as there is somewhere to send it, or discovery may find it.
  const auto revoke = tree.fields.find("revoke");
  const bool how_is_said = revoke != tree.fields.end() && revoke->second.fields.contains("how");
  const bool discovered = !profile.issuer.empty() && profile.endpoints.token.url.empty();
  if (!how_is_said && (discovered || !profile.endpoints.revoke.url.empty()))
    profile.revoke.how = provider::RevokeHow::kRfc7009;
  Facts facts(sources);
  facts.collect(tree, "");
  facts.check(path, problems);
  profile.facts = facts.take();
  return profile;
}

}  // namespace

void normalise_profiles(Node& providers) {
  for (auto& [id, profile] : providers.fields) {
    const auto endpoints = profile.fields.find("endpoints");
    if (endpoints == profile.fields.end()) continue;
    for (auto& [name, endpoint] : endpoints->second.fields) {
      if (!endpoint.is_string()) continue;
      Node table;
      table.spot = endpoint.spot;
      table.fields.emplace("url", std::move(endpoint));
      endpoint = std::move(table);
    }
  }
}

ReadProfiles read_profiles(const Node& providers, Problems& problems) {
  ReadProfiles out;
  for (const auto& [id, node] : providers.fields) {
    const std::string path = "provider." + toml_key(id);
    const std::size_t before = problems.fatal_count();
    if (!is_account_name(id)) {
      problems.add(node.spot, path,
                   "an id is at most 64 of a-z, 0-9, '.', '_' and '-', and begins with a letter or digit");
    } else if (!node.is_table()) {
      problems.add(node.spot, path, "must be a table: [" + path + "]");
    } else if (auto tree = with_parents(providers, id, 0, problems)) {
      auto profile = std::make_shared<provider::Profile>(read_profile(id, *tree, problems));
      if (problems.fatal_count() == before) check_profile(*profile, *tree, problems);
      if (problems.fatal_count() == before) out.good.emplace(id, std::move(profile));
    }
    if (!out.good.contains(id)) out.broken.insert(id);
  }
  return out;
}

}  // namespace credsync::config
