// The listening Unix socket: made at a path, or taken over from whoever started us. Owns the descriptor, and
// the path only if it made it. Opening blocks for a moment and is done at start and reload.
#pragma once

#include <sys/stat.h>

#include <string>

#include "base/file.h"
#include "base/result.h"

namespace credsync::ipc::http {

class ListeningSocket {
 public:
  // Makes the socket with `mode` (0666: anyone may connect, rules decide; 0600: the user's own), and its
  // directory (0755) if that is missing. A socket file of ours that nobody listens on is replaced; kTaken if
  // somebody does; kInvalid for a path that is too long or is something else.
  static Result<ListeningSocket> open(const std::string& path, mode_t mode);
  // Takes a listening AF_UNIX stream socket, as systemd passes it. Its file is not ours to remove.
  static Result<ListeningSocket> adopt(Descriptor socket);

  ListeningSocket(ListeningSocket&&) noexcept;
  ListeningSocket& operator=(ListeningSocket&&) = delete;
  // Stops listening, and removes the file if it is still the one that open() made.
  ~ListeningSocket();

  int get() const { return socket_.get(); }
  const std::string& path() const { return path_; }
  // From now on connecting is refused, while those who have connected can still be accepted: the kernel draws the line, so
  // that nobody's connection is lost between the last accept and the end. Not for an adopted one, on which the next process
  // goes on listening: who connects to it then waits for that one.
  void refuse_new();
  bool adopted() const { return path_.empty(); }

 private:
  explicit ListeningSocket(Descriptor socket) : socket_(std::move(socket)) {}

  Descriptor socket_;
  std::string path_;  // empty when adopted
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace credsync::ipc::http
