// Where the daemon listens.
#pragma once

#include <string>

namespace credsync::cli {

enum class SocketOrigin { kOption, kEnvironment, kUser, kSystem };

struct SocketChoice {
  std::string path;
  SocketOrigin origin = SocketOrigin::kSystem;
};

// `option` (--socket) wins, then CREDSYNC_SOCKET, then the user's socket if there is one of ours, then the
// system's.
SocketChoice choose_socket(const std::string& option);

// Whether the daemon there shows us every account it has, as far as can be told from here: our own, or the system's to root.
bool shows_us_all(const SocketChoice& socket);

}  // namespace credsync::cli
