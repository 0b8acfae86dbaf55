// The folder of a daemon's configuration, and files written there: whole or not at all, never over another, with the owner
// and mode that the daemon accepts (design section 4).
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "cli/arguments.h"
#include "cli/daemon_client.h"
#include "cli/failure.h"
#include "cli/socket_path.h"

namespace credsync::cli {

class ConfigFolder {
 public:
  // Which daemon is meant: as the options say, else the one at the socket. One at a socket of its own has a folder that
  // nobody can guess: that must be said.
  static Outcome<ConfigFolder> choose(const AccountPlace& place, const SocketChoice& socket);

  bool is_system() const { return kind_ == Kind::kSystem; }
  bool is_users() const { return kind_ == Kind::kUser; }
  // The socket of the daemon that reads this folder.
  const std::string& socket() const { return socket_; }
  // FOLDER/accounts.d/NAME
  std::string path(std::string_view name) const;

  // Fails where there is a file of that name. Makes accounts.d if it is not there.
  Outcome<void> write_new(std::string_view name, std::string_view content) const;

 private:
  enum class Kind { kSystem, kUser, kNamed };
  Outcome<void> prepare() const;

  Kind kind_ = Kind::kSystem;
  std::string folder_;
  std::string socket_;
};

// "cannot write PATH: …"; where root could, the command with sudo.
Failure file_failure(const std::string& what, const std::string& path, int error);

}  // namespace credsync::cli
