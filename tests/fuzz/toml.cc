// TOML files (toml.io, v1.0): nested no deeper than the stack bears, written back and read again the same, and no value in
// the words of a problem.
//
// The byte 7 becomes 20,000 times "p.", since toml++ recurses for each key of a path.
#include "daemon/config/parse_toml.h"

#include <algorithm>

#include "tests/fuzz/fuzz.h"

using namespace credsync;
using namespace credsync::fuzz;
using config::Node;

namespace {

std::string with_depth(std::string_view text) {
  constexpr int kLevels = 20'000;
  std::string out;
  bool once = false;
  for (const char c : text) {
    for (int i = 0; c == 7 && !once && i < kLevels; ++i)
      out += "p.";
    once = once || c == 7;
    if (c != 7) out += c;
  }
  return out;
}

std::size_t depth_of(const Node& node) {
  std::size_t deepest = 0;
  for (const Node& item : node.items)
    deepest = std::max(deepest, depth_of(item));
  for (const auto& [key, value] : node.fields)
    deepest = std::max(deepest, depth_of(value));
  return deepest + 1;
}

bool same(const Node& a, const Node& b) {
  const bool numbers = a.real == b.real || (a.real != a.real && b.real != b.real);
  if (a.kind != b.kind || a.text != b.text || a.integer != b.integer || !numbers || a.boolean != b.boolean)
    return false;
  const auto same_field = [](const auto& x, const auto& y) { return x.first == y.first && same(x.second, y.second); };
  return std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(), same) &&
         std::equal(a.fields.begin(), a.fields.end(), b.fields.begin(), b.fields.end(), same_field);
}

bool has_date(const Node& node) {
  const auto in_field = [](const auto& field) { return has_date(field.second); };
  return node.kind == Node::Kind::kDate || std::any_of(node.items.begin(), node.items.end(), has_date) ||
         std::any_of(node.fields.begin(), node.fields.end(), in_field);
}

}  // namespace

void run(Input input) {
  static const std::string file = "/etc/credsyncd/credsyncd.toml";
  const bool deep = input.rest().find('\7') != std::string_view::npos;
  const std::string text = with_depth(with_canaries(input.rest()));
  config::Problems problems;
  const auto tree = config::parse_toml(text, &file, problems);
  const auto found = problems.take();
  HOLDS(tree.has_value() == found.empty());
  for (const config::Problem& problem : found) {
    HOLDS(is_fit_to_show(problem.words) && !problem.words.empty());
    // A key is named where it is defined twice.
    HOLDS(!shows_canary(problem.words) || problem.words.find("redefine") != problem.words.npos);
    HOLDS(problem.place.line >= 1 && problem.fatal);
    HOLDS(!deep || problem.words.find("tables are nested") == problem.words.npos);  // seen before toml++ recursed
  }
  if (!tree) return;
  HOLDS(tree->is_table() && depth_of(*tree) <= config::kMaxTomlDepth + 2);
  if (has_date(*tree) || depth_of(*tree) > 16) return;  // no key takes a date; one line nests twice as deep
  config::Problems more;
  const std::string written = "all = " + config::toml_value(*tree);
  const auto again = config::parse_toml(written, &file, more);
  HOLDS(again && again->fields.size() == 1);
  HOLDS(same(again->fields.begin()->second, *tree));
}
