// A TOML document as a plain tree: what remains of toml++ once a file is parsed. Every node knows where it
// was written, so that trees merged from many files still give file, line and column.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "daemon/config/config.h"

namespace credsync::config {

// A Place that borrows the file's name; FileNames owns it for as long as a load lasts.
struct Spot {
  const std::string* file = nullptr;
  unsigned line = 0;
  unsigned column = 0;
  Place place() const { return {file == nullptr ? std::string() : *file, line, column}; }
};

class FileNames {
 public:
  const std::string* add(std::string name) { return &names_.emplace_back(std::move(name)); }

 private:
  std::deque<std::string> names_;
};

struct Node {
  enum class Kind { kTable, kArray, kString, kInteger, kFloat, kBoolean, kDate };
  Kind kind = Kind::kTable;
  Spot spot;  // of the key, or of the value inside an array
  std::string text;
  std::int64_t integer = 0;
  double real = 0;
  bool boolean = false;
  std::vector<Node> items;
  std::map<std::string, Node, std::less<>> fields;

  bool is_table() const { return kind == Kind::kTable; }
  bool is_array() const { return kind == Kind::kArray; }
  bool is_string() const { return kind == Kind::kString; }
};

// "a table", "text": for messages.
std::string_view kind_name(Node::Kind kind);

// Puts `over` upon `base`: tables key by key, anything else replaces.
void merge(Node& base, Node over);

// A key as TOML writes it: bare where it can be, else quoted.
std::string toml_key(std::string_view key);
// The value on one line, as TOML.
std::string toml_value(const Node& node);

// What is wrong, collected: an admin wants the whole list, but not a list without end.
class Problems {
 public:
  void add(const Spot& spot, std::string key, std::string words) {
    add(spot.place(), std::move(key), std::move(words), true);
  }
  void warn(const Spot& spot, std::string key, std::string words) {
    add(spot.place(), std::move(key), std::move(words), false);
  }
  void add(Place place, std::string key, std::string words, bool fatal);
  // Those that make the configuration unusable, so far.
  std::size_t fatal_count() const { return fatal_; }
  // Sorted by place. The last entry says so when there were more.
  std::vector<Problem> take();

 private:
  static constexpr std::size_t kMost = 1000;  // nobody reads further; one wrong default touches every account
  std::vector<Problem> problems_;
  std::size_t fatal_ = 0;
  std::size_t left_out_ = 0;
  bool fatal_left_out_ = false;
};

}  // namespace credsync::config
