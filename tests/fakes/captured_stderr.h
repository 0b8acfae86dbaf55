// Standard error as a pipe of the test's own, which nobody reads until it wants to: a journal that is stuck.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <thread>
#include <vector>

namespace credsync::fakes {

class CapturedStderr {
 public:
  CapturedStderr() : before_(::dup(STDERR_FILENO)) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) ADD_FAILURE() << "pipe2";
    reading_ = ends[0];
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[1]);
  }
  ~CapturedStderr() { put_back(); }

  // Not a byte more goes in, and what wants to write waits.
  void stick() {
    const int flags = ::fcntl(STDERR_FILENO, F_GETFL);
    ::fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK);
    while (::write(STDERR_FILENO, "\n", 1) == 1 || errno == EINTR) {
    }
    ::fcntl(STDERR_FILENO, F_SETFL, flags);
  }

  // From now on somebody reads.
  void read() {
    reader_ = std::thread([this] {
      char bytes[65536];
      ssize_t got = 0;
      while ((got = ::read(reading_, bytes, sizeof bytes)) > 0 || (got < 0 && errno == EINTR))
        if (got > 0) text_.append(bytes, static_cast<std::size_t>(got));
    });
  }

  // Everything that was written, line by line without the empty ones; standard error is the old one again.
  std::vector<std::string> lines() {
    if (!reader_.joinable()) read();
    put_back();
    std::vector<std::string> found(1);
    for (const char c : text_) {
      if (c != '\n') {
        found.back() += c;
      } else if (!found.back().empty()) {
        found.emplace_back();
      }
    }
    found.pop_back();
    return found;
  }

 private:
  void put_back() {
    if (before_ < 0) return;
    ::dup2(before_, STDERR_FILENO);  // the pipe's last writer, so the reader comes to its end
    ::close(before_);
    before_ = -1;
    if (reader_.joinable()) reader_.join();
    ::close(reading_);
  }

  int before_, reading_ = -1;
  std::thread reader_;
  std::string text_;
};

}  // namespace credsync::fakes
