// Which system unit a process is in, by the text of /proc/PID/cgroup (cgroups(7)). Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace credsync::ipc {

// Longer texts are not looked at: a line for each of a dozen hierarchies, with paths of 4 KiB at most.
inline constexpr std::size_t kLongestCgroupText = 64 * 1024;

// The unit that systemd put the process in: the first component of its path that is no slice, in the unified hierarchy
// or that of name=systemd; where both say something they must agree. What lies deeper was named by the unit itself and
// counts for nothing. An Error says why there is none: above all what runs below user@UID.service, whose names its user
// chooses.
Result<std::string> system_unit_of(std::string_view cgroup_text);

}  // namespace credsync::ipc
