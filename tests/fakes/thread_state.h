// What a thread of this process is doing, as the kernel says.
#pragma once

#include <sys/types.h>

#include <fstream>
#include <iterator>
#include <string>

namespace credsync::fakes {

// It waits, for a lock or for something to come. proc_pid_stat(5): the state follows the name in parentheses.
inline bool is_asleep(pid_t thread) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
  const std::string line((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const std::size_t name_end = line.rfind(") ");
  return name_end != std::string::npos && line[name_end + 2] == 'S';
}

}  // namespace credsync::fakes
