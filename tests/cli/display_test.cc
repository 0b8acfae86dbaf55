// Widths, wrapping, quoting, times: what a reader sees.
#include <gtest/gtest.h>

#include <algorithm>

#include "cli/table.h"
#include "cli/text.h"
#include "cli/when.h"

namespace credsync::cli {
namespace {

TEST(CliText, WidthsOfCharacters) {
  EXPECT_EQ(display_width(""), 0u);
  EXPECT_EQ(display_width("abc"), 3u);
  EXPECT_EQ(display_width("äöü"), 3u);
  EXPECT_EQ(display_width("a\u0301"), 1u);
  EXPECT_EQ(display_width("例え"), 4u);
  EXPECT_EQ(display_width("🔑"), 2u);
  EXPECT_EQ(display_width("█░"), 2u);
  EXPECT_LE(display_width("\xff\xc3"), 2u);  // broken bytes must not run past the end
}

TEST(CliText, CutsToEveryWidth) {
  const std::string text = "ab例え🔑xyz";
  for (std::size_t width = 0; width < 15; ++width) {
    for (const bool utf8 : {true, false})
      EXPECT_LE(display_width(cut_to_width(text, width, utf8)), width);
  }
  EXPECT_EQ(cut_to_width("abcdef", 6, true), "abcdef");
  EXPECT_EQ(cut_to_width("abcdef", 5, true), "abcd…");
  EXPECT_EQ(cut_to_width("abcdef", 5, false), "ab...");
  EXPECT_EQ(cut_to_width("例例例", 4, true), "例…");
}

TEST(CliText, WrapsAtSpacesAndLosesNothing) {
  EXPECT_EQ(wrap("one two three", 7), (std::vector<std::string>{"one two", "three"}));
  EXPECT_EQ(wrap("abcdefghij", 4), (std::vector<std::string>{"abcd", "efgh", "ij"}));
  EXPECT_EQ(wrap("anything at all", 0).size(), 1u);
  EXPECT_EQ(wrap("例例", 1).size(), 2u);  // wider than the room: still one a line, never endless
  for (std::size_t width = 1; width < 20; ++width) {
    std::string joined;
    for (const std::string& line : wrap("the quick brown fox", width))
      joined += line;
    joined.erase(std::remove(joined.begin(), joined.end(), ' '), joined.end());
    EXPECT_EQ(joined, "thequickbrownfox");
  }
}

TEST(CliText, QuotesForAShell) {
  EXPECT_EQ(shell_quote(""), "''");
  EXPECT_EQ(shell_quote("a b$c"), "'a b$c'");
  EXPECT_EQ(shell_quote("it's"), "'it'\\''s'");
}

TEST(CliText, AsciiForTerminalsThatAreNotUtf8) {
  EXPECT_EQ(to_ascii("a… “b” 例\xff"), "a... \"b\" ??");
}

TEST(CliWhen, ReadsRfc3339) {
  const std::pair<const char*, std::optional<std::int64_t>> cases[] = {
      {"1970-01-01T00:00:00Z", 0},
      {"2026-01-31T12:00:00Z", 1769860800},
      {"2026-01-31T13:00:00+01:00", 1769860800},
      {"2026-01-31T12:00:00.999Z", 1769860800},
      {"2026-01-31t12:00:00z", 1769860800},
      {"2024-02-29T00:00:00Z", 1709164800},
      {"2026-02-29T00:00:00Z", std::nullopt},
      {"2026-13-01T00:00:00Z", std::nullopt},
      {"2026-01-31T24:00:00Z", std::nullopt},
      {"2026-01-31T12:00:00", std::nullopt},
      {"2026-01-31T12:00:00+1:00", std::nullopt},
      {"2026-01-31T12:00:00Zx", std::nullopt},
      {"2026-1-31T12:00:00Z", std::nullopt},
      {"-026-01-31T12:00:00Z", std::nullopt},
      {"2026-01-31T-1:00:00Z", std::nullopt},
      {"2026-01-31T12:00:00.Z", std::nullopt},
      {"2026-01-31T12:-0:00Z", std::nullopt},
      {"0001-01-01T00:00:00Z", 0},  // cut to what we compute with, as the daemon does
      {"9999-12-31T23:59:59-01:00", unix_seconds(kWallMax)},
      {"", std::nullopt},
  };
  for (const auto& [text, seconds] : cases) {
    const auto time = parse_rfc3339(text);
    EXPECT_EQ(time.has_value(), seconds.has_value()) << text;
    if (time && seconds) {
      EXPECT_EQ(unix_seconds(*time), *seconds) << text;
    }
  }
}

TEST(CliWhen, SpansForPeople) {
  const std::pair<std::int64_t, const char*> cases[] = {{-5, "0 s"},
                                                        {0, "0 s"},
                                                        {59, "59 s"},
                                                        {60, "1 min"},
                                                        {61, "1 min 1 s"},
                                                        {599, "9 min 59 s"},
                                                        {600, "10 min"},
                                                        {3599, "59 min"},
                                                        {3600, "1 h"},
                                                        {11520, "3 h 12 min"},
                                                        {86399, "23 h 59 min"},
                                                        {86400, "1 d"},
                                                        {90000, "1 d 1 h"},
                                                        {31104000, "360 d"}};
  for (const auto& [seconds, text] : cases)
    EXPECT_EQ(span_text(seconds), text);
}

TEST(CliWhen, Durations) {
  EXPECT_EQ(parse_seconds("90"), 90);
  EXPECT_EQ(parse_seconds("90s"), 90);
  EXPECT_EQ(parse_seconds("10m"), 600);
  EXPECT_EQ(parse_seconds("12h"), 43200);
  EXPECT_EQ(parse_seconds("30d"), 2592000);
  for (const char* bad : {"", "s", "-1", "1.5", "1w", "1 s", " 1", "99999999999999999999", "9999999999d"}) {
    EXPECT_FALSE(parse_seconds(bad)) << bad;
  }
}

TEST(CliTable, LeastImportantColumnsLeaveFirst) {
  const std::vector<Column> columns{{"NAME"}, {"LESS", 1}, {"LEAST", 2}};
  const std::vector<Row> rows{{{{"a-name"}, {"middle"}, {"trifle"}}, {}}};
  const auto width = [&](std::size_t columns_of_terminal) {
    View view;
    view.columns = columns_of_terminal;
    return render_table(columns, rows, view);
  };
  EXPECT_EQ(width(0), "NAME    LESS    LEAST\na-name  middle  trifle\n");
  EXPECT_EQ(width(21), "NAME    LESS\na-name  middle\n");
  EXPECT_EQ(width(13), "NAME\na-name\n");
}

}  // namespace
}  // namespace credsync::cli
