// Reads one table strictly: every key is asked for by name and type; what nobody asked for is a problem with
// a suggestion. Values that do not fit leave the target as it was and add a problem, so that reading always
// goes on.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "daemon/config/tree.h"
#include "daemon/provider/names.h"

namespace credsync::config {

// A table or array longer than this is a mistake; it also bounds what merging and hashing cost.
constexpr std::size_t kMaxEntries = 1024;

class TableReader {
 public:
  // `path` is the table's own dotted name, for messages.
  TableReader(const Node& table, std::string path, Problems& problems)
      : table_(table), path_(std::move(path)), problems_(problems) {}

  const std::string& path() const { return path_; }
  Problems& problems() const { return problems_; }
  std::string path_of(std::string_view key) const;
  // Where `key` stands, else where the table does.
  const Spot& spot_of(std::string_view key) const;

  // The raw node, now known and used; null if it is not there.
  const Node* take(std::string_view key);
  // The same if it is of that kind, else a problem.
  const Node* take(std::string_view key, Node::Kind kind);

  bool text(std::string_view key, std::string& out);
  bool boolean(std::string_view key, bool& out);
  bool whole(std::string_view key, std::int64_t least, std::int64_t most, std::int64_t& out);
  bool number(std::string_view key, double least, double most, double& out);
  bool strings(std::string_view key, std::vector<std::string>& out);
  bool string_map(std::string_view key, std::map<std::string, std::string>& out);
  // "10m"; `special` is a word allowed instead ("auto", "unknown"), which clears the target.
  bool duration(std::string_view key, Duration least, Duration most, std::string_view special,
                std::optional<Duration>& out);

  template <typename Enum>
  bool choice(std::string_view key, Enum& out) {
    const Node* node = take(key, Node::Kind::kString);
    if (node == nullptr) return false;
    const auto value = provider::from_name<Enum>(node->text);
    if (!value)
      wrong_word(*node, path_of(key), words<Enum>());
    else
      out = *value;
    return value.has_value();
  }

  template <typename Enum>
  bool choices(std::string_view key, std::vector<Enum>& out) {
    const Node* node = take(key, Node::Kind::kArray);
    if (node == nullptr) return false;
    std::vector<Enum> read;
    for (std::size_t i = 0; i < node->items.size() && i < kMaxEntries; ++i) {
      const Node& item = node->items[i];
      const std::string item_path = path_of(key) + "[" + std::to_string(i) + "]";
      if (!expect(item, Node::Kind::kString, item_path)) return false;
      const auto value = provider::from_name<Enum>(item.text);
      if (!value)
        wrong_word(item, item_path, words<Enum>());
      else
        read.push_back(*value);
    }
    out = std::move(read);
    return true;
  }

  template <typename Enum>
  static std::vector<std::string_view> words() {
    std::vector<std::string_view> out;
    for (const auto& entry : names_of(Enum{}))
      out.push_back(entry.name);
    return out;
  }

  // A problem at the key.
  void wrong(std::string_view key, std::string what) { problems_.add(spot_of(key), path_of(key), std::move(what)); }
  void wrong_word(const Node& node, const std::string& path, const std::vector<std::string_view>& allowed);
  bool expect(const Node& node, Node::Kind kind, const std::string& path);

  // Every key that was never asked for becomes a problem. Call it last.
  void finish();

 private:
  const Node& table_;
  std::string path_;
  Problems& problems_;
  std::set<std::string, std::less<>> known_;
};

// "; did you mean `x`?" or "; allowed are a, b, c".
std::string suggestion(std::string_view word, const std::vector<std::string_view>& known);

}  // namespace credsync::config
