// The pure parts of `credsync login`: what is typed, which browser, QR codes, lines that fit.
#include <gtest/gtest.h>

#include "cli/browser.h"
#include "cli/login_words.h"
#include "cli/qr_code.h"
#include "cli/text.h"
#include "cli/typed_address.h"

namespace credsync::cli {
namespace {

using Step = TypedAddress::Step;

// The addresses that were entered, and what is still being typed.
struct Typed {
  std::vector<std::string> entered;
  std::string rest;
  int too_long = 0;
};

Typed type(std::string_view bytes) {
  TypedAddress address;
  Typed typed;
  for (const char c : bytes) {
    const Step step = address.feed(c);
    if (step == Step::kEntered) typed.entered.push_back(address.text());
    if (step == Step::kTooLong) ++typed.too_long;
    if (step != Step::kMore) address.clear();
  }
  typed.rest = address.text();
  return typed;
}

using Lines = std::vector<std::string>;

TEST(TypedAddress, IsALine) {
  EXPECT_EQ(type("http://x/?code=1\n").entered, Lines{"http://x/?code=1"});
  EXPECT_EQ(type("http://x\rhttp://y\r").entered, (Lines{"http://x", "http://y"}));
  EXPECT_EQ(type("\n").entered, Lines{""});
  EXPECT_EQ(type(" http://x \t\n").entered, Lines{"http://x"});
  EXPECT_EQ(type("http://x").rest, "http://x");
}

TEST(TypedAddress, CanBeEdited) {
  EXPECT_EQ(type("http:/a\x7f\b//x\n").entered, Lines{"http://x"});
  EXPECT_EQ(type("wrong\x15right\n").entered, Lines{"right"});
  EXPECT_EQ(type("wrong\x17right\n").entered, Lines{"right"});
  EXPECT_EQ(type("\x7f\x7fx\n").entered, Lines{"x"});
}

TEST(TypedAddress, KeysThatMoveDoNothing) {
  EXPECT_EQ(type("a\033[Ab\033[1;5Cc\033OPd\033xe\033[3~f\n").entered, Lines{"abcdef"});
  EXPECT_EQ(type("\033[" + std::string(100, '1') + "~a\n").entered.size(), 1u);
}

TEST(TypedAddress, APasteMayBeBrokenIntoLines) {
  EXPECT_EQ(type("\033[200~http://x/?co\n  de=1\r\n&state=2\033[201~").rest, "http://x/?code=1&state=2");
  EXPECT_EQ(type("\033[200~http://x/?code=1\033[201~\n").entered, Lines{"http://x/?code=1"});
  // One that ends with a line end needs no Enter.
  EXPECT_EQ(type("\033[200~http://x/?code=1\n\033[201~").entered, Lines{"http://x/?code=1"});
  EXPECT_EQ(type("\033[200~\n\033[201~").entered, Lines{});
  EXPECT_EQ(type("\033[200~a\033[201~\033[200~b\033[201~\n").entered, Lines{"ab"});
  // A second end is nothing.
  EXPECT_EQ(type("a\033[201~").rest, "a");
}

TEST(TypedAddress, TooLongIsLeftOutToItsEnd) {
  const std::string longest(48 * 1024, 'x');
  EXPECT_EQ(type(longest + "\n").entered, Lines{longest});
  const Typed typed = type(longest + "yyyy\nhttp://x\n");
  EXPECT_EQ(typed.too_long, 1);
  EXPECT_EQ(typed.entered, Lines{"http://x"});
  const Typed pasted = type("\033[200~" + longest + "yy\n\033[201~http://x\n");
  EXPECT_EQ(pasted.too_long, 1);
  EXPECT_EQ(pasted.entered, Lines{"http://x"});
}

using Commands = std::vector<std::vector<std::string>>;
constexpr const char* kAddress = "https://p/?a=1&b=%25s";

BrowserSurroundings desktop() {
  BrowserSurroundings around;
  around.graphical = true;
  around.has_xdg_open = true;
  return around;
}

TEST(Browser, XdgOpenWhereThereIsADesktop) {
  EXPECT_EQ(browser_commands(desktop(), kAddress), (Commands{{"xdg-open", kAddress}}));
  EXPECT_EQ(browser_commands({}, kAddress), Commands{});
  BrowserSurroundings around = desktop();
  around.has_xdg_open = false;
  EXPECT_EQ(browser_commands(around, kAddress), Commands{});
}

TEST(Browser, TheListOfTheVariableComesFirst) {
  BrowserSurroundings around = desktop();
  around.browser = "firefox:: chrome  --new-window  %s x%%y ";
  EXPECT_EQ(browser_commands(around, kAddress),
            (Commands{{"firefox", kAddress}, {"chrome", "--new-window", kAddress, "x%y"}, {"xdg-open", kAddress}}));
  around.graphical = false;
  EXPECT_EQ(browser_commands(around, kAddress).size(), 2u);
}

TEST(Browser, NeverForAnotherUser) {
  BrowserSurroundings around = desktop();
  around.root = true;
  EXPECT_EQ(browser_commands(around, kAddress), Commands{});
  around.browser = "firefox";
  EXPECT_EQ(browser_commands(around, kAddress).size(), 1u);
  around.by_sudo = true;
  EXPECT_EQ(browser_commands(around, kAddress), Commands{});
}

TEST(Browser, NothingToOpen) {
  EXPECT_EQ(browser_commands(desktop(), ""), Commands{});
}

QrMatrix square(std::size_t side) {
  return QrMatrix(side, std::string(side, '#'));
}

std::string lines_of(const QrMatrix& matrix) {
  std::string out;
  for (const std::string& row : matrix)
    out += row + "\n";
  return out;
}

TEST(QrCode, OnlySquaresOfKnownSizes) {
  for (const std::size_t side : {21u, 25u, 177u})
    EXPECT_EQ(parse_qr(lines_of(square(side))), square(side));
  for (const std::size_t side : {0u, 1u, 20u, 22u, 181u, 5000u})
    EXPECT_TRUE(parse_qr(lines_of(square(side))).empty()) << side;
  std::string lines = lines_of(square(21));
  EXPECT_TRUE(parse_qr(lines.substr(0, lines.size() - 1)).empty());
  lines[30] = '\033';
  EXPECT_TRUE(parse_qr(lines).empty());
}

View screen(std::size_t columns, std::size_t rows, bool colour = true) {
  View view;
  view.terminal = view.utf8 = view.moves = true;
  view.columns = columns;
  view.rows = rows;
  view.colour = colour;
  return view;
}

TEST(QrCode, HasAQuietZoneOfFourModulesWhereItFits) {
  const std::string blank(29, ' ');
  const std::string ink = "\033[38;5;16;48;5;231m";
  const std::string drawn = render_qr(square(21), screen(29, 16)).text;
  EXPECT_TRUE(drawn.starts_with(ink + blank + "\033[0m\n" + ink + blank + "\033[0m\n" + ink + "    █")) << drawn;
  EXPECT_TRUE(drawn.ends_with(ink + blank + "\033[0m\n")) << drawn;
  EXPECT_TRUE(render_qr(square(21), screen(28, 16)).text.starts_with(ink + std::string(25, ' '))) << drawn;
}

TEST(QrCode, WithoutColoursTheLightModulesAreDrawn) {
  const std::string drawn = render_qr(square(21), screen(80, 40, false)).text;
  EXPECT_EQ(drawn.find('\033'), std::string::npos);
  EXPECT_TRUE(drawn.starts_with("█████"));
  EXPECT_NE(drawn.find("████                     ████\n"), std::string::npos) << drawn;
}

TEST(QrCode, IsLeftOutWhereItCannotBe) {
  EXPECT_EQ(render_qr(square(21), screen(24, 40)).text, "");
  EXPECT_EQ(render_qr(square(21), screen(80, 13)).text, "");
  EXPECT_NE(render_qr(square(21), screen(25, 14)).text, "");
  View view = screen(80, 40);
  view.utf8 = false;
  EXPECT_EQ(render_qr(square(21), view).text, "");
  EXPECT_NE(render_qr(square(21), view).why, "");
  EXPECT_EQ(render_qr(square(21), View{}).text, "");
}

TEST(Progress, FitsEveryTerminalWithoutItsLastColumn) {
  LoginView login;
  login.phase = "waiting";
  for (std::size_t columns = 1; columns < 100; ++columns) {
    for (const std::int64_t left : {0, 59, 600, 86399}) {
      const std::string line = progress_line(login, left, 0, screen(columns, 24));
      EXPECT_LT(display_width(line), std::max<std::size_t>(columns, 2)) << line;
    }
  }
  EXPECT_EQ(progress_line(login, 540, 0, screen(80, 24)), "Waiting, 9 min left; Ctrl-C cancels");
  EXPECT_EQ(progress_line(login, 540, 12, screen(80, 24)), "12 characters so far, Enter ends");
}

}  // namespace
}  // namespace credsync::cli
