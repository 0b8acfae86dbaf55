// Runs other programs, without a shell: one that stays behind (a browser), and one that is asked something (getent).
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "cli/failure.h"

namespace credsync::cli {

// Starts `words` in a session of its own, without this terminal: Ctrl-C here does not end it. Gives its process id; SIGCHLD
// tells when it ended.
Outcome<pid_t> start_apart(const std::vector<std::string>& words);

// What the program printed, 64 KiB at most, when it has ended with status 0. `input` is given to it; its complaints are not
// shown.
Outcome<std::string> output_of(const std::vector<std::string>& words, std::string_view input = {});

// Whether PATH has a program of that name (one with a slash: whether it can be run).
bool can_be_run(const std::string& program);

}  // namespace credsync::cli
