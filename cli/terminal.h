// What the output is: a terminal or not, how wide, colours or not, UTF-8 or not. And writing to it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "cli/failure.h"

namespace credsync::cli {

struct View {
  bool terminal = false;
  std::size_t columns = 0;  // 0: no limit
  std::size_t rows = 0;     // 0: no limit
  bool colour = false;
  bool moves = false;  // the cursor can be moved: a line can be rewritten
  bool utf8 = false;
};

// What standard output (standard error) is now. NO_COLOR and TERM=dumb turn colours off, the locale's character set decides
// on UTF-8.
View look_at_stdout();
View look_at_stderr();

enum class Style { kPlain, kBold, kDim, kGreen, kYellow, kRed };
// `text` in that style, if the view has colours.
std::string styled(const View& view, Style style, std::string_view text);

// Writes all of it or says why not (a full disk, a closed pipe).
Outcome<void> write_out(std::string_view text);
// Words for people, on standard error. Errors there have nobody to be told to.
void write_err(std::string_view text);

}  // namespace credsync::cli
