// A service manager's end of the notification socket.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/file.h"

namespace credsync::lifecycle {

class FakeManager {
 public:
  FakeManager() {
    char name[] = "/tmp/credsync-notify-XXXXXX";
    directory_ = ::mkdtemp(name);
    path_ = directory_ + "/notify";
    listen();
  }
  ~FakeManager() {
    ::unlink(path_.c_str());
    ::rmdir(directory_.c_str());
  }

  const std::string& address() const { return path_; }

  // Everything told since the last call.
  std::vector<std::string> take() {
    std::vector<std::string> told;
    char buffer[4096];
    for (ssize_t got = 0; (got = ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT)) >= 0;)
      told.emplace_back(buffer, static_cast<std::size_t>(got));
    return told;
  }
  std::size_t count(const std::string& text) {
    std::size_t found = 0;
    for (const std::string& message : take())
      found += message == text ? 1U : 0U;
    return found;
  }

 private:
  void listen() {
    socket_ = Descriptor(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }

  std::string directory_, path_;
  Descriptor socket_;
};

}  // namespace credsync::lifecycle
