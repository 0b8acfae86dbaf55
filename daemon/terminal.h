// A secret between a person and credsyncd's key commands: typed without echo, or shown once. Blocking; before any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace credsync {

// One line of standard input; on a terminal after `prompt` and without echo. kCancelled: Ctrl-C, or the end of input
// before any line. At most 1 KiB.
Result<WipedString> read_hidden_line(const std::string& prompt);

// Standard output is a terminal.
bool output_is_terminal();
// Writes all of it there at once, through no buffer that would keep a copy. False: it did not get out.
bool show_on_terminal(std::string_view text);

}  // namespace credsync
