#include "daemon/config/table_reader.h"

#include "base/text.h"

namespace credsync::config {
namespace {

constexpr std::size_t kMaxTextBytes = 8192;  // the longest value anyone writes is a URL
constexpr std::size_t kShownBytes = 60;      // of a wrong word

bool has_control(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return true;
  }
  return false;
}

}  // namespace

std::string suggestion(std::string_view word, const std::vector<std::string_view>& known) {
  if (const std::string_view near = nearest_word(word, known); !near.empty()) {
    return "; did you mean `" + std::string(near) + "`?";
  }
  std::string out;
  for (const std::string_view one : known)
    out += (out.empty() ? "; allowed are " : ", ") + std::string(one);
  return out;
}

std::string TableReader::path_of(std::string_view key) const {
  return path_.empty() ? toml_key(key) : path_ + "." + toml_key(key);
}

const Spot& TableReader::spot_of(std::string_view key) const {
  const auto found = table_.fields.find(key);
  return found == table_.fields.end() ? table_.spot : found->second.spot;
}

const Node* TableReader::take(std::string_view key) {
  known_.emplace(key);
  const auto found = table_.fields.find(key);
  return found == table_.fields.end() ? nullptr : &found->second;
}

const Node* TableReader::take(std::string_view key, Node::Kind kind) {
  const Node* node = take(key);
  return node != nullptr && expect(*node, kind, path_of(key)) ? node : nullptr;
}

bool TableReader::expect(const Node& node, Node::Kind kind, const std::string& path) {
  if (node.kind == kind) {
    const std::size_t entries = node.items.size() + node.fields.size();
    if (entries <= kMaxEntries) return true;
    problems_.add(node.spot, path, "has more than " + std::to_string(kMaxEntries) + " entries");
    return false;
  }
  problems_.add(node.spot, path,
                "must be " + std::string(kind_name(kind)) + ", not " + std::string(kind_name(node.kind)));
  return false;
}

bool TableReader::text(std::string_view key, std::string& out) {
  const Node* node = take(key, Node::Kind::kString);
  if (node == nullptr) return false;
  if (node->text.size() > kMaxTextBytes || has_control(node->text)) {
    wrong(key, "must be text of at most " + std::to_string(kMaxTextBytes) + " bytes without control characters");
    return false;
  }
  out = node->text;
  return true;
}

bool TableReader::boolean(std::string_view key, bool& out) {
  const Node* node = take(key, Node::Kind::kBoolean);
  if (node != nullptr) out = node->boolean;
  return node != nullptr;
}

bool TableReader::whole(std::string_view key, std::int64_t least, std::int64_t most, std::int64_t& out) {
  const Node* node = take(key, Node::Kind::kInteger);
  if (node == nullptr) return false;
  if (node->integer < least || node->integer > most) {
    wrong(key, "must be from " + std::to_string(least) + " to " + std::to_string(most));
    return false;
  }
  out = node->integer;
  return true;
}

bool TableReader::number(std::string_view key, double least, double most, double& out) {
  const Node* node = take(key);
  if (node == nullptr) return false;
  const bool integer = node->kind == Node::Kind::kInteger;
  if (!integer && !expect(*node, Node::Kind::kFloat, path_of(key))) return false;
  const double value = integer ? static_cast<double>(node->integer) : node->real;
  if (!(value >= least && value <= most)) {
    Node least_node, most_node;
    least_node.kind = most_node.kind = Node::Kind::kFloat;
    least_node.real = least;
    most_node.real = most;
    wrong(key, "must be from " + toml_value(least_node) + " to " + toml_value(most_node));
    return false;
  }
  out = value;
  return true;
}

bool TableReader::strings(std::string_view key, std::vector<std::string>& out) {
  const Node* node = take(key, Node::Kind::kArray);
  if (node == nullptr) return false;
  std::vector<std::string> read;
  for (std::size_t i = 0; i < node->items.size(); ++i) {
    const Node& item = node->items[i];
    const std::string item_path = path_of(key) + "[" + std::to_string(i) + "]";
    if (!expect(item, Node::Kind::kString, item_path)) return false;
    if (item.text.size() > kMaxTextBytes || has_control(item.text)) {
      problems_.add(item.spot, item_path, "must be text without control characters");
      return false;
    }
    read.push_back(item.text);
  }
  out = std::move(read);
  return true;
}

bool TableReader::string_map(std::string_view key, std::map<std::string, std::string>& out) {
  const Node* node = take(key, Node::Kind::kTable);
  if (node == nullptr) return false;
  std::map<std::string, std::string> read;
  for (const auto& [name, value] : node->fields) {
    const std::string value_path = path_of(key) + "." + toml_key(name);
    if (!expect(value, Node::Kind::kString, value_path)) return false;
    if (name.empty() || has_control(name) || value.text.size() > kMaxTextBytes || has_control(value.text)) {
      problems_.add(value.spot, value_path, "name and value must be text without control characters");
      return false;
    }
    read.emplace(name, value.text);
  }
  out = std::move(read);
  return true;
}

bool TableReader::duration(std::string_view key, Duration least, Duration most, std::string_view special,
                           std::optional<Duration>& out) {
  const Node* node = take(key);
  if (node == nullptr) return false;
  const std::string or_special = special.empty() ? "" : ", or \"" + std::string(special) + "\"";
  if (!node->is_string()) {
    wrong(key, "must be a duration in quotes, like \"90s\", \"10m\", \"12h\" or \"30d\"" + or_special);
    return false;
  }
  if (!special.empty() && node->text == special) {
    out.reset();
    return true;
  }
  const auto value = parse_duration(node->text);
  if (!value) {
    wrong(key, value.error().message() + or_special);
    return false;
  }
  if (*value < least || *value > most) {
    wrong(key, "must be from " + to_text(least) + " to " + to_text(most) + or_special);
    return false;
  }
  out = *value;
  return true;
}

void TableReader::wrong_word(const Node& node, const std::string& path, const std::vector<std::string_view>& allowed) {
  problems_.add(
      node.spot, path,
      "`" + clean_foreign_text(node.text, {}, kShownBytes) + "` is not known" + suggestion(node.text, allowed));
}

void TableReader::finish() {
  const std::vector<std::string_view> known(known_.begin(), known_.end());
  for (const auto& [key, node] : table_.fields) {
    if (known_.contains(key)) continue;
    problems_.add(node.spot, clean_foreign_text(path_of(key)), "unknown key" + suggestion(key, known));
  }
}

}  // namespace credsync::config
