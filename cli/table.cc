#include "cli/table.h"

#include <algorithm>
#include <numeric>

#include "cli/text.h"

namespace credsync::cli {
namespace {

constexpr std::size_t kGap = 2;
constexpr std::size_t kIndent = 4;
constexpr std::size_t kNarrowestCell = 8;
constexpr std::size_t kNarrowestText = 16;  // a narrower terminal wraps by itself

std::string shown(std::string_view text, const View& view) {
  return view.utf8 ? std::string(text) : to_ascii(text);
}

// The columns that are left, and how wide each is.
struct Layout {
  std::vector<std::size_t> columns;
  std::vector<std::size_t> widths;

  std::size_t total() const {
    return std::accumulate(widths.begin(), widths.end(), std::size_t{0}) +
           kGap * (widths.empty() ? 0 : widths.size() - 1);
  }
};

Layout natural_layout(const std::vector<Column>& columns, const std::vector<Row>& rows, const View& view) {
  Layout layout;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    std::size_t width = display_width(columns[i].title);
    for (const Row& row : rows)
      width = std::max(width, display_width(shown(row.cells[i].text, view)));
    layout.columns.push_back(i);
    layout.widths.push_back(width);
  }
  return layout;
}

bool drop_least_important(Layout& layout, const std::vector<Column>& columns) {
  const auto least = std::max_element(layout.columns.begin(), layout.columns.end(), [&](std::size_t a, std::size_t b) {
    return columns[a].leaves < columns[b].leaves;
  });
  if (least == layout.columns.end() || columns[*least].leaves == 0) return false;
  layout.widths.erase(layout.widths.begin() + (least - layout.columns.begin()));
  layout.columns.erase(least);
  return true;
}

void fit(Layout& layout, const std::vector<Column>& columns, std::size_t limit) {
  if (limit == 0) return;
  while (layout.total() > limit && drop_least_important(layout, columns)) {
  }
  while (layout.total() > limit) {
    const auto widest = std::max_element(layout.widths.begin(), layout.widths.end());
    if (*widest <= kNarrowestCell) return;
    const std::size_t excess = layout.total() - limit;
    *widest = *widest - kNarrowestCell > excess ? *widest - excess : kNarrowestCell;
  }
}

std::string line_of(const std::vector<Cell>& cells, const Layout& layout, const View& view) {
  std::string line;
  std::size_t padding = 0;
  for (std::size_t i = 0; i < layout.columns.size(); ++i) {
    const Cell& cell = cells[layout.columns[i]];
    const std::string text = cut_to_width(shown(cell.text, view), layout.widths[i], view.utf8);
    if (!text.empty()) {
      line.append(padding, ' ').append(styled(view, cell.style, text));
      padding = 0;
    }
    padding += layout.widths[i] - display_width(text) + kGap;
  }
  return line + '\n';
}

std::size_t text_room(const View& view, std::size_t used) {
  if (view.columns == 0) return 0;
  return view.columns > used + kNarrowestText ? view.columns - used : kNarrowestText;
}

}  // namespace

std::string render_table(const std::vector<Column>& columns, const std::vector<Row>& rows, const View& view) {
  Layout layout = natural_layout(columns, rows, view);
  fit(layout, columns, view.columns);
  std::string out;
  std::vector<Cell> titles;
  for (const Column& column : columns)
    titles.push_back({column.title, Style::kDim});
  const bool titled = std::any_of(columns.begin(), columns.end(), [](const Column& c) { return !c.title.empty(); });
  if (titled) out += line_of(titles, layout, view);
  for (const Row& row : rows) {
    out += line_of(row.cells, layout, view);
    for (const Cell& detail : row.details) {
      std::size_t indent = kIndent;
      for (const std::string& line : wrap(shown(detail.text, view), text_room(view, kIndent + 2))) {
        out.append(indent, ' ').append(styled(view, detail.style, line)).append("\n");
        indent = kIndent + 2;
      }
    }
  }
  return out;
}

std::string render_pairs(const std::vector<Pair>& pairs, const View& view) {
  std::size_t width = 0;
  for (const Pair& pair : pairs)
    width = std::max(width, display_width(pair.key));
  std::string out;
  for (const Pair& pair : pairs) {
    if (pair.value.empty()) continue;
    out.append("  ").append(styled(view, Style::kDim, pair.key));
    std::size_t padding = width - display_width(pair.key) + kGap;
    for (const std::string& line : wrap(shown(pair.value, view), text_room(view, width + kGap + 2))) {
      out.append(padding, ' ').append(styled(view, pair.style, line)).append("\n");
      padding = width + kGap + 2;
    }
  }
  return out;
}

}  // namespace credsync::cli
