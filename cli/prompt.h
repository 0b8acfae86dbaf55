// Questions to a person at the controlling terminal, answers in the open. Nothing secret is asked for here.
#pragma once

#include <string>

#include "cli/failure.h"

namespace credsync::cli {

// There is somebody to ask.
bool can_ask();

// The answer without blanks around it, or `otherwise` for an empty one (shown in brackets). The end of input is a Failure.
Outcome<std::string> ask_line(const std::string& question, const std::string& otherwise = {});
// Y or n; an empty answer is `otherwise`.
Outcome<bool> ask_yes(const std::string& question, bool otherwise);

}  // namespace credsync::cli
