// A table that fits: columns as wide as their widest cell; on a terminal that is too narrow the least
// important columns leave, then the widest is cut. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/terminal.h"

namespace credsync::cli {

struct Column {
  std::string title;
  int leaves = 0;  // the highest leaves first; 0 stays
};

struct Cell {
  std::string text;
  Style style = Style::kPlain;
};

struct Row {
  std::vector<Cell> cells;    // one a column
  std::vector<Cell> details;  // lines below the row, indented and wrapped
};

// Ends with a newline unless there is nothing to show. Titles are left out when all of them are empty.
std::string render_table(const std::vector<Column>& columns, const std::vector<Row>& rows, const View& view);

// "key   value" lines: keys aligned, values wrapped at the view's width. A value that is empty shows no line.
struct Pair {
  std::string key;
  std::string value;
  Style style = Style::kPlain;
};
std::string render_pairs(const std::vector<Pair>& pairs, const View& view);

}  // namespace credsync::cli
